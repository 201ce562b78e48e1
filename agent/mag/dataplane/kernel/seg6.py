"""Segment routing as the means of plain IPv6-in-IPv6: reduced encapsulation of one segment.

`encap.red` with a single segment has no routing header: bit for bit RFC 2473 without options.
"""

from ipaddress import IPv6Address
from typing import Any, Final

from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST, genlmsg
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket
from pyroute2.netlink.rtnl.rtmsg import rtmsg_base

from mag.dataplane.base import DataplaneError
from mag.dataplane.kernel.refusal import asking

_ENCAPSULATION_MODE: Final = "encap.red"
_ENCAPSULATION_MODE_NUMBER: Final = 3
_SET_TUNNEL_SOURCE: Final = 3
_GET_TUNNEL_SOURCE: Final = 4
UNSPECIFIED: Final = IPv6Address("::")


def register_reduced_encapsulation() -> None:
    """Teach pyroute2 the mode.

    pyroute2 0.9.7 silently sends a mode it does not know as `encap`, with a routing header.
    """
    header = rtmsg_base.seg6_encap_info.ipv6_sr_hdr
    header.encapmodes[_ENCAPSULATION_MODE] = _ENCAPSULATION_MODE_NUMBER
    header.r_encapmodes[_ENCAPSULATION_MODE_NUMBER] = _ENCAPSULATION_MODE


def encapsulation(lma_address: IPv6Address) -> dict[str, Any]:
    """The `encap` of a route whose packets go to the LMA in a tunnel header."""
    register_reduced_encapsulation()
    return {"type": "seg6", "mode": _ENCAPSULATION_MODE, "segs": [str(lma_address)]}


def decapsulation(table: int) -> dict[str, Any]:
    """The `encap` of a route that takes the tunnel header off and goes on in `table`."""
    return {"type": "seg6local", "action": "End.DT6", "table": table}


class _Seg6Message(genlmsg):  # type: ignore[misc]
    nla_map = (
        ("SEG6_ATTR_UNSPEC", "none"),
        ("SEG6_ATTR_DST", "ip6addr"),
        ("SEG6_ATTR_DSTLEN", "uint32"),
    )


def set_tunnel_source(address: IPv6Address) -> None:
    """The outer source of everything encapsulated in this namespace: there is only one."""
    _request(_SET_TUNNEL_SOURCE, [("SEG6_ATTR_DST", str(address))])


def tunnel_source() -> IPv6Address:
    """The outer source now; unspecified when nobody set it."""
    for answer in _request(_GET_TUNNEL_SOURCE, []):
        if (text := answer.get_attr("SEG6_ATTR_DST")) is not None:
            return IPv6Address(text)
    return UNSPECIFIED


def _request(command: int, attributes: list[tuple[str, str]]) -> list[Any]:
    with asking("segment routing tunnel source"), GenericNetlinkSocket() as channel:
        try:
            channel.bind("SEG6", _Seg6Message)
        except NetlinkError as error:
            raise DataplaneError("open", "the kernel has no IPv6 segment routing") from error
        message = _Seg6Message()
        message["cmd"] = command
        message["version"] = 1
        message["attrs"] = attributes
        flags = NLM_F_REQUEST | NLM_F_ACK
        return list(channel.nlm_request(message, msg_type=channel.prid, msg_flags=flags))
    return []
