"""Going on with the bindings of an earlier run, in turns of the loop that nobody notices.

Until all of them are back the core hears of nothing else: a node that shows itself, or an LMA that
says it has lost its bindings, would meet those only that are. Whatever comes meanwhile waits.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from mag.config.model import AccessLinkSection
from mag.daemon.pump import Pump
from mag.protocol.events import DiscardReason
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.restoration import RememberedBinding, RestoredCounts
from mag.protocol.stored_binding import StoredBinding
from mag.protocol.stored_state import StoredState
from mag.services.policy_store import PolicyStore
from mag.steps import in_steps, turns

MAX_WAITING: Final = 10_000
"""Inputs; as many as the socket of signalling holds."""


class Resumption:
    """Restores bindings, and keeps the inputs of the core for as long as that lasts."""

    def __init__(
        self,
        *,
        core: MobileAccessGateway,
        pump: Pump,
        policy: PolicyStore,
        links: Mapping[str, AccessLinkSection],
    ) -> None:
        """links: access links of today, by interface."""
        self._core = core
        self._pump = pump
        self._policy = policy
        self._links = links
        self._waiting: deque[Callable[[float], None]] | None = None
        """None: inputs go to the core at once."""

    def feed(self, give: Callable[[float], None]) -> None:
        """Call this with the time, when the core may have it, and drain the core after that."""
        if self._waiting is None:
            give(self._pump.now())
            self._pump.wake()
        elif len(self._waiting) < MAX_WAITING:
            self._waiting.append(give)
        else:
            self._core.discarded[DiscardReason.STARTING] += 1

    async def resume(self, earlier: StoredState) -> RestoredCounts:
        """Have the core go on with what there was; what of it may, policy and links of today say.

        Nothing is sent before all is restored, and then what has waited is taken in.
        """
        self._waiting = deque()
        remembered = [
            RememberedBinding(
                binding,
                await self._policy.profile(binding.mn_id, binding.attachment.mn_link_layer_id),
                has_link=self._may_be_there(binding),
            )
            async for binding in in_steps(earlier.bindings)
        ]
        counters = earlier.lma_restart_counters
        restoration = self._core.restore(remembered, counters, self._pump.now(), time.time())
        for _ in turns(restoration):
            self._pump.tell()
            await asyncio.sleep(0)
        async for give in in_steps(self._waited()):
            give(self._pump.now())
        self._waiting = None
        self._pump.run()
        return restoration.counts

    def _may_be_there(self, binding: StoredBinding) -> bool:
        link = self._links.get(binding.attachment.access_interface)
        address = binding.attachment.mn_link_layer_id
        return link is not None and link.may_have(binding.mn_id, address)

    def _waited(self) -> Iterator[Callable[[float], None]]:
        """Also those that come until it is their turn: none overtakes another."""
        while self._waiting:
            yield self._waiting.popleft()
