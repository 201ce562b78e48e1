"""When nodes without service are asked once more to speak up: a single question may be lost.

Not only a frame: a packet path that does not tell of a stranger's every packet swallows an answer
that comes right after another one, and a quiet node says nothing else for long.
"""

from collections.abc import Callable, Iterator
from typing import Final

from mag.protocol.timer_queue import TimerQueue

REPETITIONS: Final = 3
REPEAT_AFTER_S: Final = 0.5
"""Longer than VPP's plugin is silent about a stranger (0.1 s) and nodes take to answer (0.2 s)."""

Node = tuple[str, bytes]
"""Access interface and link-layer address: whom the question goes to."""


class WakeUpSchedule:
    """Repeats each question a few times, until the node has a binding; no clock inside."""

    def __init__(self, has_binding: Callable[[Node], bool]) -> None:
        self._has_binding = has_binding
        self._remaining: dict[Node, int] = {}
        self._timers: TimerQueue[Node] = TimerQueue()

    def asked(self, node: Node, now: float) -> None:
        """It was asked: to be repeated from now on, however often that was done before."""
        self._remaining[node] = REPETITIONS
        self._timers.set(node, now + REPEAT_AFTER_S)

    def forget(self, node: Node) -> None:
        """Repeat no more; a node that was never asked is no error."""
        self._remaining.pop(node, None)
        self._timers.cancel(node)

    def get_timer(self) -> float | None:
        """When the next repetition is due, None if nothing is to be repeated."""
        return self._timers.next_deadline()

    def pop_due(self, now: float) -> Iterator[Node]:
        """Yield whom to ask again at `now`."""
        for node in self._timers.pop_due(now):
            if self._has_binding(node):
                del self._remaining[node]
                continue
            self._remaining[node] -= 1
            if self._remaining[node]:
                self._timers.set(node, now + REPEAT_AFTER_S)
            else:
                del self._remaining[node]
            yield node
