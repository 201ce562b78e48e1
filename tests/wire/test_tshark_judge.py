"""Wireshark's dissectors on every kind of message that we can build."""

from ipaddress import IPv6Address, IPv6Network
from typing import Final

import pytest

from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.binding_error import BindingError
from mag.wire.binding_refresh_request import BindingRefreshRequest
from mag.wire.iana import (
    IP_PROTOCOL_MOBILITY_HEADER,
    BindingAcknowledgementFlag,
    BindingStatus,
    BindingUpdateFlag,
)
from mag.wire.ipv6 import IPv6Packet
from mag.wire.mobility_header import MobilityMessage
from mag.wire.neighbor_discovery import (
    PrefixInformation,
    RecursiveDnsServers,
    RouterAdvertisement,
)
from mag.wire.options import (
    AccessTechnologyTypeOption,
    AlternateCareOfAddressOption,
    BindingAuthorizationDataOption,
    BindingRefreshAdviceOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    TimestampOption,
    VendorSpecificOption,
)
from support.mobility_headers import LMA, MAG
from support.tshark import COMPLAINT_FIELDS, dissect, requires_tshark
from support.vectors import load_vectors

pytestmark = requires_tshark

GATEWAY: Final = IPv6Address("fe80::200:5eff:fe00:5213")
ALL_NODES: Final = IPv6Address("ff02::1")
NO_COMPLAINT: Final[dict[str, list[str]]] = {field: [] for field in COMPLAINT_FIELDS}

OPTIONS: Final = (
    MobileNodeIdentifierOption(b"mn1@example.net"),
    HomeNetworkPrefixOption.of(IPv6Network("2001:db8:100:1::/64")),
    HomeNetworkPrefixOption.of(IPv6Network("2001:db8:200::/60")),
    HandoffIndicatorOption(3),
    AccessTechnologyTypeOption(4),
    TimestampOption(1700000000 << 16 | 0x8000),
    MobileNodeLinkLayerIdentifierOption(bytes.fromhex("02005e100001")),
    LinkLocalAddressOption(GATEWAY),
    AlternateCareOfAddressOption(MAG),
    BindingRefreshAdviceOption(1800),
    VendorSpecificOption(9, 7, b"abcd"),
)
OPTION_FIELDS: Final = {
    "mip6.mnid.subtype": ["1"],
    "mip6.mnid.identifier": ["mn1@example.net"],
    "mip6.nemo.mnp.pfl": ["64", "60"],
    "mip6.nemo.mnp.mnp": ["2001:db8:100:1::", "2001:db8:200::"],
    "mip6.hi": ["3"],
    "mip6.att": ["4"],
    "mip6.timestamp_tmp": ["Nov 14, 2023 22:13:20.500000000 UTC"],
    "mip6.mnlli.lli": ["02005e100001"],
    "mip6.lila_lla": ["fe80::200:5eff:fe00:5213"],
    "mip6.acoa.acoa": ["2001:db8:0:a::1"],
    "mip6.bra.interval": ["450"],
    "mip6.vsm.vendorId": ["9"],
    "mip6.vsm.subtype": ["7"],
}

# What tshark shall print of each message; no list at all where it shall print nothing.
EXPECTED: Final[list[tuple[str, MobilityMessage, dict[str, list[str]]]]] = [
    (
        "update with every option",
        ProxyBindingUpdate(0xABCD, 3600, OPTIONS),
        {
            "mip6.proto": ["59"],
            "mip6.mhtype": ["5"],
            "mip6.bu.seqnr": ["43981"],
            "mip6.bu.lifetime": ["900"],
            "mip6.bu.a_flag": ["1"],
            "mip6.bu.h_flag": ["1"],
            "mip6.bu.p_flag": ["1"],
            "mip6.bu.l_flag": ["0"],
            "mip6.bu.b_flag": ["0"],
            **OPTION_FIELDS,
        },
    ),
    (
        "update with every flag",
        ProxyBindingUpdate(1, 4, (), BindingUpdateFlag(sum(BindingUpdateFlag))),
        {
            f"mip6.{flag}_flag": ["1"]
            for flag in (
                *("bu.a", "bu.h", "bu.l", "bu.k", "bu.m"),
                *("nemo.bu.r", "bu.p", "bu.f", "bu.t", "bu.b"),
            )
        },
    ),
    (
        "de-registration",
        ProxyBindingUpdate(2, 0, (HandoffIndicatorOption(4),)),
        {"mip6.bu.lifetime": ["0"], "mip6.hi": ["4"]},
    ),
    (
        "acknowledgement with every option",
        ProxyBindingAcknowledgement(0, 0xABCD, 262140, OPTIONS),
        {
            "mip6.mhtype": ["6"],
            "mip6.ba.status": ["0"],
            "mip6.ba.seqnr": ["43981"],
            "mip6.ba.lifetime": ["65535"],
            "mip6.ba.p_flag": ["1"],
            "mip6.ba.k_flag": ["0"],
            **OPTION_FIELDS,
        },
    ),
    (
        "acknowledgement with every flag",
        ProxyBindingAcknowledgement(
            0, 1, 4, (), BindingAcknowledgementFlag(sum(BindingAcknowledgementFlag))
        ),
        {f"mip6.{flag}_flag": ["1"] for flag in ("ba.k", "nemo.ba.r", "ba.p", "ba.t", "ba.b")},
    ),
    *(
        (
            f"acknowledgement {status.name}",
            ProxyBindingAcknowledgement(status, 1, 0, OPTIONS[:5]),
            {"mip6.ba.status": [str(int(status))], "mip6.mnid.identifier": ["mn1@example.net"]},
        )
        for status in BindingStatus
    ),
    (
        "acknowledgement with authorization data",
        ProxyBindingAcknowledgement(
            0, 1, 4, (OPTIONS[0], BindingAuthorizationDataOption(bytes(range(12))))
        ),
        {"mip6.bad.auth": ["000102030405060708090a0b"]},
    ),
    (
        "binding error",
        BindingError(1, MAG),
        {
            "mip6.mhtype": ["7"],
            "mip6.be.status": ["1"],
            "mip6.be.haddr": ["2001:db8:0:a::1"],
        },
    ),
    ("refresh request", BindingRefreshRequest(), {"mip6.mhtype": ["0"], "mip6.hlen": ["0"]}),
    (
        "refresh request with an identifier",
        BindingRefreshRequest(OPTIONS[:1]),
        {"mip6.mhtype": ["0"], "mip6.mnid.identifier": ["mn1@example.net"]},
    ),
]

