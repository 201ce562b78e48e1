"""`mag clear held`: after a fault at an LMA is mended, its refused nodes may try again, slowly."""

from collections.abc import Iterator

from mag.daemon.gateway import Gateway
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.registration import LossReason
from mag.services.event_log import Level, LogEntry
from mag.services.gateway_control import ClearHeldRequest, ControlError, Document


def clear_held(gateway: Gateway, request: ClearHeldRequest) -> Document:
    """Lift the holds that are meant at the pace that is asked for.

    Bindings of one node end together: a hold may bar every interface (RFC 5213 §6.9.1.2(7)).
    Raises ControlError for an LMA that there is not.
    """
    if request.lma is not None and request.lma not in gateway.lma_names.values():
        known = ", ".join(gateway.lma_names.values())
        raise ControlError(f"no LMA is called {request.lma}; there are: {known}")
    core, now = gateway.core, gateway.pump.now()
    place_of: dict[bytes, int] = {}
    bindings = 0
    for entry in list(_held(gateway, request)):
        after_s = place_of.setdefault(entry.mn_id, len(place_of)) / request.rate_per_s
        core.dismiss(entry.binding_id, LossReason.CLEARED, now, after_s=after_s)
        bindings += 1
    gateway.pump.wake()
    facts = {"bindings": bindings, "nodes": len(place_of), "rate_per_s": request.rate_per_s}
    gateway.log.note(LogEntry("holds_being_cleared", Level.WARNING, facts))
    return dict(facts)


def _held(gateway: Gateway, request: ClearHeldRequest) -> Iterator[BindingUpdateListEntry]:
    for entry in gateway.core.binding_update_list:
        is_meant = (
            entry.hold is not None
            and entry.dismissal is None
            and request.lma in (None, gateway.lma_name(entry.lma_address))
            and (request.reason or "").lower() in entry.hold.reason.lower()
        )
        if is_meant:
            yield entry
