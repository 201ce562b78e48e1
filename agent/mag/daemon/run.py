"""The life of the process: start, serve, stop on a signal, in bounded time."""

import asyncio
import contextlib
import random
import signal
import socket
import time
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import structlog

from mag import __version__
from mag.config.model import Configuration
from mag.daemon.assembly import assemble
from mag.daemon.clock_watch import ClockError
from mag.daemon.control import Control
from mag.daemon.garbage import short_searches
from mag.daemon.gateway import Gateway
from mag.dataplane.base import DataplaneError
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.stored_state import StoredState
from mag.services.access_link import AccessLinkError
from mag.services.admin_api import AdminApi, AdminSocketError
from mag.services.event_log import Level, LogEntry
from mag.services.gateway_control import ControlError
from mag.services.journal.opening import JournalInUseError, OpenedJournal, open_journal
from mag.services.log_setup import EntryWriter, configure_logging
from mag.services.mobility_transport import TransportError

CLEAN_UP_S: Final = 10.0
"""Longest time for leaving, beside the configured wait for the LMAs."""

MAX_SOCKET_NAME_OCTETS: Final = 108

_log = structlog.get_logger()


class ExitCode(IntEnum):
    """What `mag run` tells its caller."""

    OK = 0
    CANNOT_START = 3
    """Something outside the configuration file stands in the way; the log says what."""
    FAILED = 4
    """Stopped by an error of our own, or clean-up did not end in time."""


def run_gateway(configuration: Configuration, file: Path) -> ExitCode:
    """Serve until SIGTERM or SIGINT; SIGHUP has the file taken again."""
    write_entry = configure_logging(configuration.log.level, configuration.log.format)
    return asyncio.run(_run(configuration, file, write_entry))


async def _run(configuration: Configuration, file: Path, write_entry: EntryWriter) -> ExitCode:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_unhandled)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    hang_up = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hang_up.set)
    try:
        # First what is for one only: a gateway that is running already must notice nothing of us.
        with _claim(configuration), short_searches():
            return await _run_alone(configuration, file, write_entry, stop, hang_up)
    except (OSError, JournalInUseError) as error:
        return _cannot_start(error)


async def _run_alone(
    configuration: Configuration,
    file: Path,
    write_entry: EntryWriter,
    stop: asyncio.Event,
    hang_up: asyncio.Event,
) -> ExitCode:
    # Reading it takes seconds with many bindings; a signal is to be heard meanwhile.
    opened = await asyncio.to_thread(_open_journal, configuration)
    try:
        async with asyncio.TaskGroup() as tasks:
            gateway = _build(configuration, opened, write_entry, tasks)
            del opened  # what has been read is the gateway's, to forget when it has gone on with it
            admin = configuration.admin
            control = Control(gateway, file)
            api = AdminApi(control, admin.socket, admin.socket_mode)
            reloader = tasks.create_task(_reload_on_hang_up(gateway, control, hang_up))
            try:
                return await _serve(gateway, api, stop)
            finally:
                reloader.cancel()
    except* Exception as group:
        for error in group.exceptions:
            _log.error("gateway_failed", exc_info=error)
    return ExitCode.FAILED


async def _reload_on_hang_up(gateway: Gateway, control: Control, hang_up: asyncio.Event) -> None:
    await gateway.is_open.wait()
    while True:
        await hang_up.wait()
        hang_up.clear()
        with contextlib.suppress(ControlError):  # it is logged, and nothing has changed
            await control.reload()


async def _serve(gateway: Gateway, api: AdminApi, stop: asyncio.Event) -> ExitCode:
    try:
        await api.open()
    except (OSError, AdminSocketError) as error:
        await gateway.journal.close()
        return _cannot_start(error)
    return await _serve_alone(gateway, api, stop)


def _claim(configuration: Configuration) -> socket.socket:
    """Claim the network namespace, or this VPP, for as long as the socket is open.

    Raises OSError. Abstract names are those of the network namespace, and go with their process.
    """
    vpp = configuration.dataplane.vpp
    scope = "kernel" if configuration.dataplane.kind == "kernel" else f"vpp {vpp.api_socket}"
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0vpp-mag {scope}"[:MAX_SOCKET_NAME_OCTETS])
    except OSError:
        claim.close()
        raise OSError("another gateway is running on this packet path") from None
    return claim


async def _serve_alone(gateway: Gateway, api: AdminApi, stop: asyncio.Event) -> ExitCode:
    code = ExitCode.OK
    try:
        await gateway.open()
        gateway.log.note(LogEntry("gateway_started", Level.INFO, {"version": __version__}))
        await stop.wait()
        gateway.log.note(LogEntry("gateway_stopping", Level.INFO, {}))
    except (ClockError, DataplaneError, TransportError, AccessLinkError) as error:
        code = _cannot_start(error)
    finally:
        is_clean = await _leave(gateway, api)
    return code if is_clean else ExitCode.FAILED


async def _leave(gateway: Gateway, api: AdminApi) -> bool:
    """Take away everything of ours; False if that failed or took too long."""
    limit_s = gateway.configuration.shutdown.timeout_s + CLEAN_UP_S
    try:
        async with asyncio.timeout(limit_s):
            await gateway.close()
    except TimeoutError:
        _log.error("clean_up_incomplete", reason=f"not done within {limit_s:g} s")
        return False
    except Exception as error:
        _log.error("clean_up_incomplete", reason=str(error), exc_info=error)
        return False
    finally:
        await api.close()
    return True


def _open_journal(configuration: Configuration) -> OpenedJournal | None:
    """What an earlier run left. Raises JournalInUseError."""
    if not configuration.journal.enabled:
        return None
    return open_journal(
        configuration.journal.path, configuration.proxy_care_of_address, int(time.time())
    )


def _build(
    configuration: Configuration,
    opened: OpenedJournal | None,
    write_entry: EntryWriter,
    tasks: asyncio.TaskGroup,
) -> Gateway:
    # Without a journal every start is one without bindings, and the clock has moved on since.
    earlier = opened.state if opened else StoredState(restart_counter=int(time.time()))
    core = MobileAccessGateway(
        configuration.protocol_settings(),
        configuration.lma_settings(),
        random.Random(),  # noqa: S311 - spreads advertisements; nothing has to be secret
        restart_counter=earlier.restart_counter,
        marks=earlier.marks,
    )
    return Gateway(
        configuration,
        core,
        assemble(configuration),
        tasks,
        journal=opened.start() if opened else None,
        earlier=earlier,
        write_entry=write_entry,
    )


def _cannot_start(error: Exception) -> ExitCode:
    _log.error("cannot_start", reason=str(error))
    return ExitCode.CANNOT_START


def _log_unhandled(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A callback of ours failed: say so and go on serving everybody else."""
    _log.error("internal_error", what=context["message"], exc_info=context.get("exception"))
