"""Link state of VPP's interfaces, from its interface events."""

import asyncio
import os
from collections.abc import AsyncIterator, Collection
from typing import Any, Final

from mag.dataplane.base import DataplaneError
from mag.dataplane.vpp.client import VppClient
from mag.dataplane.vpp.interfaces import InterfaceDirectory
from mag.services.link_monitor import LinkState

INTERFACE_EVENT: Final = "sw_interface_event"
_REGISTERED_ALREADY: Final = -31
"""VNET_API_ERROR_INVALID_REGISTRATION: so VPP says when asked twice."""
SETTLING_S: Final = 10.0
"""A VPP that has just come back is still being configured: its own start-up commands begin two
seconds after it answers."""


class VppLinkMonitor:
    """Tells the state of interfaces, and keeps the directory of them fresh.

    That VPP is away changes no state: bindings outlive it. A link that is still down a while
    after VPP came back is down.
    """

    def __init__(
        self,
        client: VppClient,
        interfaces: InterfaceDirectory,
        *,
        settling_s: float = SETTLING_S,
    ) -> None:
        self._client = client
        self._interfaces = interfaces
        self._settling_s = settling_s
        self._changed = asyncio.Event()
        self._settles_at = 0.0
        self._has_begun = False
        client.on_event(INTERFACE_EVENT, self._take)

    async def open(self) -> None:
        """Ask VPP for the events; on each connection again. Raises DataplaneError."""
        await self._client.call(
            "want_interface_events",
            settled=(_REGISTERED_ALREADY,),
            enable_disable=1,
            pid=os.getpid(),
        )
        if self._has_begun:
            loop = asyncio.get_running_loop()
            self._settles_at = loop.time() + self._settling_s
            loop.call_at(self._settles_at, self._changed.set)
        self._has_begun = True
        self._changed.set()

    async def watch(self, interfaces: Collection[str]) -> AsyncIterator[LinkState]:
        """The state of each interface now, then every change of it, for ever."""
        last: dict[str, LinkState] = {}
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._interfaces.refresh()
            except DataplaneError:  # VPP went; `open` wakes us when it is back
                continue
            for name in interfaces:
                state = self._state(name)
                if last.get(name) != state and not self._is_settling(state):
                    last[name] = state
                    yield state

    def _take(self, _: Any) -> None:
        self._changed.set()

    def _state(self, name: str) -> LinkState:
        interface = self._interfaces.find(name)
        if interface is None:
            return LinkState(name, is_up=False, mtu_octets=0)
        return LinkState(name, interface.is_up, interface.mtu_octets)

    def _is_settling(self, state: LinkState) -> bool:
        return not state.is_up and asyncio.get_running_loop().time() < self._settles_at
