"""Link state of access interfaces, from the kernel's route netlink."""

from collections.abc import AsyncIterator, Collection
from typing import Any, Final

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.rtnl import RTMGRP_LINK

from mag.frozen import frozen

_RTM_NEWLINK: Final = 16
_RTM_DELLINK: Final = 17
_IFF_UP: Final = 1
_IFF_LOWER_UP: Final = 1 << 16


@frozen
class LinkState:
    """An interface as the kernel last reported it."""

    interface: str
    is_up: bool
    """Administratively up and with carrier; False also when the interface is gone."""
    mtu_octets: int
    index: int = 0
    """Another one than before: the interface was made anew."""


async def watch_links(interfaces: Collection[str]) -> AsyncIterator[LinkState]:
    """The state of each interface now, then every change of it."""
    last: dict[str, LinkState] = {}
    async with AsyncIPRoute() as route:
        # Subscribed before the dump: a change in between is seen twice rather than not at all.
        await route.bind(groups=RTMGRP_LINK)
        async for message in _messages(route):
            state = _link_state(message)
            if state and state.interface in interfaces and last.get(state.interface) != state:
                last[state.interface] = state
                yield state


async def _messages(route: AsyncIPRoute) -> AsyncIterator[Any]:
    async for message in await route.get_links():
        yield message
    while True:
        async for message in route.get():
            yield message


def _link_state(message: Any) -> LinkState | None:
    kind = message["header"]["type"]
    if kind not in (_RTM_NEWLINK, _RTM_DELLINK):
        return None
    flags = message["flags"]
    return LinkState(
        interface=message.get_attr("IFLA_IFNAME"),
        is_up=kind == _RTM_NEWLINK and bool(flags & _IFF_UP) and bool(flags & _IFF_LOWER_UP),
        mtu_octets=message.get_attr("IFLA_MTU") or 0,
        index=message["index"],
    )
