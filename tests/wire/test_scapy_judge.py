"""Our codec against scapy with the layer of support.scapy_pmip6, in both directions."""

from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, IPv6Network
from typing import Any

import pytest
from hypothesis import given, settings
from scapy.layers.inet6 import (
    MIP6MH_BA,
    MIP6MH_BE,
    MIP6MH_BRR,
    MIP6MH_BU,
    ICMPv6ND_RS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    MIP6OptAltCoA,
    MIP6OptBRAdvice,
    MIP6OptMNID,
    MIP6OptUnknown,
    Pad1,
    PadN,
)
from scapy.packet import Packet

from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.binding_error import BindingError
from mag.wire.binding_refresh_request import BindingRefreshRequest
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import (
    IP_PROTOCOL_MOBILITY_HEADER,
    BindingAcknowledgementFlag,
    BindingUpdateFlag,
    HeartbeatFlag,
)
from mag.wire.ipv6 import IPv6Packet
from mag.wire.mobility_header import MobilityMessage
from mag.wire.neighbor_discovery import RouterSolicitation
from mag.wire.options import (
    AccessTechnologyTypeOption,
    AlternateCareOfAddressOption,
    BindingRefreshAdviceOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
    RestartCounterOption,
    TimestampOption,
    UnknownOption,
    VendorSpecificOption,
)
from support.mobility_headers import LMA, MAG
from support.scapy_pmip6 import (
    MIP6MH_HB,
    MIP6MH_PBA,
    MIP6MH_PBU,
    MIP6OptAccessTechnologyType,
    MIP6OptHandoffIndicator,
    MIP6OptHomeNetworkPrefix,
    MIP6OptLinkLocalAddress,
    MIP6OptMNLLId,
    MIP6OptRestartCounter,
    MIP6OptTimestamp,
    MIP6OptVendorSpecific,
)
from support.strategies import messages
from support.vectors import Vector, mobility_header_vectors, vector

