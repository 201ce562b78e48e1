"""Taking back what Router Advertisements gave, and saying it three times (RFC 4861 §6.2.5).

A frame may be lost, and hosts keep an address for two hours on a single word (RFC 4862 §5.5.3,
INT-16). What is repeated outlives the binding it was about.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import Final

from mag.protocol.advertisement_schedule import MIN_DELAY_BETWEEN_RAS_S
from mag.protocol.events import Binding, Event, WithdrawPrefixes
from mag.protocol.timer_queue import TimerQueue

MAX_FINAL_RTR_ADVERTISEMENTS: Final = 3

_Node = tuple[str, bytes]
"""Access interface and link-layer address: whom the frames go to."""


@dataclass(slots=True)
class _Withdrawal:
    """What one node still has to hear."""

    binding: Binding
    prefixes: tuple[IPv6Network, ...]
    ends_service: bool
    remaining: int = MAX_FINAL_RTR_ADVERTISEMENTS


class Withdrawals:
    """One withdrawal for each node, the newest; it never takes back what was given since."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._pending: dict[_Node, _Withdrawal] = {}
        self._timers: TimerQueue[_Node] = TimerQueue()

    def begin(
        self, binding: Binding, prefixes: tuple[IPv6Network, ...], now: float, *, ends_service: bool
    ) -> None:
        """Withdraw at once, and twice more. ends_service: the router goes with the prefixes."""
        node = _node_of(binding)
        if (before := self._pending.get(node)) is not None:
            prefixes = tuple(dict.fromkeys(before.prefixes + prefixes))
        self._pending[node] = _Withdrawal(binding, prefixes, ends_service)
        self._say(node, now)

    def given(self, binding: Binding) -> None:
        """The node has service and is told of these prefixes: they are withdrawn no more."""
        withdrawal = self._pending.get(_node_of(binding))
        if withdrawal is None:
            return
        given = binding.home_network_prefixes
        withdrawal.prefixes = tuple(p for p in withdrawal.prefixes if p not in given)
        withdrawal.ends_service = False
        if not withdrawal.prefixes:
            self.forget(binding)

    def readdressed(self, binding: Binding) -> None:
        """The node knows the gateway by another address: what is left to say is said from that."""
        if (withdrawal := self._pending.get(_node_of(binding))) is not None:
            withdrawal.binding = binding

    def forget(self, binding: Binding) -> None:
        """Nobody is there to hear it."""
        self._pending.pop(_node_of(binding), None)
        self._timers.cancel(_node_of(binding))

    def finish(self, now: float) -> None:
        """Say all that is left now: there will be no later."""
        while self._pending:
            for node in list(self._pending):
                self._say(node, now)

    def get_timer(self) -> float | None:
        """When the next one is due, None if nothing is left to say."""
        return self._timers.next_deadline()

    def handle_timer(self, now: float) -> None:
        """Say what is due."""
        for node in self._timers.pop_due(now):
            self._say(node, now)

    def _say(self, node: _Node, now: float) -> None:
        withdrawal = self._pending[node]
        withdrawal.remaining -= 1
        self._emit(
            WithdrawPrefixes(withdrawal.binding, withdrawal.prefixes, withdrawal.ends_service)
        )
        if withdrawal.remaining:
            self._timers.set(node, now + MIN_DELAY_BETWEEN_RAS_S)
        else:
            self.forget(withdrawal.binding)


def _node_of(binding: Binding) -> _Node:
    return binding.access_interface, binding.mn_link_layer_id
