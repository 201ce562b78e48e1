"""What the core keeps of each local mobility anchor."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address

from mag.protocol.lma_settings import LmaSettings
from mag.protocol.request import RequestKind
from mag.protocol.update_lane import UpdateLane


class PeerState(StrEnum):
    """What heartbeats say of an LMA."""

    UNKNOWN = "unknown"
    """It has never answered one: it may not know what they are."""
    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    """It used to answer."""


@dataclass(slots=True)
class Liveness:
    """What is known of an LMA from heartbeats (RFC 5847 §3)."""

    state: PeerState = PeerState.UNKNOWN
    restart_counter: int | None = None
    """As the LMA said last."""
    restarts_seen: int = 0
    sequence: int = 0
    """Of the last request."""
    is_awaiting: bool = False
    """The last request has not been answered."""
    missed: int = 0
    """Requests in a row without an answer."""
    is_refused: bool = False
    """The LMA said that it does not know heartbeats; it is asked no more."""
    sent: int = 0
    answered: int = 0


@dataclass(slots=True)
class LmaPeer:
    """One configured LMA."""

    address: IPv6Address
    settings: LmaSettings
    """As configured."""
    is_leaving: bool = False
    """No longer configured: heard until the last binding with it is gone, given no new one."""
    serving_bindings: int = 0
    """Bindings that share the tunnel; it is wanted while this is not 0 (RFC 5213 §5.6.1)."""
    last_heard_at: float | None = None
    """Monotonic seconds of the last PBA that answered a request of ours."""
    liveness: Liveness = field(default_factory=Liveness)
    sent: Counter[RequestKind] = field(default_factory=Counter)
    """PBUs by kind, first transmissions."""
    retransmitted: Counter[RequestKind] = field(default_factory=Counter)
    """PBUs by kind, retransmissions."""
    answered: Counter[tuple[RequestKind, int]] = field(default_factory=Counter)
    """PBAs that completed a request, by its kind and their status."""
    senders: dict[int, int] = field(default_factory=dict)
    """By sequence number, the binding that sent it last, unless it has been answered: 65536 at
    most."""
    network_errors: Counter[tuple[int, int]] = field(default_factory=Counter)
    """ICMPv6 errors that came back for what we sent it, by type and code."""
    quirks_applied: Counter[str] = field(default_factory=Counter)
    """How often each of `settings.quirks` made a difference, by field name."""
    updates: UpdateLane = field(init=False)
    """PBUs that wait to go there."""

    def __post_init__(self) -> None:
        self.updates = UpdateLane(self.settings)

    def reconfigure(self, settings: LmaSettings) -> None:
        """It is configured, and so from now on."""
        self.settings = settings
        self.is_leaving = False
        self.updates.reconfigure(settings)

    def apply_quirk(self, quirk: str) -> bool:
        """Count a use of one of `settings.quirks`; True for the first."""
        self.quirks_applied[quirk] += 1
        return self.quirks_applied[quirk] == 1
