"""How the reference LMA can be told to misbehave, as data; `UnrulyLink` carries it out.

The same shapes travel as JSON over the control socket (mag.lab.anchor.control_api).
"""

from enum import StrEnum
from ipaddress import IPv6Address, IPv6Network
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from mag.frozen import frozen
from mag.wire.iana import FIRST_REJECTING_STATUS
from mag.wire.lifetime import lifetime_to_units

_STRICT: Final = ConfigDict(extra="forbid")
_Seconds = Annotated[float, Field(ge=0, le=60)]


class MessageKind(StrEnum):
    """What a message of a gateway is for; its answer is of the same kind."""

    REGISTRATION = "registration"
    REFRESH = "refresh"
    DEREGISTRATION = "deregistration"
    HEARTBEAT = "heartbeat"


class Part(StrEnum):
    """What of an acknowledgement echoes the request."""

    MN_ID = "mn-id"
    SEQUENCE = "sequence"
    TIMESTAMP = "timestamp"
    HANDOFF_INDICATOR = "handoff-indicator"
    ACCESS_TECHNOLOGY_TYPE = "access-technology-type"
    LINK_LAYER_ID = "link-layer-id"
    LINK_LOCAL_ADDRESS = "link-local-address"
    HOME_NETWORK_PREFIX = "home-network-prefix"
    PROXY_FLAG = "proxy-flag"


_NUMBERS: Final = (
    Part.SEQUENCE,
    Part.TIMESTAMP,
    Part.HANDOFF_INDICATOR,
    Part.ACCESS_TECHNOLOGY_TYPE,
)


class Way(StrEnum):
    """Which way a message goes."""

    REQUEST = "request"
    ANSWER = "answer"


@frozen
class Reject:
    """Refuse instead of letting the LMA decide; its Binding Cache never hears of the request."""

    status: Annotated[int, Field(ge=FIRST_REJECTING_STATUS, le=255)]
    name: Literal["reject"] = "reject"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@frozen
class Lose:
    """The network loses it."""

    way: Way = Way.ANSWER
    name: Literal["lose"] = "lose"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@frozen
class Delay:
    """The answer is late."""

    seconds: _Seconds
    spread_s: _Seconds = 0.0
    """Up to so much more, at random."""
    name: Literal["delay"] = "delay"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@frozen
class Duplicate:
    """The answer arrives several times."""

    copies: Annotated[int, Field(ge=1, le=100)] = 1
    """Beside the one there is."""
    name: Literal["duplicate"] = "duplicate"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@frozen
class Reorder:
    """The next message to the same gateway overtakes the answer, if there is one soon."""

    name: Literal["reorder"] = "reorder"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@frozen
class Alter:
    """The acknowledgement says something else there."""

    part: Part
    value: int | str | None = None
    """A number; text for mn-id; hexadecimal digits for link-layer-id; an address for
    link-local-address. None: another one than was asked."""
    name: Literal["alter"] = "alter"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    def __post_init__(self) -> None:
        """Raises ValueError for a value that does not belong to the part."""
        if self.part in (Part.HOME_NETWORK_PREFIX, Part.PROXY_FLAG):
            raise ValueError(f"{self.part} can be left out; other prefixes are a grant")
        if self.value is None:
            return
        if self.part in _NUMBERS:
            int(self.value)
        elif self.part is Part.LINK_LAYER_ID:
            bytes.fromhex(str(self.value))
        elif self.part is Part.LINK_LOCAL_ADDRESS:
            IPv6Address(str(self.value))


@frozen
class Omit:
    """The acknowledgement lacks it; a sequence number it cannot lack."""

    part: Part
    name: Literal["omit"] = "omit"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    def __post_init__(self) -> None:
        """Raises ValueError for what every acknowledgement has."""
        if self.part is Part.SEQUENCE:
            raise ValueError("an acknowledgement cannot lack its sequence number")


@frozen
class Grant:
    """The acknowledgement grants something else than the LMA has in its Binding Cache."""

    prefixes: tuple[IPv6Network, ...] | None = None
    lifetime_s: int | None = None
    """0 and more than was asked for included."""
    refresh_interval_s: int | None = None
    """Adds a Binding Refresh Advice (RFC 6275 §6.2.4)."""
    name: Literal["grant"] = "grant"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    def __post_init__(self) -> None:
        """Raises ValueError for a time that the wire cannot carry."""
        for seconds in (self.lifetime_s, self.refresh_interval_s):
            if seconds is not None:
                lifetime_to_units(seconds)


@frozen
class Garble:
    """Some octets of the answer change, or it loses its end."""

    fix_checksum: bool = True
    """What was changed gets past the checksum."""
    name: Literal["garble"] = "garble"
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


Misdeed = Annotated[
    Reject | Lose | Delay | Duplicate | Reorder | Alter | Omit | Grant | Garble,
    Field(discriminator="name"),
]


@frozen
class Where:
    """Which messages; what is None is not compared."""

    mn_id: bytes | None = None
    gateway: IPv6Address | None = None
    """Its Proxy-CoA."""
    kind: MessageKind | None = None
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@frozen
class Fault:
    """One way to misbehave, until it is used up or taken back."""

    misdeed: Misdeed
    where: Where = Where()
    times: Annotated[int, Field(ge=1)] | None = None
    """How often; None: until it is taken back."""
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    """With which a message that is meant is hit."""
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


FAULT: Final[TypeAdapter[Fault]] = TypeAdapter(Fault)
"""A fault from JSON and to it."""
