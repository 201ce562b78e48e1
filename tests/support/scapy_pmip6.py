"""Proxy Mobile IPv6 (RFC 5213) for scapy: a reading of the formats that shares no code with ours.

scapy.layers.inet6 knows Mobile IPv6 and its options up to type 16; importing this module adds the
rest, so that `IPv6(octets)` dissects Proxy Binding Updates and Acknowledgements.
"""
# scapy.contrib.description = Proxy Mobile IPv6 (PMIPv6)
# scapy.contrib.status = library
# ruff: noqa: N801, RUF012 - written as scapy writes its own.

from typing import Any

from scapy.fields import (
    BitField,
    ByteEnumField,
    ByteField,
    FieldLenField,
    FlagsField,
    IntEnumField,
    IntField,
    ShortField,
    StrLenField,
    XBitField,
    XShortField,
)
from scapy.layers import inet6
from scapy.layers.inet6 import (
    MIP6MH_BA,
    MIP6MH_BU,
    IP6Field,
    LifetimeField,
    MIP6OptMNID,
    MIP6OptUnknown,
    _MIP6OptAlign,
    _MobilityHeader,
    _mobopttypes,
    _OptionsField,
    _PhantomAutoPadField,
    bastatus,
    ipv6nh,
    mhtypes,
)

_mobopttypes.update(
    {
        19: "Vendor Specific",
        22: "Home Network Prefix",
        23: "Handoff Indicator",
        24: "Access Technology Type",
        25: "Mobile Node Link-layer Identifier",
        26: "Link-local Address",
        27: "Timestamp",
        28: "Restart Counter",
    }
)

# RFC 5213 Sect 8.9
bastatus.update(
    {
        152: "Proxy registration not enabled",
        153: "Not LMA for this mobile node",
        154: "MAG not authorized for proxy registration",
        155: "Not authorized for home network prefix",
        156: "Timestamp mismatch",
        157: "Timestamp lower than previously accepted",
        158: "Missing home network prefix option",
        159: "Prefix set does not match binding cache entry",
        160: "Missing MN-Identifier option",
        161: "Missing Handoff Indicator option",
        162: "Missing Access Technology Type option",
    }
)

_handoff_indicators = {
    0: "Reserved",
    1: "Attachment over a new interface",
    2: "Handoff between two interfaces of the mobile node",
    3: "Handoff between MAGs for the same interface",
    4: "Handoff state unknown",
    5: "Handoff state not changed (re-registration)",
}

_access_technology_types = {
    0: "Reserved",
    1: "Virtual",
    2: "PPP",
    3: "IEEE 802.3",
    4: "IEEE 802.11a/b/g",
    5: "IEEE 802.16e",
}

_vendors = {10415: "3GPP"}


class MIP6OptVendorSpecific(_MIP6OptAlign):  # RFC 5094 Sect 3
    name = "MIPv6 Option - Vendor Specific"
    fields_desc = [
        ByteEnumField("otype", 19, _mobopttypes),
        FieldLenField("olen", None, length_of="data", fmt="B", adjust=lambda _, x: x + 5),
        IntEnumField("vendorid", 0, _vendors),
        ByteField("subtype", 0),
        StrLenField("data", b"", length_from=lambda pkt: pkt.olen - 5),
    ]
    x = 4
    y = 2  # alignment requirement: 4n+2


class MIP6OptHomeNetworkPrefix(_MIP6OptAlign):  # RFC 5213 Sect 8.3
    name = "PMIPv6 Option - Home Network Prefix"
    fields_desc = [
        ByteEnumField("otype", 22, _mobopttypes),
        ByteField("olen", 18),
        ByteField("reserved", 0),
        ByteField("plen", 64),
        IP6Field("prefix", "::"),
    ]
    x = 8
    y = 4  # alignment requirement: 8n+4


class MIP6OptHandoffIndicator(_MIP6OptAlign):  # RFC 5213 Sect 8.4
    name = "PMIPv6 Option - Handoff Indicator"
    fields_desc = [
        ByteEnumField("otype", 23, _mobopttypes),
        ByteField("olen", 2),
        ByteField("reserved", 0),
        ByteEnumField("hi", 4, _handoff_indicators),
    ]
    x = 0
    y = 0  # alignment requirement: none


class MIP6OptAccessTechnologyType(_MIP6OptAlign):  # RFC 5213 Sect 8.5
    name = "PMIPv6 Option - Access Technology Type"
    fields_desc = [
        ByteEnumField("otype", 24, _mobopttypes),
        ByteField("olen", 2),
        ByteField("reserved", 0),
        ByteEnumField("att", 3, _access_technology_types),
    ]
    x = 0
    y = 0  # alignment requirement: none


class MIP6OptMNLLId(_MIP6OptAlign):  # RFC 5213 Sect 8.6
    name = "PMIPv6 Option - Mobile Node Link-layer Identifier"
    fields_desc = [
        ByteEnumField("otype", 25, _mobopttypes),
        FieldLenField("olen", None, length_of="llid", fmt="B", adjust=lambda _, x: x + 2),
        ShortField("reserved", 0),
        StrLenField("llid", b"", length_from=lambda pkt: pkt.olen - 2),
    ]
    x = 0
    y = 0  # alignment requirement: none


class MIP6OptLinkLocalAddress(_MIP6OptAlign):  # RFC 5213 Sect 8.7
    name = "PMIPv6 Option - Link-local Address"
    fields_desc = [
        ByteEnumField("otype", 26, _mobopttypes),
        ByteField("olen", 16),
        IP6Field("lla", "::"),
    ]
    x = 8
    y = 6  # alignment requirement: 8n+6


