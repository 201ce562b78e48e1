"""Messages that the reference LMA can be told to send although nobody has asked."""

from ipaddress import IPv6Address, IPv6Network
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from mag.frozen import frozen
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.binding_error import BindingError
from mag.wire.binding_refresh_request import BindingRefreshRequest
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import HandoffIndicator, HeartbeatFlag
from mag.wire.options import (
    AccessTechnologyTypeOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    MobileNodeIdentifierOption,
    RestartCounterOption,
)

_STRICT: Final = ConfigDict(extra="forbid")
_Octet = Annotated[int, Field(ge=0, le=255)]


@frozen
class UnsolicitedAcknowledgement:
    """An acknowledgement of a request that was never made."""

    mn_id: bytes
    status: _Octet = 0
    sequence: Annotated[int, Field(ge=0, le=0xFFFF)] = 0
    lifetime_s: int = 3600
    prefixes: tuple[IPv6Network, ...] = ()
    access_technology_type: _Octet = 3
    name: Literal["acknowledgement"] = "acknowledgement"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@frozen
class UnsolicitedHeartbeat:
    """Tells the restart counter, as after a start (RFC 5847 §3.2), or asks whether one is there."""

    is_request: bool = False
    name: Literal["heartbeat"] = "heartbeat"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@frozen
class UnsolicitedBindingError:
    """A Binding Error (RFC 6275 §6.1.9)."""

    status: _Octet
    name: Literal["binding-error"] = "binding-error"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@frozen
class UnsolicitedRefreshRequest:
    """A Binding Refresh Request (RFC 6275 §6.1.2), which no gateway has to know."""

    name: Literal["refresh-request"] = "refresh-request"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@frozen
class UnsolicitedOctets:
    """Anything, as it is: the Mobility Header from its first octet."""

    octets: Annotated[str, Field(pattern=r"^([0-9A-Fa-f]{2}){1,2040}$")]
    name: Literal["octets"] = "octets"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


Unsolicited = Annotated[
    UnsolicitedAcknowledgement
    | UnsolicitedHeartbeat
    | UnsolicitedBindingError
    | UnsolicitedRefreshRequest
    | UnsolicitedOctets,
    Field(discriminator="name"),
]


@frozen
class Telegram:
    """A message and where it goes."""

    gateway: IPv6Address
    """A Proxy-CoA."""
    message: Unsolicited
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


TELEGRAM: Final[TypeAdapter[Telegram]] = TypeAdapter(Telegram)
"""A telegram from JSON and to it."""


def octets_of(telegram: Telegram, address: IPv6Address, restart_counter: int) -> bytes:
    """The Mobility Header to send from `address`. Raises ValueError for what fits into none."""
    message: mobility_header.MobilityMessage
    match telegram.message:
        case UnsolicitedOctets(octets):
            return bytes.fromhex(octets)
        case UnsolicitedAcknowledgement() as said:
            message = _acknowledgement(said)
        case UnsolicitedHeartbeat(is_request):
            message = Heartbeat(0) if is_request else _announcement(restart_counter)
        case UnsolicitedBindingError(status):
            message = BindingError(status)
        case UnsolicitedRefreshRequest():
            message = BindingRefreshRequest()
    return mobility_header.encode(message, address, telegram.gateway)


def _announcement(restart_counter: int) -> Heartbeat:
    flags = HeartbeatFlag.RESPONSE | HeartbeatFlag.UNSOLICITED
    return Heartbeat(0, flags, (RestartCounterOption(restart_counter),))


def _acknowledgement(said: UnsolicitedAcknowledgement) -> ProxyBindingAcknowledgement:
    options = (
        MobileNodeIdentifierOption(said.mn_id),
        *map(HomeNetworkPrefixOption.of, said.prefixes),
        HandoffIndicatorOption(HandoffIndicator.UNKNOWN),
        AccessTechnologyTypeOption(said.access_technology_type),
    )
    return ProxyBindingAcknowledgement(said.status, said.sequence, said.lifetime_s, options)
