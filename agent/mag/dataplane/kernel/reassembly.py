"""Fragments of tunnel packets are joined before anything looks at them (RFC 2473 §3.3).

The kernel joins fragments ahead of all routing in a network namespace in which something needs
whole packets. Connection tracking is the usual one; `tproxy` is another, and has no price for
packets that are whole.
"""

from ipaddress import IPv6Address
from socket import IPPROTO_TCP
from typing import Final

from mag.dataplane.kernel.filter_table import TABLE, TABLE_NAME
from mag.dataplane.kernel.layout import NODE_FRAGMENT_MARK

_BEFORE_REASSEMBLY: Final = "{ type filter hook prerouting priority -450; }"
"""NF_IP6_PRI_RAW_BEFORE_DEFRAG; reassembly is at -400, the table's other rules at -300."""
_NEEDS_WHOLE_PACKETS: Final = f"meta l4proto {IPPROTO_TCP} tproxy ip6 to :1"
_STAYS_A_FRAGMENT: Final = "notrack accept"

_PROBE_TABLE: Final = f"inet {TABLE_NAME}-probe"
PROBE: Final = (
    f"add table {_PROBE_TABLE}\n"
    f"add chain {_PROBE_TABLE} needs_whole_packets\n"
    f"add rule {_PROBE_TABLE} needs_whole_packets {_NEEDS_WHOLE_PACKETS}\n"
    f"add rule {_PROBE_TABLE} needs_whole_packets {_STAYS_A_FRAGMENT}\n"
    f"delete table {_PROBE_TABLE}\n"
)
"""Refused where the kernel lacks what is needed; leaves nothing."""


def commands(proxy_care_of_address: IPv6Address) -> str:
    """To be run on the base of the table; repeating it changes nothing."""
    chains = {
        "fragment": (
            "",
            (
                # What nodes have cut stays so, into the tunnel interface and out of it.
                f"iifname @access_interfaces meta mark set meta mark or {NODE_FRAGMENT_MARK:#x}",
                f"meta mark and {NODE_FRAGMENT_MARK:#x} != 0 {_STAYS_A_FRAGMENT}",
                # Before it takes memory.
                f"iifname @core_interfaces meta l4proto 41 ip6 daddr {proxy_care_of_address}"
                " ip6 saddr != @lma_addresses counter name unknown_tunnel_peer drop",
            ),
        ),
        "before_reassembly": (_BEFORE_REASSEMBLY, ("exthdr frag exists jump fragment",)),
        # That the rule is there is what counts: no packet comes here.
        "needs_whole_packets": ("", (_NEEDS_WHOLE_PACKETS,)),
    }
    return "".join(
        f"add chain {TABLE} {name} {hook}\n"
        f"flush chain {TABLE} {name}\n"
        + "".join(f"add rule {TABLE} {name} {rule}\n" for rule in rules)
        for name, (hook, rules) in chains.items()
    )
