"""`mag drain`: the gateway gives up its nodes, slowly, and takes no others."""

import asyncio
from itertools import count

from mag.daemon.gateway import Gateway
from mag.protocol.registration import LossReason
from mag.services.event_log import Level, LogEntry
from mag.services.gateway_control import ControlError, Document
from mag.steps import in_steps


class Drain:
    """Ends all sessions of one gateway at a pace; stays drained until it is cancelled."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._rate_per_s = 0.0
        self._sessions = 0
        """When it began."""
        self._turn = asyncio.Lock()

    async def begin(self, rate_per_s: float) -> Document:
        """De-register so many a second; nodes that are not bound are refused from now on.

        Asked again, what is left goes on at the new rate.
        """
        gateway = self._gateway
        if gateway.attachments.is_closed:
            raise ControlError("the gateway is stopping")
        async with self._turn:
            gateway.attachments.is_draining = True
            self._rate_per_s = rate_per_s
            self._sessions = len(gateway.core.binding_update_list)
            facts = {"sessions": self._sessions, "rate_per_s": rate_per_s}
            gateway.log.note(LogEntry("drain_began", Level.WARNING, facts))
            await self._dismiss_all(rate_per_s)
        return self.status()

    async def _dismiss_all(self, rate_per_s: float) -> None:
        core, pump = self._gateway.core, self._gateway.pump
        begun, number = pump.now(), count()
        async for entry in in_steps(list(core.binding_update_list)):
            now = pump.now()
            after_s = max(0.0, begun + next(number) / rate_per_s - now)
            core.dismiss(entry.binding_id, LossReason.DRAINED, now, after_s=after_s)
            pump.wake()

    async def cancel(self) -> Document:
        """Keep the sessions that are left, and take nodes again. Raises ControlError."""
        gateway = self._gateway
        async with self._turn:
            if not gateway.attachments.is_draining:
                raise ControlError("the gateway is not being drained")
            gateway.attachments.is_draining = False
            async for entry in in_steps(list(gateway.core.binding_update_list)):
                gateway.core.keep(entry.binding_id, LossReason.DRAINED)
        gateway.attachments.look_again()
        for interface in gateway.links:
            gateway.waker.wake(interface)
        gateway.pump.wake()
        status = self.status()
        facts = {"remaining": status["remaining"]}
        gateway.log.note(LogEntry("drain_cancelled", Level.WARNING, facts))
        return status

    def status(self) -> Document:
        """Whether it is under way, and how far."""
        is_active = self._gateway.attachments.is_draining
        return {
            "is_active": is_active,
            "sessions": self._sessions,
            "remaining": len(self._gateway.core.binding_update_list),
            "rate_per_s": self._rate_per_s if is_active else None,
        }