class MIP6OptTimestamp(_MIP6OptAlign):  # RFC 5213 Sect 8.8
    name = "PMIPv6 Option - Timestamp"
    fields_desc = [
        ByteEnumField("otype", 27, _mobopttypes),
        ByteField("olen", 8),
        BitField("seconds", 0, 48),  # since 1970-01-01 00:00 UTC
        ShortField("fraction", 0),  # unit == 1/65536 second
    ]
    x = 8
    y = 2  # alignment requirement: 8n+2


class MIP6OptRestartCounter(_MIP6OptAlign):  # RFC 5847 Sect 3.4
    name = "PMIPv6 Option - Restart Counter"
    fields_desc = [
        ByteEnumField("otype", 28, _mobopttypes),
        ByteField("olen", 4),
        IntField("counter", 0),
    ]
    x = 4
    y = 2  # alignment requirement: 4n+2


inet6.moboptcls.update(
    {
        19: MIP6OptVendorSpecific,
        22: MIP6OptHomeNetworkPrefix,
        23: MIP6OptHandoffIndicator,
        24: MIP6OptAccessTechnologyType,
        25: MIP6OptMNLLId,
        26: MIP6OptLinkLocalAddress,
        27: MIP6OptTimestamp,
        28: MIP6OptRestartCounter,
    }
)

_P_IN_BU = 0x02  # octet 8 of the message
_P_IN_BA = 0x20  # octet 7


class MIP6MH_PBU(MIP6MH_BU):  # RFC 5213 Sect 8.1
    name = "IPv6 Mobility Header - Proxy Binding Update"
    fields_desc = [
        ByteEnumField("nh", 59, ipv6nh),
        ByteField("len", None),  # unit == 8 bytes (excluding the first 8 bytes)
        ByteEnumField("mhtype", 5, mhtypes),
        ByteField("res", 0),
        XShortField("cksum", None),
        XShortField("seq", 0),
        FlagsField("flags", "PHA", 10, "BTFPRMKLHA"),
        XBitField("reserved", 0, 6),
        LifetimeField("mhtime", 3),  # unit == 4 seconds
        _PhantomAutoPadField("autopad", 1),
        _OptionsField("options", [], MIP6OptUnknown, 12, length_from=lambda pkt: 8 * pkt.len - 4),
    ]

    @classmethod
    def dispatch_hook(cls, _pkt: bytes | None = None, *_: Any, **__: Any) -> type:
        """A Binding Update without the P flag stays scapy's own."""
        return cls if not _pkt or (_pkt[8:9] and _pkt[8] & _P_IN_BU) else MIP6MH_BU


class MIP6MH_PBA(MIP6MH_BA):  # RFC 5213 Sect 8.2
    name = "IPv6 Mobility Header - Proxy Binding ACK"
    fields_desc = [
        ByteEnumField("nh", 59, ipv6nh),
        ByteField("len", None),  # unit == 8 bytes (excluding the first 8 bytes)
        ByteEnumField("mhtype", 6, mhtypes),
        ByteField("res", 0),
        XShortField("cksum", None),
        ByteEnumField("status", 0, bastatus),
        FlagsField("flags", "P", 5, "BTPRK"),
        XBitField("res2", 0, 3),
        XShortField("seq", 0),
        LifetimeField("mhtime", 0),  # unit == 4 seconds
        _PhantomAutoPadField("autopad", 1),
        _OptionsField("options", [], MIP6OptUnknown, 12, length_from=lambda pkt: 8 * pkt.len - 4),
    ]

    @classmethod
    def dispatch_hook(cls, _pkt: bytes | None = None, *_: Any, **__: Any) -> type:
        """A Binding Acknowledgement without the P flag stays scapy's own."""
        return cls if not _pkt or (_pkt[7:8] and _pkt[7] & _P_IN_BA) else MIP6MH_BA

    def answers(self, other: object) -> int:
        """RFC 5213 Sect 6.9.1.2: same Sequence # and same mobile node."""
        if not isinstance(other, MIP6MH_PBU) or self.seq != other.seq:
            return 0
        return int(_mobile_node_id(self) == _mobile_node_id(other))


class MIP6MH_HB(_MobilityHeader):  # RFC 5847 Sect 3.3
    name = "IPv6 Mobility Header - Heartbeat"
    fields_desc = [
        ByteEnumField("nh", 59, ipv6nh),
        ByteField("len", None),  # unit == 8 bytes (excluding the first 8 bytes)
        ByteEnumField("mhtype", 13, mhtypes),
        ByteField("res", 0),
        XShortField("cksum", None),
        FlagsField("flags", 0, 16, "RU"),
        IntField("seq", 0),
        _PhantomAutoPadField("autopad", 1),
        _OptionsField("options", [], MIP6OptUnknown, 12, length_from=lambda pkt: 8 * pkt.len - 4),
    ]
    overload_fields = {inet6.IPv6: {"nh": 135}}


def _mobile_node_id(message: MIP6MH_PBU | MIP6MH_PBA) -> bytes | None:
    return next((o.id for o in message.options if isinstance(o, MIP6OptMNID)), None)


inet6._mip6_mhtype2cls[5] = MIP6MH_PBU
inet6._mip6_mhtype2cls[6] = MIP6MH_PBA
inet6._mip6_mhtype2cls[13] = MIP6MH_HB
