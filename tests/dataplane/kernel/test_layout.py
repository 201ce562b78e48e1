"""Names, marks and numbers of the kernel layout."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag.dataplane.kernel import layout
from mag.protocol.settings import RESERVED_LINK_LOCAL_ADDRESS

LONGEST_INTERFACE_NAME = 15
LONGEST_ALTERNATIVE_NAME = 127


@given(st.integers(0, 2**64 - 1))
def test_binding_id_comes_back_out_of_its_next_hop(binding_id: int) -> None:
    """All 64 bits: a restarted agent reads the id from the kernel."""
    assert layout.binding_of_neighbor(layout.binding_neighbor(binding_id)) == binding_id


def test_next_hop_of_a_binding_is_link_local_for_the_kernel() -> None:
    """A next hop outside fe80::/10 would be looked up instead of used."""
    assert IPv6Address(layout.binding_neighbor(2**64 - 1)) in layout.LINK_LOCAL_BLOCK


@pytest.mark.parametrize(
    "address", [RESERVED_LINK_LOCAL_ADDRESS, IPv6Address("fe80::1"), IPv6Address("2001:db8::1")]
)
def test_address_that_a_node_or_gateway_may_have_is_no_binding(address: IPv6Address) -> None:
    """RFC 4291 §2.5.6: bits 10 to 63 of a real link-local address are zero."""
    assert layout.binding_of_neighbor(address.packed) is None


@pytest.mark.parametrize("index", [1, 9999])
def test_tunnel_index_comes_back_out_of_the_interface_name(index: int) -> None:
    """Names fit the kernel's limit; the other end of the pair is no tunnel interface."""
    assert layout.tunnel_index(layout.tunnel_interface(index)) == index
    assert layout.tunnel_index(layout.tunnel_peer_interface(index)) is None
    assert len(layout.tunnel_peer_interface(index)) <= LONGEST_INTERFACE_NAME


def test_lma_comes_back_out_of_the_alias() -> None:
    """The mark by which `dump` knows a tunnel."""
    lma = IPv6Address("2001:db8::a")
    assert layout.lma_of_alias(layout.tunnel_alias(lma)) == lma


@pytest.mark.parametrize("alias", [None, "", "uplink to Bern", "mag:lma:", "mag:lma:router7"])
def test_alias_of_somebody_else_is_no_tunnel(alias: str | None) -> None:
    """What is not marked is never touched."""
    assert layout.lma_of_alias(alias) is None


NOTE = layout.AccessNote(
    ifindex=2**31 - 1,
    link_layer_address=bytes.fromhex("02000000000a"),
    was_up=True,
    forwarding=0,
    accept_ra=2,
    addr_gen_mode=3,
)


def test_note_on_an_access_interface_comes_back_whole() -> None:
    """It holds what giving the interface back needs, and fits the kernel's limit."""
    assert layout.AccessNote.decode(NOTE.encode()) == NOTE
    assert len(NOTE.encode()) <= LONGEST_ALTERNATIVE_NAME


@pytest.mark.parametrize("name", ["enp3s0", "mag-1", "mag-1-02000000000a-11", "xmag-1-2-3"])
def test_alternative_name_of_somebody_else_is_no_note(name: str) -> None:
    """What is not marked is never touched."""
    assert layout.AccessNote.decode(name) is None


def test_tables_of_two_bases_do_not_meet_before_their_distance() -> None:
    """Each table is its own; tunnels have theirs above the shared ones."""
    tables = layout.RoutingTables(500)
    numbers = [
        tables.uplink,
        tables.decapsulation,
        tables.downlink,
        tables.encapsulation(0),
        tables.encapsulation(1),
    ]
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) == tables.base
