"""Everything of a namespace that the packet path could leave changed, as a value to compare."""

import socket
import struct
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from mag.dataplane.kernel import seg6
from mag.dataplane.kernel.netlink_channel import NetlinkChannel
from mag.dataplane.kernel.nf_tables import NETLINK_NETFILTER
from support.namespaces import in_namespace

AF_INET6 = socket.AF_INET6
SETTINGS = ("forwarding", "accept_ra", "addr_gen_mode", "proxy_ndp")
ROUTE_KEYS = ("RTA_DST", "RTA_SRC", "RTA_GATEWAY", "RTA_OIF", "RTA_TABLE", "RTA_PRIORITY")
RULE_KEYS = ("FRA_PRIORITY", "FRA_TABLE", "FRA_IIFNAME", "FRA_IP_PROTO", "FRA_PROTOCOL", "FRA_DST")
LINK_KEYS = ("IFLA_IFNAME", "IFLA_ADDRESS", "IFLA_MTU", "IFLA_IFALIAS", "IFLA_PROP_LIST")
NEIGHBOR_KEYS = ("NDA_DST", "NDA_LLADDR")
ADDRESS_KEYS = ("IFA_ADDRESS", "IFA_PROTO")
UP = 1
PERMANENT = 0x80


def snapshot(namespace: str) -> dict[str, Any]:
    """Links, addresses, routes, rules, permanent neighbours, sysctls, nftables, tunnel source."""
    return in_namespace(namespace, _snapshot)


def _snapshot() -> dict[str, Any]:
    with IPRoute() as netlink:
        return {
            "links": _rows(netlink.get_links(), LINK_KEYS, lambda link: link["flags"] & UP),
            "addresses": _rows(netlink.get_addr(), ADDRESS_KEYS, lambda found: found["index"]),
            "routes": _rows(netlink.get_routes(family=AF_INET6), ROUTE_KEYS, _route_fields),
            "rules": _rows(netlink.get_rules(family=AF_INET6), RULE_KEYS, lambda r: r["action"]),
            "neighbors": _rows(
                (found for found in netlink.get_neighbours() if found["state"] == PERMANENT),
                NEIGHBOR_KEYS,
                lambda found: found["ifindex"],
            ),
            "settings": _settings(),
            "nftables": _tables(),
            "tunnel source": seg6.tunnel_source(),
        }


def _rows(messages: Any, keys: tuple[str, ...], extra: Any) -> list[str]:
    return sorted(
        repr([extra(message), *(message.get_attr(key) for key in keys)]) for message in messages
    )


def _route_fields(route: Any) -> tuple[int, ...]:
    return route["dst_len"], route["src_len"], route["proto"], route["type"]


def _settings() -> dict[str, str]:
    root = Path("/proc/sys/net/ipv6/conf")
    return {
        f"{path.name}/{name}": (path / name).read_text().strip()
        for path in root.iterdir()
        for name in SETTINGS
    }


def _tables() -> list[str]:
    """Of nftables, in any family: NFT_MSG_GETTABLE, whose answers begin with the name."""
    request = struct.pack("=IHHIIBBH", 20, 10 << 8 | 1, 0x301, 0, 0, 0, 0, 0)
    with NetlinkChannel(NETLINK_NETFILTER) as channel:
        return [_first_attribute(body[4:]) for body in channel.dump(request)]


def _first_attribute(attributes: bytes) -> str:
    (length,) = struct.unpack_from("=H", attributes)
    return attributes[4:length].rstrip(b"\0").decode()