# scapy's classes and our values, field by field.
TO_SCAPY: Mapping[type[MobilityOption], Callable[[Any], Packet]] = {
    BindingRefreshAdviceOption: lambda o: MIP6OptBRAdvice(rinter=o.refresh_interval_s // 4),
    AlternateCareOfAddressOption: lambda o: MIP6OptAltCoA(acoa=str(o.address)),
    MobileNodeIdentifierOption: lambda o: MIP6OptMNID(subtype=o.subtype, id=o.identifier),
    VendorSpecificOption: lambda o: MIP6OptVendorSpecific(
        vendorid=o.vendor_id, subtype=o.sub_type, data=o.data
    ),
    HomeNetworkPrefixOption: lambda o: MIP6OptHomeNetworkPrefix(
        plen=o.prefix.prefixlen, prefix=str(o.prefix.network_address)
    ),
    HandoffIndicatorOption: lambda o: MIP6OptHandoffIndicator(hi=o.handoff_indicator),
    AccessTechnologyTypeOption: lambda o: MIP6OptAccessTechnologyType(att=o.access_technology_type),
    MobileNodeLinkLayerIdentifierOption: lambda o: MIP6OptMNLLId(llid=o.identifier),
    LinkLocalAddressOption: lambda o: MIP6OptLinkLocalAddress(lla=str(o.address)),
    TimestampOption: lambda o: MIP6OptTimestamp(seconds=o.ticks >> 16, fraction=o.ticks & 0xFFFF),
    RestartCounterOption: lambda o: MIP6OptRestartCounter(counter=o.counter),
    UnknownOption: lambda o: MIP6OptUnknown(otype=o.option_type, odata=o.data),
}
FROM_SCAPY: Mapping[type[Packet], Callable[[Any], MobilityOption]] = {
    MIP6OptBRAdvice: lambda p: BindingRefreshAdviceOption(p.rinter * 4),
    MIP6OptAltCoA: lambda p: AlternateCareOfAddressOption(IPv6Address(p.acoa)),
    MIP6OptMNID: lambda p: MobileNodeIdentifierOption(p.id, p.subtype),
    MIP6OptVendorSpecific: lambda p: VendorSpecificOption(p.vendorid, p.subtype, p.data),
    MIP6OptHomeNetworkPrefix: lambda p: HomeNetworkPrefixOption.of(
        IPv6Network(f"{p.prefix}/{p.plen}")
    ),
    MIP6OptHandoffIndicator: lambda p: HandoffIndicatorOption(p.hi),
    MIP6OptAccessTechnologyType: lambda p: AccessTechnologyTypeOption(p.att),
    MIP6OptMNLLId: lambda p: MobileNodeLinkLayerIdentifierOption(p.llid),
    MIP6OptLinkLocalAddress: lambda p: LinkLocalAddressOption(IPv6Address(p.lla)),
    MIP6OptTimestamp: lambda p: TimestampOption(p.seconds << 16 | p.fraction),
    MIP6OptRestartCounter: lambda p: RestartCounterOption(p.counter),
    MIP6OptUnknown: lambda p: UnknownOption(p.otype, p.odata),
}
# Option types that scapy has classes for and we do not: there the two disagree by design.
SCAPY_ONLY_TYPES = {4, 6, 7, *range(9, 17)}


def _to_scapy(message: MobilityMessage) -> Packet:
    match message:
        case ProxyBindingUpdate():
            header = MIP6MH_PBU(seq=message.sequence, flags=int(message.flags) >> 6)
            header.mhtime = message.lifetime_s // 4
        case ProxyBindingAcknowledgement():
            header = MIP6MH_PBA(seq=message.sequence, flags=int(message.flags) >> 3)
            header.mhtime = message.lifetime_s // 4
            header.status = message.status
        case BindingRefreshRequest():
            header = MIP6MH_BRR(res=0, res2=0)
        case Heartbeat():
            header = MIP6MH_HB(seq=message.sequence, flags=int(message.flags))
        case BindingError():
            return MIP6MH_BE(status=message.status, ha=str(message.home_address))
    header.options = [TO_SCAPY[type(option)](option) for option in message.options]
    return header


def _from_scapy(packet: Packet) -> MobilityMessage:
    match packet:
        case MIP6MH_PBU():
            flags = BindingUpdateFlag(int(packet.flags) << 6)
            return ProxyBindingUpdate(packet.seq, packet.mhtime * 4, _options(packet), flags)
        case MIP6MH_PBA():
            flags = BindingAcknowledgementFlag(int(packet.flags) << 3)
            return ProxyBindingAcknowledgement(
                packet.status, packet.seq, packet.mhtime * 4, _options(packet), flags
            )
        case MIP6MH_BE():
            return BindingError(packet.status, IPv6Address(packet.ha))
        case MIP6MH_HB():
            return Heartbeat(packet.seq, HeartbeatFlag(int(packet.flags)), _options(packet))
        case MIP6MH_BRR():
            return BindingRefreshRequest(_options(packet))
    raise AssertionError(f"scapy took it for {type(packet).__name__}")


def _options(packet: Packet) -> tuple[MobilityOption, ...]:
    return tuple(FROM_SCAPY[type(o)](o) for o in packet.options if not isinstance(o, Pad1 | PadN))


def _built(header: Packet) -> bytes:
    """The Mobility Header as scapy builds it, length, padding and checksum filled in."""
    return bytes(IPv6(src=str(MAG), dst=str(LMA)) / header)[40:]


def _dissected(octets: bytes) -> Packet:
    packet = IPv6Packet(MAG, LMA, IP_PROTOCOL_MOBILITY_HEADER, octets).encode()
    return IPv6(packet).payload


def _is_read_alike(message: MobilityMessage) -> bool:
    """No option is unknown to us but known to scapy."""
    return not any(
        isinstance(option, UnknownOption) and option.option_type in SCAPY_ONLY_TYPES
        for option in getattr(message, "options", ())
    )


@pytest.mark.requirement("PBU-17")
@settings(deadline=None, max_examples=200)
@given(messages.filter(_is_read_alike))
def test_both_encode_to_the_same_octets(message: MobilityMessage):
    """PBU-17: alignment, padding, length and checksum, computed twice."""
    assert mobility_header.encode(message, MAG, LMA).hex(" ") == _built(_to_scapy(message)).hex(" ")


@settings(deadline=None, max_examples=200)
@given(messages.filter(_is_read_alike))
def test_scapy_reads_what_we_encode(message: MobilityMessage):
    assert _from_scapy(_dissected(mobility_header.encode(message, MAG, LMA))) == message


@settings(deadline=None, max_examples=200)
@given(messages.filter(_is_read_alike))
def test_we_read_what_scapy_encodes(message: MobilityMessage):
    assert mobility_header.decode(_built(_to_scapy(message)), MAG, LMA) == message


@pytest.mark.parametrize("vector", mobility_header_vectors(), ids=lambda v: v.name)
def test_scapy_reads_the_vectors(vector: Vector):
    assert _from_scapy(_dissected(vector.octets)) == vector.message


@pytest.mark.parametrize(
    ("option_class", "fields", "octets"),
    [
        (MIP6OptVendorSpecific, {}, "13 05 00000000 00"),
        (
            MIP6OptVendorSpecific,
            {"vendorid": 10415, "subtype": 7, "data": b"abc"},
            "13 08 000028af 07 616263",
        ),
        (MIP6OptHomeNetworkPrefix, {}, f"16 12 00 40 {bytes(16).hex()}"),
        (
            MIP6OptHomeNetworkPrefix,
            {"plen": 60, "prefix": "2001:db8::"},
            "16 12 00 3c 20010db8000000000000000000000000",
        ),
        (MIP6OptHandoffIndicator, {}, "17 02 00 04"),
        (MIP6OptHandoffIndicator, {"hi": 1}, "17 02 00 01"),
        (MIP6OptAccessTechnologyType, {}, "18 02 00 03"),
        (MIP6OptAccessTechnologyType, {"att": 4}, "18 02 00 04"),
        (MIP6OptMNLLId, {}, "19 02 0000"),
        (MIP6OptMNLLId, {"llid": b"\x02\x00\x5e\x10\x00\x01"}, "19 08 0000 02005e100001"),
        (MIP6OptLinkLocalAddress, {}, f"1a 10 {bytes(16).hex()}"),
        (
            MIP6OptLinkLocalAddress,
            {"lla": "fe80::1"},
            "1a 10 fe800000000000000000000000000001",
        ),
        (MIP6OptTimestamp, {}, "1b 08 000000000000 0000"),
        (
            MIP6OptTimestamp,
            {"seconds": 1700000000, "fraction": 0x8000},
            "1b 08 00006553f100 8000",
        ),
    ],
)
class TestScapyOption:
    def test_builds(self, option_class: type[Packet], fields: dict[str, Any], octets: str):
        assert bytes(option_class(**fields)) == bytes.fromhex(octets)

    def test_dissects(self, option_class: type[Packet], fields: dict[str, Any], octets: str):
        option = option_class(bytes.fromhex(octets))
        assert {name: getattr(option, name) for name in fields} == fields
        assert option.olen == len(bytes.fromhex(octets)) - 2


class TestScapyMessage:
    def test_defaults_build_an_update_and_an_acknowledgement(self):
        assert _built(MIP6MH_PBU())[8:16].hex() == "c200000301020000"
        assert _built(MIP6MH_PBA())[6:16].hex() == "00200000000001020000"

    def test_messages_without_the_proxy_flag_stay_scapys_own(self):
        assert type(_dissected(_built(MIP6MH_PBU(flags="HA")))) is MIP6MH_BU
        assert type(_dissected(_built(MIP6MH_PBA(flags="K")))) is MIP6MH_BA

    def test_acknowledgement_answers_its_update(self):
        """RFC 5213 §6.9.1.2(5): by Sequence # and MN-Identifier."""
        update = _to_scapy(vector("pbu-initial-attach").message)
        answer = _to_scapy(vector("pba-accepted").message)
        assert answer.answers(update)

    @pytest.mark.parametrize("other", ["pbu-refresh", "pba-accepted"])
    def test_acknowledgement_answers_no_other_message(self, other: str):
        answer = _to_scapy(vector("pba-accepted").message)
        assert not answer.answers(_to_scapy(vector(other).message))

    def test_acknowledgement_of_another_node_answers_nothing(self):
        update = _to_scapy(vector("pbu-initial-attach").message)
        answer = MIP6MH_PBA(seq=update.seq, options=[MIP6OptMNID(id=b"mn2@example.net")])
        assert not answer.answers(update)


@pytest.mark.parametrize(
    ("source", "options", "address"),
    [
        ("fe80::1", ICMPv6NDOptSrcLLAddr(lladdr="02:00:5e:10:00:01"), "02005e100001"),
        ("fe80::1", b"", None),
        ("::", b"", None),
    ],
    ids=["with address", "without", "from unspecified"],
)
def test_router_solicitation_built_by_scapy_is_read(
    source: str, options: Packet | bytes, address: str | None
):
    packet = bytes(IPv6(src=source, dst="ff02::2", hlim=255) / ICMPv6ND_RS() / options)
    expected = RouterSolicitation(IPv6Address(source), address and bytes.fromhex(address))
    assert RouterSolicitation.decode(packet) == expected
