"""The query that makes silent nodes speak, judged by tshark."""

from ipaddress import IPv6Address

from mag.services.wake_up import wake_up
from support.tshark import COMPLAINT_FIELDS, dissect, requires_tshark

GATEWAY = IPv6Address("fe80::200:5eff:fe00:5213")


pytestmark = requires_tshark


def test_query_is_a_valid_mld_general_query() -> None:
    """RFC 3810 §5.1: hop limit 1, Router Alert, no group, answers within 200 ms."""
    fields = {
        "ipv6.hlim": ["1"],
        "ipv6.dst": ["ff02::1"],
        "ipv6.opt.router_alert": ["0"],
        "icmpv6.type": ["130"],
        "icmpv6.checksum.status": ["1"],
        "icmpv6.mld.maximum_response_code": ["200"],
        "icmpv6.mld.multicast_address": ["::"],
    }
    (seen,) = dissect([wake_up(GATEWAY)], list(fields))
    assert seen == {**fields, **{name: [] for name in COMPLAINT_FIELDS}}
