"""What the core keeps of each local mobility anchor."""

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from mag.protocol.request import RequestKind


@dataclass(slots=True)
class LmaPeer:
    """One configured LMA."""

    address: IPv6Address
    serving_bindings: int = 0
    """Bindings that share the tunnel; it is wanted while this is not 0 (RFC 5213 §5.6.1)."""
    last_heard_at: float | None = None
    """Monotonic seconds of the last PBA that answered a request of ours."""
    sent: Counter[RequestKind] = field(default_factory=Counter)
    """PBUs by kind, first transmissions."""
    retransmitted: Counter[RequestKind] = field(default_factory=Counter)
    """PBUs by kind, retransmissions."""
    answered: Counter[tuple[RequestKind, int]] = field(default_factory=Counter)
    """PBAs that completed a request, by its kind and their status."""
