"""Frames on the wire to the values of the contract, and back."""

import itertools
import struct
from ipaddress import IPv6Address

from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    PadN,
    fragment6,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from dataplane.contract.bench import Seen, Unexpected
from mag.dataplane.verdict import (
    Delivered,
    Ecn,
    HandedToGateway,
    InnerPacket,
    PacketTooBig,
    TimeExceeded,
    Tunnelled,
)
from mag.protocol.settings import RESERVED_LINK_LAYER_ADDRESS
from mag.wire.iana import IP_PROTOCOL_ICMPV6, IP_PROTOCOL_IPV6

ETHERNET_OCTETS = 14
IPV6_OCTETS = 40
UDP_OCTETS = 8
PACKET_TOO_BIG, TIME_EXCEEDED = 2, 3
ECHO_REPLY = 129
INTERFACE_ID = (1 << 64) - 1
NEIGHBOR_SOLICITATION = 135
LINK_MAINTENANCE = frozenset({133, 134, 135, 136, 143})
"""Not Redirect: on a link where nodes are to see nobody but the gateway none belongs."""
_identifications = itertools.count(1)
ENCAPSULATION_LIMIT_OPTION = b"\x04\x01\x04"
"""RFC 2473 §4.1.1: type 4, one octet, limit 4."""


def inner_of(packet: InnerPacket) -> Packet:
    """The IPv6 packet: a ping to what may be the gateway, else UDP."""
    header = IPv6(
        src=str(packet.source),
        dst=str(packet.destination),
        hlim=packet.hop_limit,
        tc=int(packet.ecn),
    )
    if may_be_gateway(packet.destination):
        return header / ICMPv6EchoRequest(id=7, seq=1)
    padding = b"x" * (packet.octets - IPV6_OCTETS - UDP_OCTETS)
    return header / UDP(sport=4000, dport=4001) / Raw(padding)


def may_be_gateway(destination: IPv6Address) -> bool:
    """Link-local, multicast, or a Subnet-Router anycast address (RFC 4291 §2.6.1)."""
    is_anycast = int(destination) & INTERFACE_ID == 0
    return destination.is_link_local or destination.is_multicast or is_anycast


def tunnel_packet(
    source: IPv6Address,
    destination: IPv6Address,
    inner: InnerPacket,
    outer_ecn: Ecn,
    *,
    has_encapsulation_limit: bool,
) -> Packet:
    """RFC 2473 §3.1, with the option as Linux sends it where asked for."""
    outer = IPv6(src=str(source), dst=str(destination), tc=int(outer_ecn), hlim=64)
    if has_encapsulation_limit:
        options = [Raw(ENCAPSULATION_LIMIT_OPTION), PadN(optdata=b"\x00")]
        outer = outer / IPv6ExtHdrDestOpt(nh=IP_PROTOCOL_IPV6, options=options, autopad=0)
    return outer / inner_of(inner)


def cut(packet: Packet, octets: int) -> list[Packet]:
    """The packet in fragments of at most that many octets (RFC 8200 §4.5)."""
    outer = IPv6(bytes(packet))
    fragment = IPv6ExtHdrFragment(nh=outer.nh, id=next(_identifications))
    header = IPv6(src=outer.src, dst=outer.dst, tc=outer.tc, hlim=outer.hlim)
    return [IPv6(bytes(part)) for part in fragment6(header / fragment / outer.payload, octets)]


def ping(source: IPv6Address, destination: IPv6Address, identifier: int) -> Packet:
    """An echo request that the bench recognises the answer of."""
    return IPv6(src=str(source), dst=str(destination)) / ICMPv6EchoRequest(id=identifier)


def is_ping_reply(frame: bytes, identifier: int) -> bool:
    """Whether the frame answers `ping`."""
    return _icmp_type(frame) == ECHO_REPLY and frame[58:60] == struct.pack("!H", identifier)


def neighbor_solicitation(
    source: IPv6Address, link_layer_source: bytes, target: IPv6Address
) -> Packet:
    """What a node sends before its first packet to a neighbour (RFC 4861 §7.2.2)."""
    return (
        Ether(src=link_layer_source.hex(":"), dst=RESERVED_LINK_LAYER_ADDRESS.hex(":"))
        / IPv6(src=str(source), dst=str(target), hlim=255)
        / ICMPv6ND_NS(tgt=str(target))
        / ICMPv6NDOptSrcLLAddr(lladdr=link_layer_source.hex(":"))
    )


def neighbor_answer(frame: bytes, link_layer_address: bytes) -> bytes | None:
    """The advertisement that answers a solicitation, None for other frames."""
    if _icmp_type(frame) != NEIGHBOR_SOLICITATION:
        return None
    target = str(IPv6Address(frame[62:78]))
    advertisement = (
        Ether(src=link_layer_address.hex(":"), dst=frame[6:12].hex(":"))
        / IPv6(src=target, dst=str(IPv6Address(frame[22:38])), hlim=255)
        / ICMPv6ND_NA(tgt=target, R=0, S=1, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=link_layer_address.hex(":"))
    )
    return bytes(advertisement)


def is_link_maintenance(frame: bytes) -> bool:
    """Neighbour discovery and MLD that the kernel sends by itself."""
    return _icmp_type(frame) in LINK_MAINTENANCE or frame[20] == 0


def seen_on_core(frame: bytes) -> Seen:
    """A frame that left towards the core."""
    packet = frame[ETHERNET_OCTETS:]
    inner = packet[IPV6_OCTETS:]
    is_whole = packet[6] == IP_PROTOCOL_IPV6 and _length(packet) == _length(inner) + IPV6_OCTETS
    if not is_whole:
        return _seen_error(frame) or Unexpected("core", frame)
    return Tunnelled(
        lma_address=IPv6Address(packet[24:40]),
        proxy_care_of_address=IPv6Address(packet[8:24]),
        outer_hop_limit=packet[7],
        outer_ecn=_ecn(packet),
        inner=_inner(inner),
    )


def seen_on_access(interface: str, frame: bytes) -> Seen:
    """A frame that left towards a node."""
    if _icmp_type(frame) == ECHO_REPLY:
        return HandedToGateway()
    if (error := _seen_error(frame)) is not None:
        return error
    packet = frame[ETHERNET_OCTETS:]
    if len(packet) < _length(packet) + IPV6_OCTETS:
        return Unexpected(interface, frame)
    return Delivered(interface, frame[:6], _inner(packet))


def _seen_error(frame: bytes) -> Seen | None:
    match _icmp_type(frame):
        case 2:
            return PacketTooBig(int.from_bytes(frame[58:62], "big"))
        case 3:
            return TimeExceeded()
    return None


def _inner(packet: bytes) -> InnerPacket:
    return InnerPacket(
        source=IPv6Address(packet[8:24]),
        destination=IPv6Address(packet[24:40]),
        hop_limit=packet[7],
        ecn=_ecn(packet),
        octets=_length(packet) + IPV6_OCTETS,
    )


def _ecn(packet: bytes) -> Ecn:
    return Ecn(packet[1] >> 4 & 3)


def _length(packet: bytes) -> int:
    return int.from_bytes(packet[4:6], "big")


def _icmp_type(frame: bytes) -> int | None:
    return frame[54] if frame[20] == IP_PROTOCOL_ICMPV6 else None
