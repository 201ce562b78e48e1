"""Moves messages, time and effects between the reference LMA's core and the world.

Forwarding is changed before the answer goes out, so that a node whose gateway has been told
already has its traffic. Faults stand between core and socket (UnrulyLink).
"""

import asyncio
import socket
import time
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Final

from mag.lab.anchor.binding_cache import BindingCacheEntry
from mag.lab.anchor.core import LocalMobilityAnchor, OutgoingMessage
from mag.lab.anchor.event_log import open_event_log, tell
from mag.lab.anchor.events import (
    AnchorEvent,
    BindingDeleted,
    BindingDeregistered,
    BindingExtended,
    BindingMoved,
    BindingRegistered,
    MessageIgnored,
    RequestRejected,
)
from mag.lab.anchor.forwarding import AnchorForwarding
from mag.lab.anchor.settings import AnchorSettings
from mag.lab.anchor.unruly_link import UnrulyLink
from mag.lab.anchor.unsolicited import Telegram, UnsolicitedHeartbeat, octets_of

_MAX_MESSAGE_OCTETS: Final = 2048
_MAX_MESSAGES_AT_ONCE: Final = 64


class AnchorShell:
    """One running LMA; implements AnchorControl."""

    def __init__(
        self,
        settings: AnchorSettings,
        mobility: socket.socket,
        forwarding: AnchorForwarding,
        link: UnrulyLink,
    ) -> None:
        """mobility: a bound, non-blocking raw socket of protocol 135."""
        self.link = link
        self._core = LocalMobilityAnchor(settings)
        self._mobility = mobility
        self._forwarding = forwarding
        self._log = open_event_log()
        self._news = asyncio.Event()
        self._forwarding_changes = asyncio.Lock()

    async def serve(self) -> None:
        """Never returns; raises LabError when the kernel refuses a change."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._mobility, self._news.set)
        self._log.info("anchor_ready", address=self._mobility.getsockname()[0])
        try:
            while True:
                await self._wait()
                self._news.clear()
                async with self._forwarding_changes:
                    self._receive()
                    self._core.handle_timer(loop.time())
                    self.link.handle_timer(loop.time())
                    await self._carry_out()
        finally:
            loop.remove_reader(self._mobility)

    # What it is told

    @property
    def bindings(self) -> tuple[BindingCacheEntry, ...]:
        """The Binding Cache."""
        return self._core.bindings

    @property
    def settings(self) -> AnchorSettings:
        """As they are now."""
        return self._core.settings

    def change(self, settings: AnchorSettings) -> None:
        """Go on with other settings."""
        self._core.change(settings)

    def send(self, telegram: Telegram) -> None:
        """Send a message that nobody asked for. Raises ValueError if it fits into none."""
        data = octets_of(telegram, self.settings.address, self.settings.restart_counter)
        self._transmit(OutgoingMessage(data, telegram.gateway))

    async def restart(self, *, is_announced: bool) -> int:
        """Lose all bindings, their forwarding and what was held back; count the restart.

        is_announced: tell every gateway that had one (RFC 5847 §3.2). Returns their number.
        """
        async with self._forwarding_changes:
            lost = self._core.bindings
            for entry in lost:
                await self._forwarding.drop(entry.home_network_prefixes)
            counter = self.settings.restart_counter + 1
            self._core = LocalMobilityAnchor(replace(self.settings, restart_counter=counter))
        self._log.warning("anchor_restarted", restart_counter=counter, bindings_lost=len(lost))
        if is_announced:
            for gateway in sorted({entry.proxy_care_of_address for entry in lost}):
                self.send(Telegram(gateway, UnsolicitedHeartbeat()))
        return len(lost)

    # What it does by itself

    async def _wait(self) -> None:
        deadlines = (self._core.get_timer(), self.link.get_timer())
        deadline = min((each for each in deadlines if each is not None), default=None)
        try:
            async with asyncio.timeout_at(deadline):
                await self._news.wait()
        except TimeoutError:
            return

    def _receive(self) -> None:
        now, utc = asyncio.get_running_loop().time(), time.time()
        for _ in range(_MAX_MESSAGES_AT_ONCE):
            try:
                data, sender = self._mobility.recvfrom(_MAX_MESSAGE_OCTETS)
            except BlockingIOError:
                return
            source = IPv6Address(sender[0].split("%")[0])
            if self.link.admits(data, source, utc):
                self._core.receive_message(data, source, now, utc)

    async def _carry_out(self) -> None:
        for event in self._core.events():
            await self._forward(event)
            tell(self._log, event)
        for message in self._core.messages_to_send():
            self.link.send(message, asyncio.get_running_loop().time())
        for applied in self.link.events():
            tell(self._log, applied)
        for message in self.link.messages_to_send():
            self._transmit(message)

    def _transmit(self, message: OutgoingMessage) -> None:
        try:
            self._mobility.sendto(message.data, (str(message.destination), 0))
        except OSError as error:
            # Lost like on any network: the gateway asks again.
            self._log.warning(
                "message_not_sent", gateway=str(message.destination), error=error.strerror
            )

    async def _forward(self, event: AnchorEvent) -> None:
        match event:
            case BindingRegistered(entry) | BindingMoved(entry, _):
                await self._forwarding.forward(
                    entry.home_network_prefixes, entry.proxy_care_of_address
                )
            case BindingDeregistered(entry) | BindingDeleted(entry, _):
                await self._forwarding.drop(entry.home_network_prefixes)
            case BindingExtended() | RequestRejected() | MessageIgnored():
                return
