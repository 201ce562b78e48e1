"""Whether a node is still attached, asked before its binding is extended (RFC 5213 §6.13).

Neighbor Unreachability Detection of our own: a few unicast solicitations, and any sign of life
ends the question. What the packet path or the link saw of the node counts as much as an answer.
"""

from collections.abc import Callable
from ipaddress import IPv6Address
from math import inf
from typing import Final

from mag.protocol.binding_timers import BindingTimers
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.events import Event, ProbeNode
from mag.protocol.registration import BindingTimer, RegistrationState
from mag.protocol.service import snapshot
from mag.protocol.settings import ProtocolSettings

MAX_UNICAST_SOLICIT: Final = 3
RETRANS_TIMER_S: Final = 1.0
"""RFC 4861 §10; also for how long a sign of life counts: no node is asked more often."""
BACKOFF_MULTIPLE: Final = 3
MAX_RETRANS_TIMER_S: Final = 60.0
"""RFC 7048 §3: a node that sleeps is given longer than three seconds."""

_EXTENDING_STATES: Final = frozenset(
    {
        RegistrationState.REGISTERING,
        RegistrationState.ACTIVE,
        RegistrationState.REFRESHING,
        RegistrationState.REJECTED,
    }
)
"""Where the registration timer sends a PBU that asks for lifetime."""


class PresenceCheck:
    """Asks for nodes; one question at a time for each binding."""

    def __init__(
        self,
        settings: ProtocolSettings,
        timers: BindingTimers,
        emit: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self._timers = timers
        self._emit = emit

    def reconfigure(self, settings: ProtocolSettings) -> None:
        """Go by these settings, also for questions that are open."""
        self._settings = settings

    def is_needed(self, entry: BindingUpdateListEntry, now: float) -> bool:
        """Whether nothing may be sent for this binding before its node has been heard."""
        link = entry.attachment.access_interface
        return (
            entry.state in _EXTENDING_STATES
            and link in self._settings.solicitations_by_link
            and now - entry.last_heard_at >= RETRANS_TIMER_S
        )

    def begin(self, entry: BindingUpdateListEntry, now: float) -> None:
        """Ask for the first time."""
        entry.solicitations = 0
        self._ask(entry, now)

    def ask_again(self, entry: BindingUpdateListEntry, now: float) -> bool:
        """No answer yet: ask once more. False when the node has been asked often enough."""
        link = entry.attachment.access_interface
        if entry.solicitations >= self._settings.solicitations_by_link.get(link, 0):
            return False
        self._ask(entry, now)
        return True

    def end(self, entry: BindingUpdateListEntry) -> bool:
        """Stop asking; whether a question was open."""
        if entry.presence_due == inf:  # nearly always, and asked with every message
            return False
        self._timers.cancel(entry, BindingTimer.PRESENCE)
        return True

    @staticmethod
    def not_asked(entry: BindingUpdateListEntry) -> None:
        """The last solicitation could not be sent, so its silence says nothing.

        Nothing is extended meanwhile (§6.13), and nobody who has service counts as gone: the
        lifetime decides. Without one there is nothing to keep.
        """
        if entry.is_serving:
            entry.solicitations = max(0, entry.solicitations - 1)

    def _ask(self, entry: BindingUpdateListEntry, now: float) -> None:
        entry.solicitations += 1
        self._timers.set(entry, BindingTimer.PRESENCE, now + _wait_s(entry))
        self._emit(ProbeNode(snapshot(entry), entry.node_address, entry.solicitations))


def learn_address(entry: BindingUpdateListEntry, address: IPv6Address) -> None:
    """Keep an address to ask for: the link-local one rather than one that may be temporary."""
    if address.is_unspecified or address.is_multicast:
        return
    if address.is_link_local or entry.node_address is None:
        entry.node_address = address


def _wait_s(entry: BindingUpdateListEntry) -> float:
    exponent = max(0, entry.solicitations - MAX_UNICAST_SOLICIT)
    return min(RETRANS_TIMER_S * float(BACKOFF_MULTIPLE**exponent), MAX_RETRANS_TIMER_S)
