"""Runs the reference LMA in the current network namespace: `mag lab lma --config FILE`.

The shell around the core: a raw socket of protocol 135, the kernel's packet path, one timer.
Forwarding is changed before the answer goes out, so that a node whose gateway has been told
already has its traffic.
"""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import MutableMapping
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Final

import structlog

from mag.lab.anchor.config import AnchorConfig, load_anchor_config
from mag.lab.anchor.core import LocalMobilityAnchor
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
from mag.lab.errors import LabError
from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER, status_name

_MAX_MESSAGE_OCTETS: Final = 2048
_MAX_MESSAGES_AT_ONCE: Final = 64
_RECEIVE_BUFFER_OCTETS: Final = 4 << 20
# Linux: checksums are computed and checked in mag.wire, where a bad one is counted.
_IPV6_CHECKSUM: Final = 7
_FORWARDING: Final = Path("/proc/sys/net/ipv6/conf/all/forwarding")


def run(config_file: Path) -> int:
    """Serve until SIGINT or SIGTERM, then take everything away; returns the exit status."""
    try:
        asyncio.run(_serve(load_anchor_config(config_file)))
    except LabError as error:
        print(f"mag lab lma: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: AnchorConfig) -> None:
    if _FORWARDING.read_text(encoding="ascii").strip() != "1":
        raise LabError("IPv6 forwarding is off here: sysctl -w net.ipv6.conf.all.forwarding=1")
    serving = asyncio.current_task()
    if serving is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    path = AnchorForwarding(config.address, config.core_interface, config.prefix_pool)
    with _mobility_socket(config.address) as mobility:
        try:
            async with path as forwarding:
                settings = replace(config.settings(), restart_counter=int(time.time()))
                core = LocalMobilityAnchor(settings)
                await AnchorShell(core, mobility, forwarding).serve()
        except asyncio.CancelledError:
            return


def _mobility_socket(address: IPv6Address) -> socket.socket:
    try:
        mobility = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IP_PROTOCOL_MOBILITY_HEADER)
    except PermissionError as error:
        raise LabError(
            "the local mobility anchor needs root (CAP_NET_RAW, CAP_NET_ADMIN)"
        ) from error
    try:
        mobility.setsockopt(socket.IPPROTO_IPV6, _IPV6_CHECKSUM, -1)
        mobility.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_OCTETS)
        mobility.setblocking(False)
        mobility.bind((str(address), 0))
    except OSError as error:
        mobility.close()
        raise LabError(f"no address {address} here: {error.strerror}") from error
    return mobility


class AnchorShell:
    """Moves messages, time and effects between the core and the world."""

    def __init__(
        self, core: LocalMobilityAnchor, mobility: socket.socket, forwarding: AnchorForwarding
    ) -> None:
        """mobility: a bound, non-blocking raw socket of protocol 135."""
        self._core = core
        self._mobility = mobility
        self._forwarding = forwarding
        self._log = _event_log()

    async def serve(self) -> None:
        """Never returns; raises LabError when the kernel refuses a change."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._mobility, readable.set)
        self._log.info("anchor_ready", address=self._mobility.getsockname()[0])
        try:
            while True:
                await self._wait(readable)
                readable.clear()
                self._receive()
                self._core.handle_timer(loop.time())
                await self._carry_out()
        finally:
            loop.remove_reader(self._mobility)

    async def _wait(self, readable: asyncio.Event) -> None:
        try:
            async with asyncio.timeout_at(self._core.get_timer()):
                await readable.wait()
        except TimeoutError:
            return

    def _receive(self) -> None:
        now, utc = asyncio.get_running_loop().time(), time.time()
        for _ in range(_MAX_MESSAGES_AT_ONCE):
            try:
                data, sender = self._mobility.recvfrom(_MAX_MESSAGE_OCTETS)
            except BlockingIOError:
                return
            self._core.receive_message(data, IPv6Address(sender[0].split("%")[0]), now, utc)

    async def _carry_out(self) -> None:
        for event in self._core.events():
            await self._forward(event)
            self._tell(event)
        for message in self._core.messages_to_send():
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

    def _tell(self, event: AnchorEvent) -> None:
        match event:
            case RequestRejected(mn_id, gateway, status):
                self._log.warning(
                    "request_rejected",
                    mn_id=mn_id.decode(errors="replace"),
                    gateway=str(gateway),
                    status=status_name(status),
                )
            case MessageIgnored(source, reason, mn_id):
                name = mn_id.decode(errors="replace")
                self._log.info("message_ignored", source=str(source), reason=reason, mn_id=name)
            case _:
                entry = event.entry
                self._log.info(
                    _snake_case(type(event).__name__),
                    mn_id=entry.mn_id.decode(errors="replace"),
                    gateway=str(entry.proxy_care_of_address),
                    home_network_prefixes=[str(p) for p in entry.home_network_prefixes],
                    lifetime_s=entry.lifetime_s,
                )


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]


def _event_log() -> Any:
    """Lines for a person on a terminal, JSON with the time in seconds anywhere else."""
    renderer: Any = structlog.processors.JSONRenderer()
    if sys.stdout.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stdout),
        processors=[structlog.processors.add_log_level, _add_time, renderer],
    )


def _add_time(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event["at"] = time.time()
    return event


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
