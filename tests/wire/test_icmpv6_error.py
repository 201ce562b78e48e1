"""ICMPv6 Parameter Problem messages, judged by scapy."""

from ipaddress import IPv6Address

import pytest
from scapy.layers.inet6 import ICMPv6ParamProblem, IPv6

from mag.wire.icmpv6_error import ParameterProblem, ParameterProblemCode
from mag.wire.ipv6 import IPv6Packet

OURS = IPv6Address("2001:db8::a")
THEIRS = IPv6Address("2001:db8::b")


@pytest.mark.parametrize("octets", [8, 9, 1192, 1193, 2000])
def test_parameter_problem_reads_back_and_fits_into_the_minimum_mtu(octets: int) -> None:
    invoking = IPv6Packet(THEIRS, OURS, 135, bytes(range(256)) * 8).encode()[: 40 + octets]
    problem = ParameterProblem(ParameterProblemCode.ERRONEOUS_HEADER_FIELD, 41, invoking)
    packet = IPv6Packet(OURS, THEIRS, 58, problem.encode(OURS, THEIRS)).encode()
    assert len(packet) == min(1280, 48 + 40 + octets)
    read = IPv6(packet)[ICMPv6ParamProblem]
    assert (read.type, read.code, read.ptr) == (4, 0, 41)
    assert bytes(read.payload) == invoking[:1232]
    del read.cksum
    assert bytes(IPv6(bytes(IPv6(src=str(OURS), dst=str(THEIRS)) / read))) == packet
