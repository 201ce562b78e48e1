"""What a Proxy Binding Update asks for, before and after it has been sent."""

from enum import StrEnum
from ipaddress import IPv6Address

from mag.frozen import frozen
from mag.protocol.attachment import Attachment
from mag.wire.iana import HandoffIndicator


class RequestKind(StrEnum):
    """The three things a PBU can be for."""

    REGISTRATION = "registration"
    REFRESH = "refresh"
    DEREGISTRATION = "deregistration"


@frozen
class Request:
    """What a PBU asks for, whenever it is sent and however often."""

    lifetime_s: int
    """0 ends the binding."""
    handoff_indicator: HandoffIndicator

    @property
    def kind(self) -> RequestKind:
        """The name under which the PBU is counted and logged."""
        if self.lifetime_s == 0:
            return RequestKind.DEREGISTRATION
        if self.handoff_indicator is HandoffIndicator.NOT_CHANGED:
            return RequestKind.REFRESH
        return RequestKind.REGISTRATION


@frozen
class OutstandingRequest:
    """One PBU as it went out: what a PBA must echo, and the moment lifetimes count from."""

    sequence: int
    timestamp_ticks: int | None
    """None: ordered by the sequence number."""
    sent_at: float
    request: Request
    attachment: Attachment
    link_local_address: IPv6Address | None = None
    """Of the gateway, as the PBU said; None: it said nothing of it."""
