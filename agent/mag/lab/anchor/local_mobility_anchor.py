"""Runs the reference LMA in the current network namespace: `mag lab lma --config FILE`.

Opens what it stands on: a raw socket of protocol 135, the kernel's packet path, the control socket.
"""

import asyncio
import contextlib
import random
import signal
import socket
import sys
import time
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from mag.lab.anchor.config import AnchorConfig, load_anchor_config
from mag.lab.anchor.control_api import AnchorControlApi
from mag.lab.anchor.forwarding import AnchorForwarding
from mag.lab.anchor.shell import AnchorShell
from mag.lab.anchor.unruly_link import UnrulyLink
from mag.lab.errors import LabError
from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER

_RECEIVE_BUFFER_OCTETS: Final = 4 << 20
# Linux: checksums are computed and checked in mag.wire, where a bad one is counted.
_IPV6_CHECKSUM: Final = 7
_FORWARDING: Final = Path("/proc/sys/net/ipv6/conf/all/forwarding")


def run(config_file: Path, *, control: Path | None = None, seed: int | None = None) -> int:
    """Serve until SIGINT or SIGTERM, then take everything away; returns the exit status.

    control: socket to listen on for what to do wrong. seed: of all chance in that.
    """
    try:
        asyncio.run(_serve(load_anchor_config(config_file), control, random.Random(seed)))
    except LabError as error:
        print(f"mag lab lma: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: AnchorConfig, control: Path | None, rng: random.Random) -> None:
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
                link = UnrulyLink(config.address, rng)
                shell = AnchorShell(settings, mobility, forwarding, link)
                async with _control(shell, control):
                    await shell.serve()
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


def _control(shell: AnchorShell, path: Path | None) -> contextlib.AbstractAsyncContextManager[None]:
    return contextlib.nullcontext() if path is None else AnchorControlApi(shell, path)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
