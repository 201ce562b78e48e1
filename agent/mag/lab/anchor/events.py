"""What the reference LMA did, as values; forwarding follows the first four."""

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from mag.lab.anchor.binding_cache import BindingCacheEntry
from mag.lab.anchor.faults import MessageKind
from mag.wire.iana import BindingStatus


@dataclass(frozen=True, slots=True)
class BindingRegistered:
    """A new session, or one that came back from de-registration: forward to its gateway."""

    entry: BindingCacheEntry


@dataclass(frozen=True, slots=True)
class BindingMoved:
    """Another gateway has the node now: forward there."""

    entry: BindingCacheEntry
    previous: IPv6Address
    """The Proxy-CoA before."""


@dataclass(frozen=True, slots=True)
class BindingDeregistered:
    """Its gateway let the node go: forward nothing, keep the session for a while."""

    entry: BindingCacheEntry


@dataclass(frozen=True, slots=True)
class BindingDeleted:
    """The session is over: expired, or its delay after the de-registration has passed."""

    entry: BindingCacheEntry
    was_expired: bool


@dataclass(frozen=True, slots=True)
class BindingExtended:
    """The same gateway asked for more time."""

    entry: BindingCacheEntry


@dataclass(frozen=True, slots=True)
class RequestRejected:
    """Answered with a status of 128 or more."""

    mn_id: bytes
    proxy_care_of_address: IPv6Address
    status: BindingStatus


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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
