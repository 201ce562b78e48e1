"""Neighbor Solicitations and Advertisements: validity and layout (RFC 4861 §4.3, §4.4, §7.1)."""

from ipaddress import IPv6Address

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)

from mag.wire.errors import BadHopLimit, BadSource, BadTarget, Truncated, WireError
from mag.wire.neighbor_discovery_packet import encode_packet
from mag.wire.neighbor_solicitation import (
    NeighborAdvertisement,
    NeighborSolicitation,
    solicited_node,
)

NODE = IPv6Address("fe80::5eff:fe10:1")
ROUTER = IPv6Address("fe80::200:5eff:fe00:5213")
UNSPECIFIED = IPv6Address("::")
MAC = bytes.fromhex("00005e005213")


def test_solicitation_is_what_scapy_reads_and_comes_back() -> None:
    solicitation = NeighborSolicitation(ROUTER, NODE, MAC)
    packet = solicitation.encode(NODE)
    seen = IPv6(packet)
    assert (seen.hlim, seen[ICMPv6ND_NS].tgt) == (255, str(NODE))
    assert seen[ICMPv6NDOptSrcLLAddr].lladdr == "00:00:5e:00:52:13"
    assert NeighborSolicitation.decode(packet) == solicitation
    assert not solicitation.is_claim


def test_advertisement_of_scapy_is_read() -> None:
    packet = IPv6(src=str(NODE), dst=str(ROUTER), hlim=255) / ICMPv6ND_NA(R=0, S=1, tgt=str(NODE))
    assert NeighborAdvertisement.decode(bytes(packet)) == NeighborAdvertisement(NODE, NODE, True)


def test_advertisement_is_what_scapy_reads() -> None:
    seen = IPv6(NeighborAdvertisement(NODE, NODE, is_solicited=True).encode(ROUTER))[ICMPv6ND_NA]
    assert (seen.R, seen.S, seen.O, seen.tgt) == (0, 1, 1, str(NODE))


def test_advertisement_for_an_anycast_address_is_what_scapy_reads_and_comes_back() -> None:
    """RFC 4861 §7.2.7: it does not override what others have said."""
    advertisement = NeighborAdvertisement(
        ROUTER,
        IPv6Address("2001:db8:1:1::"),
        is_solicited=True,
        is_router=True,
        overrides=False,
        target_link_layer_address=MAC,
    )
    packet = advertisement.encode(NODE)
    seen = IPv6(packet)[ICMPv6ND_NA]
    assert (seen.R, seen.S, seen.O, seen.tgt) == (1, 1, 0, "2001:db8:1:1::")
    assert seen[ICMPv6NDOptDstLLAddr].lladdr == "00:00:5e:00:52:13"
    assert NeighborAdvertisement.decode(packet) == advertisement


def test_claim_of_an_address_goes_to_everybody_who_might_have_it() -> None:
    """RFC 4862 §5.4.2."""
    assert solicited_node(NODE) == IPv6Address("ff02::1:ff10:1")
    claim = NeighborSolicitation.decode(
        NeighborSolicitation(UNSPECIFIED, NODE).encode(solicited_node(NODE))
    )
    assert claim.is_claim


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        (NeighborSolicitation(UNSPECIFIED, NODE).encode(ROUTER), BadSource),
        (NeighborSolicitation(UNSPECIFIED, NODE, MAC).encode(solicited_node(NODE)), BadSource),
        (NeighborSolicitation(ROUTER, solicited_node(NODE)).encode(NODE), BadTarget),
        (encode_packet(bytes((135,)) + bytes(19), ROUTER, NODE), Truncated),
        (bytes(IPv6(src=str(NODE), dst=str(ROUTER), hlim=64) / ICMPv6ND_NS()), BadHopLimit),
    ],
    ids=["claim to one", "claim with address", "multicast target", "short", "routed"],
)
def test_invalid_solicitation_is_refused(packet: bytes, error: type[WireError]) -> None:
    """RFC 4861 §7.1.1."""
    with pytest.raises(error):
        NeighborSolicitation.decode(packet)


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        (NeighborAdvertisement(NODE, NODE, True).encode(IPv6Address("ff02::1")), BadTarget),
        (NeighborAdvertisement(NODE, solicited_node(NODE)).encode(ROUTER), BadTarget),
    ],
    ids=["solicited to all", "multicast target"],
)
def test_invalid_advertisement_is_refused(packet: bytes, error: type[WireError]) -> None:
    """RFC 4861 §7.1.2."""
    with pytest.raises(error):
        NeighborAdvertisement.decode(packet)
