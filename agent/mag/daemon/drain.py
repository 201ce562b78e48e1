"""`mag drain`: the gateway gives up its nodes, slowly, and takes no others."""

from mag.daemon.gateway import Gateway
from mag.protocol.registration import LossReason
from mag.services.event_log import Level, LogEntry
from mag.services.gateway_control import ControlError, Document


class Drain:
    """Ends all sessions of one gateway at a pace; stays drained until it is cancelled."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._rate_per_s = 0.0
        self._sessions = 0
        """When it began."""

    def begin(self, rate_per_s: float) -> Document:
        """De-register so many a second; nodes that are not bound are refused from now on.

        Asked again, what is left goes on at the new rate.
        """
        gateway = self._gateway
        core, now = gateway.core, gateway.pump.now()
        if gateway.attachments.is_closed:
            raise ControlError("the gateway is stopping")
        gateway.attachments.is_draining = True
        self._rate_per_s = rate_per_s
        self._sessions = len(core.binding_update_list)
        for number, entry in enumerate(list(core.binding_update_list)):
            core.dismiss(entry.binding_id, LossReason.DRAINED, now, after_s=number / rate_per_s)
        gateway.pump.wake()
        facts = {"sessions": self._sessions, "rate_per_s": rate_per_s}
        gateway.note(LogEntry("drain_began", Level.WARNING, facts))
        return self.status()

    def cancel(self) -> Document:
        """Keep the sessions that are left, and take nodes again. Raises ControlError."""
        gateway = self._gateway
        if not gateway.attachments.is_draining:
            raise ControlError("the gateway is not being drained")
        gateway.attachments.is_draining = False
        for entry in gateway.core.binding_update_list:
            gateway.core.keep(entry.binding_id, LossReason.DRAINED)
        gateway.attachments.look_again()
        for interface in gateway.links:
            gateway.waker.wake(interface)
        gateway.pump.wake()
        status = self.status()
        facts = {"remaining": status["remaining"]}
        gateway.note(LogEntry("drain_cancelled", Level.WARNING, facts))
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
