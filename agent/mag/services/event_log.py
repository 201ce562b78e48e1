"""The core's events in an operator's words: one name and flat facts for log, monitor and lab."""

import hashlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from ipaddress import IPv6Address
from typing import Any, Final, cast

from mag.frozen import frozen
from mag.protocol.events import (
    AdvertisePrefixes,
    AttachmentRefused,
    Binding,
    BindingErrorReceived,
    BindingEstablished,
    BindingLost,
    BindingRefreshed,
    BindingRejected,
    DetectDuplicateAddress,
    DiscardReason,
    Event,
    ForwardingInstalled,
    ForwardingResumed,
    ForwardingUnwanted,
    ForwardingWanted,
    GatewayAddressCollided,
    MessageDiscarded,
    OptionReportedMissing,
    PeerReachable,
    PeerRemoved,
    PeerRestarted,
    PeerUnable,
    PeerUnreachable,
    ProbeNode,
    ProxyBindingAcknowledgementReceived,
    ProxyBindingUpdateSent,
    QuirkApplied,
    TunnelUnwanted,
    TunnelWanted,
    WithdrawPrefixes,
)
from mag.services.address_text import format_prefix
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


_SEVERITY: Final[Mapping[str, int]] = {level.value: rank for rank, level in enumerate(Level)}


def is_at_least(level: Level, least: str) -> bool:
    """Whether a log that begins with the level `least` has entries of this one."""
    return _SEVERITY[level] >= _SEVERITY[least]


class MobileNodeIdentifierForm(StrEnum):
    """How MN-Identifiers, which are personal data, appear in logs."""

    PLAIN = "plain"
    HASHED = "hashed"
    OFF = "off"


@frozen
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


def level_of(event: Event) -> Level:
    """What `describe` says of it, at none of the cost."""
    level = _LEVELS[type(event)]
    return level(event) if callable(level) else level


def silent_events(least: str) -> frozenset[type[Event]]:
    """Kinds of events of which none is in a log that begins with the level `least`."""
    return frozenset(
        kind
        for kind, level in _LEVELS.items()
        if not callable(level) and not is_at_least(level, least)
    )


def name_of(kind: type[Event]) -> str:
    """What `describe` calls events of this kind."""
    return _NAMES[kind]


def describe(event: Event, lma_names: Mapping[IPv6Address, str]) -> LogEntry:
    """An event of the core as name, level and facts."""
    kind, subject = type(event), cast(Any, event)
    if (of_binding := _BINDING_EVENTS.get(kind)) is not None:
        name, facts_of = of_binding
        facts = binding_facts(subject.binding, lma_names) | facts_of(event)
    elif (of_peer := _PEER_EVENTS.get(kind)) is not None:
        name, facts_of = of_peer
        facts = {"lma": _lma(subject.lma_address, lma_names)} | facts_of(event)
    else:
        name, facts_of = _OTHER_EVENTS[kind]
        facts = facts_of(event)
    return LogEntry(name, level_of(event), facts)


def binding_facts(binding: Binding, lma_names: Mapping[IPv6Address, str]) -> Facts:
    """What identifies a binding in every entry about it."""
    return {
        "mn_id": text_of_mn_id(binding.mn_id),
        "lma": _lma(binding.lma_address, lma_names),
        "access_interface": binding.access_interface,
        "link_layer_address": format_link_layer_address(binding.mn_link_layer_id),
        "home_network_prefixes": [
            format_prefix(prefix) for prefix in binding.home_network_prefixes
        ],
    }


def _lma(address: IPv6Address, lma_names: Mapping[IPv6Address, str]) -> str:
    return lma_names.get(address) or str(address)


_Describe = tuple[str, Callable[[Any], Facts]]
"""Name and facts of an event."""

_LEVELS: Final[Mapping[type[Any], Level | Callable[[Any], Level]]] = {
    MessageDiscarded: lambda event: (
        Level.DEBUG if event.reason == DiscardReason.LATE else Level.WARNING
    ),
    AttachmentRefused: Level.WARNING,
    ProxyBindingUpdateSent: lambda event: Level.INFO if event.attempt > 1 else Level.DEBUG,
    # Codes from 1 to 127 accept, and say something beside that we have not asked for (INT-11).
    ProxyBindingAcknowledgementReceived: lambda event: (
        Level.INFO if 0 < event.status < FIRST_REJECTING_STATUS else Level.DEBUG
    ),
    TunnelWanted: Level.INFO,
    TunnelUnwanted: Level.INFO,
    BindingErrorReceived: Level.WARNING,
    QuirkApplied: Level.WARNING,
    PeerUnable: Level.ERROR,
    PeerUnreachable: Level.ERROR,
    PeerReachable: Level.INFO,
    PeerRemoved: Level.INFO,
    PeerRestarted: Level.WARNING,
    BindingEstablished: Level.INFO,
    BindingRefreshed: Level.DEBUG,
    BindingRejected: Level.WARNING,
    OptionReportedMissing: Level.ERROR,
    BindingLost: Level.INFO,
    ForwardingWanted: Level.DEBUG,
    ForwardingUnwanted: Level.DEBUG,
    ForwardingInstalled: Level.INFO,
    ForwardingResumed: Level.DEBUG,
    AdvertisePrefixes: Level.DEBUG,
    ProbeNode: Level.DEBUG,
    DetectDuplicateAddress: Level.DEBUG,
    GatewayAddressCollided: Level.WARNING,
    WithdrawPrefixes: Level.DEBUG,
}

