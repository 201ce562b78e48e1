"""What of a gateway outlasts it, and how that changes."""

from collections.abc import Mapping
from dataclasses import field
from ipaddress import IPv6Address

from mag.frozen import frozen
from mag.protocol.ordering import OrderingMarks
from mag.protocol.stored_binding import StoredBinding


@frozen
class StoredState:
    """Everything that a gateway which starts again goes on with."""

    restart_counter: int
    """RFC 5847 §3.2: the same for as long as no binding has been lost."""
    bindings: tuple[StoredBinding, ...] = ()
    marks: OrderingMarks | None = None
    lma_restart_counters: Mapping[IPv6Address, int] = field(default_factory=dict)
    """As each LMA said last: one that has lost its bindings meanwhile says another."""


@frozen
class StateChange:
    """What is new in it; later changes of the same thing replace earlier ones."""

    bindings: Mapping[int, StoredBinding | None] = field(default_factory=dict)
    """By binding id; None: gone."""
    marks: OrderingMarks | None = None
    lma_restart_counters: Mapping[IPv6Address, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.bindings or self.marks or self.lma_restart_counters)
