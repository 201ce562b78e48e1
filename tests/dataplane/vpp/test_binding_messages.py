"""The bulk messages packed by hand: golden octets here, vpp-papi as judge in test_vpp_api."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from dataplane.contract.bench import ALICE, BOB
from mag.dataplane.base import BindingCounters
from mag.dataplane.vpp.binding_messages import (
    Failure,
    pack_delete,
    pack_ensure,
    pack_update,
    unpack_counters,
    unpack_details,
    unpack_update_reply,
)

ALICE_ENTRY = (
    "0123456789abcdef 00 00 00000007 02000000000a"
    "20010db8000c0000000000000000000a 20010db8000100010000000000000000 40"
)
BOB_DELETED = f"0000000000000002 01 00 00000000 {'00' * 6} {'00' * 16} {'00' * 16} 00"


def test_update_has_the_layout_of_the_api_file() -> None:
    body = pack_update([*pack_ensure(ALICE, 7), pack_delete(BOB.binding_id)])
    assert body == bytes.fromhex(f"00000002 {ALICE_ENTRY} {BOB_DELETED}")


@pytest.mark.requirement("LR-05")
def test_local_routing_is_a_flag_of_the_entry() -> None:
    (entry,) = pack_ensure(replace(ALICE, local_routing=True), 7)
    assert entry == bytes.fromhex(ALICE_ENTRY.replace("cdef 00 00", "cdef 00 01"))


def test_binding_of_several_prefixes_is_as_many_entries() -> None:
    """RFC 5213 §6.1: entries equal but for the prefix."""
    prefixes = (*ALICE.home_network_prefixes, IPv6Network("2001:db8:30::/56"))
    first, second = pack_ensure(replace(ALICE, home_network_prefixes=prefixes), 7)
    assert first == bytes.fromhex(ALICE_ENTRY)
    assert second[:-17] == first[:-17]
    assert second[-17:] == IPv6Address("2001:db8:30::").packed + b"\x38"


def test_reply_tells_what_failed() -> None:
    reply = bytes.fromhex("035c 00000009 00000000 00000005 00000002 00000003 fffffffa 00000007 ff")
    reply += bytes.fromhex("ffff5e")
    assert unpack_update_reply(reply) == (0, [Failure(3, -6), Failure(7, -162)])


def test_details_tell_binding_and_counters() -> None:
    details = bytes.fromhex(
        "035e 00000009 0123456789abcdef 00000007 02000000000a 20010db8000c0000000000000000000a"
        "00 0000003c 00000004"
        "0000000000000001 0000000000000064 0000000000000002 00000000000000c8"
        "02 20010db8000100010000000000000000 40 20010db8003000000000000000000000 38"
    )
    (binding,) = unpack_details([details])
    assert (binding.binding_id, binding.sw_if_index) == (ALICE.binding_id, 7)
    assert binding.mn_link_layer_address == ALICE.mn_link_layer_address
    assert binding.lma_address == ALICE.lma_address
    assert binding.home_network_prefixes == (
        *ALICE.home_network_prefixes,
        IPv6Network("2001:db8:30::/56"),
    )
    assert binding.counters == BindingCounters(1, 100, 2, 200)
    assert not binding.local_routing
    flags = 2 + 4 + 8 + 4 + 6 + 16
    (local,) = unpack_details([details[:flags] + b"\1" + details[flags + 1 :]])
    assert local.local_routing
    assert unpack_counters([details]) == {ALICE.binding_id: binding.counters}