_OTHER_EVENTS: Final[Mapping[type[Any], _Describe]] = {
    MessageDiscarded: (
        "message_discarded",
        lambda event: {"reason": str(event.reason), "source": str(event.source)},
    ),
    AttachmentRefused: (
        "attachment_refused",
        lambda event: {"mn_id": text_of_mn_id(event.mn_id), "reason": event.reason.value},
    ),
}

_PEER_EVENTS: Final[Mapping[type[Any], _Describe]] = {
    TunnelWanted: ("tunnel_wanted", lambda _: {}),
    TunnelUnwanted: ("tunnel_unwanted", lambda _: {}),
    BindingErrorReceived: (
        "binding_error_received",
        lambda event: {"status": event.status},
    ),
    QuirkApplied: ("lma_quirk_applied", lambda event: {"quirk": event.quirk}),
    PeerUnable: ("lma_unable", lambda event: {"retry_in_s": event.retry_in_s}),
    PeerUnreachable: ("lma_unreachable", lambda event: {"missed": event.missed}),
    PeerReachable: ("lma_reachable", lambda _: {}),
    PeerRemoved: ("lma_removed", lambda _: {}),
    PeerRestarted: (
        "lma_restarted",
        lambda event: {"bindings": event.bindings},
    ),
}

_BINDING_EVENTS: Final[Mapping[type[Any], _Describe]] = {
    ProxyBindingUpdateSent: (
        "proxy_binding_update_sent",
        lambda event: {
            "kind": event.kind.value,
            "sequence": event.sequence,
            "attempt": event.attempt,
        },
    ),
    ProxyBindingAcknowledgementReceived: (
        "proxy_binding_acknowledgement_received",
        lambda event: {
            "kind": event.kind.value,
            "status": status_name(event.status),
            "round_trip_ms": _ms(event.round_trip_s),
        },
    ),
    BindingEstablished: (
        "binding_established",
        lambda event: {"lifetime_s": event.lifetime_s, "setup_ms": _ms(event.setup_s)},
    ),
    BindingRefreshed: (
        "binding_refreshed",
        lambda event: {"lifetime_s": event.lifetime_s},
    ),
    BindingRejected: (
        "binding_rejected",
        lambda event: {
            "status": event.status,
            "reason": event.reason,
            "retry_in_s": event.retry_in_s,
        },
    ),
    OptionReportedMissing: (
        "lma_reports_missing_option",
        lambda event: {"status": status_name(event.status)},
    ),
    BindingLost: ("binding_lost", lambda event: {"reason": event.reason.value}),
    ForwardingWanted: ("forwarding_wanted", lambda _: {}),
    ForwardingUnwanted: ("forwarding_unwanted", lambda _: {}),
    ForwardingInstalled: (
        "forwarding_installed",
        lambda event: {"setup_ms": _ms(event.setup_s)},
    ),
    ForwardingResumed: ("forwarding_resumed", lambda _: {}),
    AdvertisePrefixes: ("router_advertisement_due", lambda _: {}),
    ProbeNode: (
        "node_asked_for",
        lambda event: {
            "node_address": None if event.node_address is None else str(event.node_address),
            "attempt": event.attempt,
        },
    ),
    DetectDuplicateAddress: (
        "gateway_address_asked_for",
        lambda event: {"address": str(event.address)},
    ),
    GatewayAddressCollided: (
        "gateway_address_collided",
        lambda event: {"address": str(event.address)},
    ),
    WithdrawPrefixes: (
        "prefix_withdrawal_due",
        lambda event: {"withdrawn": [str(prefix) for prefix in event.prefixes]},
    ),
}

_NAMES: Final[Mapping[type[Any], str]] = {
    kind: name
    for table in (_OTHER_EVENTS, _PEER_EVENTS, _BINDING_EVENTS)
    for kind, (name, _) in table.items()
}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
