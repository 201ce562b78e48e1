"""What the reference LMA did, as values; forwarding follows the first four."""

from ipaddress import IPv6Address, IPv6Network

from mag.frozen import frozen
from mag.lab.anchor.binding_cache import BindingCacheEntry
from mag.lab.anchor.faults import MessageKind
from mag.wire.iana import BindingStatus


@frozen
class BindingRegistered:
    """A new session, or one that came back from de-registration: forward to its gateway."""

    entry: BindingCacheEntry


@frozen
class BindingMoved:
    """Another gateway has the node now: forward there."""

    entry: BindingCacheEntry
    previous: IPv6Address
    """The Proxy-CoA before."""


@frozen
class BindingDeregistered:
    """Its gateway let the node go: forward nothing, keep the session for a while."""

    entry: BindingCacheEntry


@frozen
class BindingDeleted:
    """The session is over: expired, or its delay after the de-registration has passed."""

    entry: BindingCacheEntry
    was_expired: bool


@frozen
class BindingExtended:
    """The same gateway asked for more time."""

    entry: BindingCacheEntry


@frozen
class RequestRejected:
    """Answered with a status of 128 or more."""

    mn_id: bytes
    proxy_care_of_address: IPv6Address
    status: BindingStatus


@frozen
class FaultApplied:
    """A message met a fault that the LMA was told to show; no event of its core."""

    name: str
    """Of the misdeed."""
    mn_id: bytes
    """Empty for a heartbeat."""
    gateway: IPv6Address
    kind: MessageKind
    status: int | None
    """That of a refusal."""
    asked: tuple[IPv6Network, ...] = ()
    """Home network prefixes that a refused request named."""


@frozen
class MessageIgnored:
    """No answer was due."""

    source: IPv6Address
    reason: str
    mn_id: bytes = b""


AnchorEvent = (
    BindingRegistered
    | BindingMoved
    | BindingDeregistered
    | BindingDeleted
    | BindingExtended
    | RequestRejected
    | MessageIgnored
)