ADVERTISEMENT: Final = RouterAdvertisement(
    cur_hop_limit=64,
    router_lifetime_s=1800,
    reachable_time_ms=30000,
    retrans_timer_ms=1000,
    prefixes=(
        PrefixInformation(IPv6Network("2001:db8:100:1::/64"), 7200, 3600),
        PrefixInformation(IPv6Network("2001:db8:200::/60"), 0, 0, on_link=True, autonomous=False),
    ),
    source_link_layer_address=bytes.fromhex("00005e005213"),
    mtu=1460,
    managed=True,
    other=True,
    recursive_dns_servers=RecursiveDnsServers(
        1800, (IPv6Address("2001:db8::53"), IPv6Address("2001:db8::54"))
    ),
)
ADVERTISEMENT_FIELDS: Final = {
    "icmpv6.type": ["134"],
    "icmpv6.checksum.status": ["1"],
    "icmpv6.nd.ra.cur_hop_limit": ["64"],
    "icmpv6.nd.ra.flag.m": ["1"],
    "icmpv6.nd.ra.flag.o": ["1"],
    "icmpv6.nd.ra.router_lifetime": ["1800"],
    "icmpv6.nd.ra.reachable_time": ["30000"],
    "icmpv6.nd.ra.retrans_timer": ["1000"],
    "icmpv6.opt.linkaddr": ["00:00:5e:00:52:13"],
    "icmpv6.opt.mtu": ["1460"],
    "icmpv6.opt.prefix": ["2001:db8:100:1::", "2001:db8:200::"],
    "icmpv6.opt.prefix.length": ["64", "60"],
    "icmpv6.opt.prefix.flag.l": ["1", "1"],
    "icmpv6.opt.prefix.flag.a": ["1", "0"],
    "icmpv6.opt.prefix.valid_lifetime": ["7200", "0"],
    "icmpv6.opt.prefix.preferred_lifetime": ["3600", "0"],
    "icmpv6.opt.rdnss": ["2001:db8::53", "2001:db8::54"],
    "icmpv6.opt.rdnss.lifetime": ["1800"],
}


def _packet(message: MobilityMessage) -> bytes:
    octets = mobility_header.encode(message, MAG, LMA)
    return IPv6Packet(MAG, LMA, IP_PROTOCOL_MOBILITY_HEADER, octets).encode()


@pytest.fixture(scope="module")
def dissected() -> dict[str, dict[str, list[str]]]:
    """All messages of EXPECTED, by name, from one run of tshark."""
    fields = sorted({field for _, _, values in EXPECTED for field in values})
    rows = dissect([_packet(message) for _, message, _ in EXPECTED], fields)
    return dict(zip((name for name, _, _ in EXPECTED), rows, strict=True))


@pytest.mark.requirement("PBU-17")
@pytest.mark.parametrize(
    ("name", "values"),
    [(name, values) for name, _, values in EXPECTED],
    ids=[name for name, _, _ in EXPECTED],
)
def test_message_is_read_as_meant_and_without_complaint(dissected, name, values):
    row = dissected[name]
    assert {field: row[field] for field in (*values, *COMPLAINT_FIELDS)} == {
        **values,
        **NO_COMPLAINT,
    }


def test_router_advertisement_is_read_as_meant_and_without_complaint():
    [row] = dissect([ADVERTISEMENT.encode(GATEWAY, ALL_NODES)], list(ADVERTISEMENT_FIELDS))
    assert row == {**ADVERTISEMENT_FIELDS, **NO_COMPLAINT}


def test_vectors_are_read_without_complaint():
    vectors = load_vectors()
    rows = dissect([vector.packet for vector in vectors], ["ipv6.src"])
    for vector, row in zip(vectors, rows, strict=True):
        assert row == {"ipv6.src": [str(vector.source)], **NO_COMPLAINT}, vector.name


def test_judge_complains_about_an_option_that_crosses_the_end():
    """Silence of the judge means something only if it can speak."""
    packet = _packet(ProxyBindingUpdate(1, 4, (HandoffIndicatorOption(1),)))
    [row] = dissect([packet[:-3] + b"\x20" + packet[-2:]], [])
    assert any(row[field] for field in COMPLAINT_FIELDS)
