"""What this machine can and cannot do, found out before anything is changed."""

import os
import re
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Final

from pyroute2.netlink.exceptions import NetlinkError

from mag.dataplane.base import DataplaneError
from mag.dataplane.kernel import filter_table, layout, reassembly, seg6
from mag.dataplane.kernel.interfaces import Interface, Interfaces
from mag.dataplane.kernel.nftables import Nftables, NftablesMissingError, NotInNftablesError
from mag.dataplane.kernel.route_encoder import AF_INET6

_OLDEST_RELEASE: Final = (6, 0)
_CAP_NET_ADMIN: Final = 12

LIMITATIONS: Final = (
    "one Proxy-CoA in a network namespace",
    "no fragmentation of tunnel packets: the path MTU to each LMA must be 1320 or more"
    " (RFC 2473 §7.1)",
    "a packet larger than the largest fragment of its tunnel packet reaches the node in fragments",
    "the Tunnel Encapsulation Limit option is neither sent nor checked (RFC 2473 §4.1.1)",
    "a node's packet that arrives with hop limit 2 ends in the tunnel entry (RFC 2473 §6.3)",
    "a tunnel packet without a binding whose inner hop limit is 1 is not dropped silently: its"
    " source gets a Time Exceeded",
)
WITHOUT_NFTABLES: Final = (
    "without libnftables: no check of the node's link and link-layer address",
    "without libnftables: no counters",
    "without libnftables: no local routing, all packets between nodes go through their LMAs",
    "without libnftables: no ECN on tunnel packets (RFC 2473 §6.4, RFC 3168 §9.1)",
    "without libnftables: the outer hop limit is the inner one",
    "without libnftables: fragmented tunnel packets are lost (RFC 2473 §3.3)",
    "without libnftables: the Subnet-Router anycast address of home network prefixes is not"
    " answered",
)
WITHOUT_REASSEMBLY: Final = (
    "without nft_tproxy and nft_ct in the kernel: fragmented tunnel packets are lost"
    " (RFC 2473 §3.3)",
)


def check_process() -> None:
    """Raises DataplaneError if kernel or capabilities rule this path out altogether."""
    check_release(os.uname().release)
    check_capability(Path("/proc/self/status").read_text())


def check_machine(
    netlink: Any, core_interfaces: tuple[str, ...], proxy_care_of_address: IPv6Address
) -> None:
    """Raises DataplaneError with the first thing that is missing."""
    interfaces = Interfaces(netlink)
    cores = [interfaces.get(name) for name in core_interfaces]
    _check_tunnel_source(proxy_care_of_address, interfaces)
    _check_reduced_encapsulation(netlink, [*_loopback(interfaces), *cores])


def open_nftables() -> Nftables | None:
    """A working libnftables, or None where library or kernel lack it."""
    try:
        nftables = Nftables()
    except NftablesMissingError:
        return None
    try:
        nftables.run(filter_table.LIST_NO_TABLE)
    except NotInNftablesError:
        return nftables
    except DataplaneError:
        nftables.close()
    return None


def joins_fragments(nftables: Nftables) -> bool:
    """Whether this kernel joins fragments of tunnel packets if it is told to."""
    try:
        nftables.run(reassembly.PROBE)
    except DataplaneError:
        return False
    return True


def check_release(release: str) -> None:
    """Raises DataplaneError if the kernel release is too old."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    if numbers < _OLDEST_RELEASE:
        wanted = ".".join(map(str, _OLDEST_RELEASE))
        raise DataplaneError("open", f"Linux {release} is older than {wanted} (seg6 encap.red)")


def check_capability(status: str) -> None:
    """status: text of /proc/self/status. Raises DataplaneError without CAP_NET_ADMIN."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    if match is None or not int(match[1], 16) >> _CAP_NET_ADMIN & 1:
        raise DataplaneError("open", "needs CAP_NET_ADMIN: run as root or grant it")


def _check_tunnel_source(proxy_care_of_address: IPv6Address, interfaces: Interfaces) -> None:
    source = seg6.tunnel_source()
    if source in (seg6.UNSPECIFIED, proxy_care_of_address):
        return
    if interfaces.find(layout.SINK_INTERFACE) is None:
        reason = f"the namespace already uses {source} as segment routing tunnel source"
        raise DataplaneError("open", reason, target=str(proxy_care_of_address))


def _loopback(interfaces: Interfaces) -> Iterator[Interface]:
    if (loopback := interfaces.find("lo")) is not None:
        yield loopback


def _check_reduced_encapsulation(netlink: Any, candidates: list[Interface]) -> None:
    """Add and delete a route that no packet can meet: its table has no rule."""
    usable = next((interface for interface in candidates if interface.is_up), None)
    if usable is None:
        down = candidates[-1].name
        raise DataplaneError("open", "interface is down", target=down)
    route = {
        "family": AF_INET6,
        "dst": "100::/128",
        "src": "100::1/128",
        "table": layout.DEFAULT_TABLE_BASE - 1,
        "proto": layout.ROUTE_PROTOCOL,
        "oif": usable.index,
    }
    try:
        netlink.route("replace", encap=seg6.encapsulation(IPv6Address("100::2")), **route)
        netlink.route("del", **route)
    except NetlinkError as error:
        reason = f"the kernel refuses seg6 encap.red on a source-specific route: {error}"
        raise DataplaneError("open", reason) from error
