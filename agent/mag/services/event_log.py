"""The core's events in an operator's words: one name and flat facts for log, monitor and lab."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address
from typing import Any, Final

from mag.protocol.events import (
    AdvertisePrefixes,
    AttachmentRefused,
    Binding,
    BindingErrorReceived,
    BindingEstablished,
    BindingLost,
    BindingRefreshed,
    BindingRejected,
    DiscardReason,
    Event,
    ForwardingInstalled,
    ForwardingResumed,
    ForwardingUnwanted,
    ForwardingWanted,
    MessageDiscarded,
    OptionReportedMissing,
    PeerReachable,
    PeerRemoved,
    PeerRestarted,
    PeerUnreachable,
    ProbeNode,
    ProxyBindingAcknowledgementReceived,
    ProxyBindingUpdateSent,
    QuirkApplied,
    TunnelUnwanted,
    TunnelWanted,
    WithdrawPrefixes,
)
from mag.wire.ethernet import format_link_layer_address
from mag.wire.iana import FIRST_REJECTING_STATUS, status_name

Facts = dict[str, Any]
"""Names and JSON values."""

_DIGITS_OF_HASH: Final = 12


class Level(StrEnum):
    """How much an operator should care."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class MobileNodeIdentifierForm(StrEnum):
    """How MN-Identifiers, which are personal data, appear in logs."""

    PLAIN = "plain"
    HASHED = "hashed"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One thing that happened."""

    name: str
    level: Level
    facts: Facts


def text_of_mn_id(mn_id: bytes) -> str:
    """An MN-Identifier as text; octets that are no UTF-8 are shown escaped."""
    return mn_id.decode("utf-8", "backslashreplace")


def obscured(entry: LogEntry, form: MobileNodeIdentifierForm) -> LogEntry:
    """The entry as it may be written to a log."""
    if form is MobileNodeIdentifierForm.PLAIN or "mn_id" not in entry.facts:
        return entry
    facts = dict(entry.facts)
    mn_id = facts.pop("mn_id")
    if form is MobileNodeIdentifierForm.HASHED:
        digest = hashlib.sha256(mn_id.encode()).hexdigest()
        facts = {"mn_id": digest[:_DIGITS_OF_HASH], **facts}
    return LogEntry(entry.name, entry.level, facts)


def describe(event: Event, lma_names: Mapping[IPv6Address, str]) -> LogEntry:
    """An event of the core as name, level and facts."""
    match event:
        case MessageDiscarded(reason, source):
            facts: Facts = {"reason": str(reason), "source": str(source)}
            level = Level.DEBUG if reason == DiscardReason.LATE else Level.WARNING
            return LogEntry("message_discarded", level, facts)
        case AttachmentRefused(mn_id, refusal):
            facts = {"mn_id": text_of_mn_id(mn_id), "reason": refusal.value}
            return LogEntry("attachment_refused", Level.WARNING, facts)
        case (
            TunnelWanted()
            | TunnelUnwanted()
            | BindingErrorReceived()
            | QuirkApplied()
            | PeerUnreachable()
            | PeerReachable()
            | PeerRemoved()
            | PeerRestarted()
        ):
            name, level, facts = _PEER_EVENTS[type(event)](event)
            return LogEntry(name, level, {"lma": _lma(event.lma_address, lma_names)} | facts)
        case _:
            name, level, facts = _BINDING_EVENTS[type(event)](event)
            return LogEntry(name, level, binding_facts(event.binding, lma_names) | facts)


def binding_facts(binding: Binding, lma_names: Mapping[IPv6Address, str]) -> Facts:
    """What identifies a binding in every entry about it."""
    return {
        "mn_id": text_of_mn_id(binding.mn_id),
        "lma": _lma(binding.lma_address, lma_names),
        "access_interface": binding.access_interface,
        "link_layer_address": format_link_layer_address(binding.mn_link_layer_id),
        "home_network_prefixes": [str(prefix) for prefix in binding.home_network_prefixes],
    }


def _lma(address: IPv6Address, lma_names: Mapping[IPv6Address, str]) -> str:
    return lma_names.get(address, str(address))


_Describe = Callable[[Any], tuple[str, Level, Facts]]

_PEER_EVENTS: Final[Mapping[type[Any], _Describe]] = {
    TunnelWanted: lambda _: ("tunnel_wanted", Level.INFO, {}),
    TunnelUnwanted: lambda _: ("tunnel_unwanted", Level.INFO, {}),
    BindingErrorReceived: lambda event: (
        "binding_error_received",
        Level.WARNING,
        {"status": event.status},
    ),
    QuirkApplied: lambda event: ("lma_quirk_applied", Level.WARNING, {"quirk": event.quirk}),
    PeerUnreachable: lambda event: ("lma_unreachable", Level.ERROR, {"missed": event.missed}),
    PeerReachable: lambda _: ("lma_reachable", Level.INFO, {}),
    PeerRemoved: lambda _: ("lma_removed", Level.INFO, {}),
    PeerRestarted: lambda event: (
        "lma_restarted",
        Level.WARNING,
        {"bindings": event.bindings},
    ),
}

_BINDING_EVENTS: Final[Mapping[type[Any], _Describe]] = {
    ProxyBindingUpdateSent: lambda event: (
        "proxy_binding_update_sent",
        Level.INFO if event.attempt > 1 else Level.DEBUG,
        {"kind": event.kind.value, "sequence": event.sequence, "attempt": event.attempt},
    ),
    ProxyBindingAcknowledgementReceived: lambda event: (
        "proxy_binding_acknowledgement_received",
        # Codes from 1 to 127 accept, and say something beside that we have not asked for (INT-11).
        Level.INFO if 0 < event.status < FIRST_REJECTING_STATUS else Level.DEBUG,
        {
            "kind": event.kind.value,
            "status": status_name(event.status),
            "round_trip_ms": _ms(event.round_trip_s),
        },
    ),
    BindingEstablished: lambda event: (
        "binding_established",
        Level.INFO,
        {"lifetime_s": event.lifetime_s, "setup_ms": _ms(event.setup_s)},
    ),
    BindingRefreshed: lambda event: (
        "binding_refreshed",
        Level.DEBUG,
        {"lifetime_s": event.lifetime_s},
    ),
    BindingRejected: lambda event: (
        "binding_rejected",
        Level.WARNING,
        {"status": event.status, "reason": event.reason, "retry_in_s": event.retry_in_s},
    ),
    OptionReportedMissing: lambda event: (
        "lma_reports_missing_option",
        Level.ERROR,
        {"status": status_name(event.status)},
    ),
    BindingLost: lambda event: ("binding_lost", Level.INFO, {"reason": event.reason.value}),
    ForwardingWanted: lambda _: ("forwarding_wanted", Level.DEBUG, {}),
    ForwardingUnwanted: lambda _: ("forwarding_unwanted", Level.DEBUG, {}),
    ForwardingInstalled: lambda event: (
        "forwarding_installed",
        Level.INFO,
        {"setup_ms": _ms(event.setup_s)},
    ),
    ForwardingResumed: lambda _: ("forwarding_resumed", Level.DEBUG, {}),
    AdvertisePrefixes: lambda _: ("router_advertisement_due", Level.DEBUG, {}),
    ProbeNode: lambda event: (
        "node_asked_for",
        Level.DEBUG,
        {
            "node_address": None if event.node_address is None else str(event.node_address),
            "attempt": event.attempt,
        },
    ),
    WithdrawPrefixes: lambda event: (
        "prefix_withdrawal_due",
        Level.DEBUG,
        {"withdrawn": [str(prefix) for prefix in event.prefixes]},
    ),
}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
