"""What it takes to write and to read one message of ten options, for us and for scapy."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from scapy.layers.inet6 import IPv6, MIP6OptBRAdvice, MIP6OptMNID, in6_chksum

from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER, AccessTechnologyType, HandoffIndicator
from mag.wire.options import (
    AccessTechnologyTypeOption,
    BindingRefreshAdviceOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
    TimestampOption,
    VendorSpecificOption,
)
from perf.control_plane.measurement import Measurement, cpu_seconds
from perf.control_plane.nodes import LMA_ADDRESS, PROXY_CARE_OF_ADDRESS, mac, mn_id
from perf.control_plane.targets import TIMES_FASTER_THAN_SCAPY, Target
from perf.dataplane.ratio import Verdict, paired_ratio
from support import scapy_pmip6 as scapy

OUR_ROUNDS: Final = 2_000
SCAPY_ROUNDS: Final = 20

_SEQUENCE: Final = 4711
_LIFETIME_S: Final = 3600
_PREFIXES: Final = ("2001:db8:100:1::", "2001:db8:100:2::", "2001:db8:100:3::")
_NETWORKS: Final = tuple(IPv6Network(f"{prefix}/64") for prefix in _PREFIXES)
_LINK_LOCAL: Final = IPv6Address("fe80::200:5eff:fe00:5213")
_SECONDS: Final = 1_764_100_000
_3GPP: Final = 10415
_WIFI: Final = AccessTechnologyType.IEEE_802_11
_HANDOFF: Final = HandoffIndicator.UNKNOWN
_MH_TYPE_OFFSET: Final = 2
_SCAPY_MESSAGES: Final = {5: scapy.MIP6MH_PBU, 6: scapy.MIP6MH_PBA}


@dataclass(frozen=True, slots=True)
class Contest:
    """The same work done by both."""

    name: str
    ours: Callable[[], object]
    scapys: Callable[[], object]


def contests() -> list[Contest]:
    """Both messages, both ways. Raises ValueError if the two do not say the same."""
    update, acknowledgement = encode_update(), encode_acknowledgement()
    if (update, acknowledgement) != (scapy_encode_update(), scapy_encode_acknowledgement()):
        raise ValueError("scapy writes these messages otherwise: nothing to compare")
    return [
        Contest("pbu_encode", encode_update, scapy_encode_update),
        Contest(
            "pbu_decode",
            lambda: mobility_header.decode(update, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS),
            lambda: scapy_decode(update, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS),
        ),
        Contest("pba_encode", encode_acknowledgement, scapy_encode_acknowledgement),
        Contest(
            "pba_decode",
            lambda: mobility_header.decode(acknowledgement, LMA_ADDRESS, PROXY_CARE_OF_ADDRESS),
            lambda: scapy_decode(acknowledgement, LMA_ADDRESS, PROXY_CARE_OF_ADDRESS),
        ),
    ]


def measure_codec(pairs: int) -> Iterator[Measurement]:
    """Microseconds each, and how many times faster ours is, from slices in pairs."""
    for contest in contests():
        ours, scapys = [], []
        order = [(ours, contest.ours, OUR_ROUNDS), (scapys, contest.scapys, SCAPY_ROUNDS)]
        for _ in range(pairs):
            random.shuffle(order)
            for samples, work, rounds in order:
                samples.append(cpu_seconds(lambda w=work, r=rounds: _repeat(w, r)) / rounds)
        yield Measurement(f"{contest.name}_us", "µs", [1e6 * each for each in ours])
        yield Measurement(f"{contest.name}_scapy_us", "µs", [1e6 * each for each in scapys])
        yield _times_faster(contest.name, list(zip(ours, scapys, strict=True)))


def _repeat(work: Callable[[], object], rounds: int) -> None:
    for _ in range(rounds):
        work()


def _times_faster(name: str, pairs: list[tuple[float, float]]) -> Measurement:
    ratio = paired_ratio(pairs)
    verdict: Verdict = ratio.verdict(1 / TIMES_FASTER_THAN_SCAPY)
    return Measurement(
        f"{name}_times_faster",
        "times",
        [scapys / ours for ours, scapys in pairs],
        Target(TIMES_FASTER_THAN_SCAPY, is_upper=False),
        verdict,
    )


# Ours


def encode_update() -> bytes:
    """Values to octets, message and options made anew as the agent does."""
    message = ProxyBindingUpdate(
        _SEQUENCE,
        _LIFETIME_S,
        (
            *_common_options(),
            LinkLocalAddressOption(_LINK_LOCAL),
            VendorSpecificOption(_3GPP, 1, b"internet"),
        ),
    )
    return mobility_header.encode(message, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)


def encode_acknowledgement() -> bytes:
    """Likewise."""
    message = ProxyBindingAcknowledgement(
        0,
        _SEQUENCE,
        _LIFETIME_S,
        (
            *_common_options(),
            LinkLocalAddressOption(_LINK_LOCAL),
            BindingRefreshAdviceOption(_LIFETIME_S // 2),
        ),
    )
    return mobility_header.encode(message, LMA_ADDRESS, PROXY_CARE_OF_ADDRESS)


def _common_options() -> tuple[MobilityOption, ...]:
    return (
        MobileNodeIdentifierOption(mn_id(1)),
        *map(HomeNetworkPrefixOption.of, _NETWORKS),
        HandoffIndicatorOption(_HANDOFF),
        AccessTechnologyTypeOption(_WIFI),
        TimestampOption(_SECONDS << 16 | 1),
        MobileNodeLinkLayerIdentifierOption(mac(1)),
    )


# scapy's


def scapy_encode_update() -> bytes:
    """The same from the same values."""
    options = [
        *_scapy_common_options(),
        scapy.MIP6OptLinkLocalAddress(lla=str(_LINK_LOCAL)),
        scapy.MIP6OptVendorSpecific(vendorid=_3GPP, subtype=1, data=b"internet"),
    ]
    message = scapy.MIP6MH_PBU(seq=_SEQUENCE, mhtime=_LIFETIME_S // 4, options=options)
    return _scapy_octets(message, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)


def scapy_encode_acknowledgement() -> bytes:
    """Likewise."""
    options = [
        *_scapy_common_options(),
        scapy.MIP6OptLinkLocalAddress(lla=str(_LINK_LOCAL)),
        MIP6OptBRAdvice(rinter=_LIFETIME_S // 2 // 4),
    ]
    message = scapy.MIP6MH_PBA(seq=_SEQUENCE, mhtime=_LIFETIME_S // 4, options=options)
    return _scapy_octets(message, LMA_ADDRESS, PROXY_CARE_OF_ADDRESS)


def scapy_decode(octets: bytes, source: IPv6Address, destination: IPv6Address) -> object:
    """Read with the checksum verified, as ours is. Raises ValueError."""
    header = IPv6(src=str(source), dst=str(destination))
    if in6_chksum(IP_PROTOCOL_MOBILITY_HEADER, header, octets) != 0:
        raise ValueError("wrong checksum")
    return _SCAPY_MESSAGES[octets[_MH_TYPE_OFFSET]](octets)


def _scapy_common_options() -> list[object]:
    return [
        MIP6OptMNID(subtype=1, id=mn_id(1)),
        *(scapy.MIP6OptHomeNetworkPrefix(prefix=prefix) for prefix in _PREFIXES),
        scapy.MIP6OptHandoffIndicator(hi=int(_HANDOFF)),
        scapy.MIP6OptAccessTechnologyType(att=int(_WIFI)),
        scapy.MIP6OptTimestamp(seconds=_SECONDS, fraction=1),
        scapy.MIP6OptMNLLId(llid=mac(1)),
    ]


def _scapy_octets(message: object, source: IPv6Address, destination: IPv6Address) -> bytes:
    # The checksum, which ours writes too, needs the addresses around the message.
    header = IPv6(src=str(source), dst=str(destination), nh=IP_PROTOCOL_MOBILITY_HEADER)
    return bytes(header / message)[40:]
