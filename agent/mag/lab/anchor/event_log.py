"""What the reference LMA says on its standard output: a line for each thing that happened."""

import sys
import time
from collections.abc import MutableMapping
from typing import Any

import structlog

from mag.lab.anchor.events import AnchorEvent, FaultApplied, MessageIgnored, RequestRejected
from mag.wire.iana import status_name


def open_event_log() -> Any:
    """Lines for a person on a terminal, JSON with the time in seconds anywhere else."""
    renderer: Any = structlog.processors.JSONRenderer()
    if sys.stdout.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stdout),
        processors=[structlog.processors.add_log_level, _add_time, renderer],
    )


def tell(log: Any, event: AnchorEvent | FaultApplied) -> None:
    """One event of the core, or of a fault that met a message."""
    match event:
        case RequestRejected(mn_id, gateway, status):
            log.warning(
                "request_rejected",
                mn_id=_text(mn_id),
                gateway=str(gateway),
                status=status_name(status),
            )
        case FaultApplied(name, mn_id, gateway, kind, rejected_with, asked):
            status_fact = {} if rejected_with is None else {"status": status_name(rejected_with)}
            log.info(
                "fault_applied",
                fault=name,
                mn_id=_text(mn_id) or None,
                gateway=str(gateway),
                kind=kind.value,
                asked=[str(prefix) for prefix in asked],
                **status_fact,
            )
        case MessageIgnored(source, reason, mn_id):
            log.info("message_ignored", source=str(source), reason=reason, mn_id=_text(mn_id))
        case _:
            entry = event.entry
            log.info(
                _snake_case(type(event).__name__),
                mn_id=_text(entry.mn_id),
                gateway=str(entry.proxy_care_of_address),
                home_network_prefixes=[str(p) for p in entry.home_network_prefixes],
                lifetime_s=entry.lifetime_s,
            )


def _text(mn_id: bytes) -> str:
    return mn_id.decode(errors="replace")


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]


def _add_time(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event["at"] = time.time()
    return event
