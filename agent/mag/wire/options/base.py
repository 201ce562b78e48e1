"""Mobility options in general: registry, walk and alignment (RFC 6275 §6.2)."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Final, Self, TypeVar

from mag.frozen import frozen
from mag.wire.errors import DuplicateOption, MalformedOption
from mag.wire.iana import MobilityOptionType

_HEADER_OCTETS: Final = 2
_PAD1: Final = int(MobilityOptionType.PAD1)
_PADN: Final = int(MobilityOptionType.PADN)
_PADDING: Final = (
    b"",
    b"\0",
    *(bytes((_PADN, size - 2)) + bytes(size - 2) for size in range(2, 8)),
)
"""Pad1 or PadN of every size that an alignment of eight octets can ask for, by size."""


class MobilityOption(ABC):
    """One option of a Mobility Header message: `Type, Length, data`."""

    __slots__ = ()

    TYPE: ClassVar[int]
    ALIGNMENT: ClassVar[tuple[int, int]] = (1, 0)
    """(x, y) of the RFC's xn+y: where the Type octet stands, from the start of the header."""
    MAY_REPEAT: ClassVar[bool] = False
    """More than one instance may stand in a message."""
    MUST_BE_LAST: ClassVar[bool] = False
    """Neither an option nor padding may follow."""

    @classmethod
    @abstractmethod
    def decode(cls, octets: bytes) -> Self:
        """Read the whole option, Type and Length included; Length fits the octets.

        Raises struct.error or ValueError for a wrong size or value: the walk over the options
        makes a MalformedOption of them.
        """

    @abstractmethod
    def encode(self) -> bytes:
        """Write the whole option. Raises struct.error or ValueError if a value does not fit."""


OptionT = TypeVar("OptionT", bound=MobilityOption)

_registry: Final[dict[int, type[MobilityOption]]] = {}


def register(option_class: type[OptionT]) -> type[OptionT]:
    """Class decorator: decode options of the class's TYPE with it."""
    _registry[option_class.TYPE] = option_class
    return option_class


@frozen
class UnknownOption(MobilityOption):
    """An option of a type without a class here: skipped, never an error (RFC 6275 §6.2.1)."""

    option_type: int
    data: bytes
    """The octets after Length."""

    MAY_REPEAT: ClassVar[bool] = True

    @classmethod
    def decode(cls, octets: bytes) -> Self:
        return cls(octets[0], octets[_HEADER_OCTETS:])

    def encode(self) -> bytes:
        return bytes((self.option_type, len(self.data))) + self.data


class CarriesOptions:
    """What all messages with mobility options offer."""

    __slots__ = ()

    options: tuple[MobilityOption, ...]

    def first(self, option_class: type[OptionT]) -> OptionT | None:
        """The first option of that class, or None."""
        for option in self.options:
            if type(option) is option_class:
                return option
        return None

    def all(self, option_class: type[OptionT]) -> tuple[OptionT, ...]:
        """The options of that class in the order of the message."""
        return tuple(option for option in self.options if type(option) is option_class)


def decode_options(message: bytes, start: int) -> tuple[MobilityOption, ...]:
    """Read the options from offset `start` to the end of the message, padding left out.

    Any order and alignment is accepted. Raises MalformedOption and DuplicateOption.
    """
    options = []
    seen = set()
    end = len(message)
    after = start
    while after < end:
        offset = after
        option_type = message[offset]
        if option_type == _PAD1:
            after += 1
            continue
        after += _HEADER_OCTETS
        if after <= end:
            after += message[offset + 1]
        if after > end:
            raise MalformedOption(f"option {option_type} at offset {offset} crosses the end")
        if option_type == _PADN:
            continue
        option_class = _registry.get(option_type, UnknownOption)
        if not option_class.MAY_REPEAT:
            if option_type in seen:
                raise DuplicateOption(f"option {option_type} at offset {offset}")
            seen.add(option_type)
        if option_class.MUST_BE_LAST and after != end:
            raise MalformedOption(f"option {option_type} must be last, {end - after} octets follow")
        try:
            options.append(option_class.decode(message[offset:after]))
        except (struct.error, ValueError) as error:
            raise MalformedOption(f"option {option_type}: {error}") from error
    return tuple(options)


def encode_options(options: Iterable[MobilityOption], start: int) -> bytes:
    """Write the options from offset `start`, each aligned, padded to a multiple of 8 octets.

    Raises ValueError for a second instance of an option that may not repeat and for an option
    that has to be last and is not; struct.error or ValueError for values that do not fit.
    """
    octets = bytearray(start)  # so that its length is the offset in the message
    seen = set()
    last: MobilityOption | None = None
    for option in options:
        if not option.MAY_REPEAT:
            if option.TYPE in seen:
                raise ValueError(f"option {option.TYPE} may stand only once in a message")
            seen.add(option.TYPE)
        if last is not None and last.MUST_BE_LAST:
            raise ValueError(f"option {last.TYPE} must be the last one")
        last = option
        modulus, remainder = option.ALIGNMENT
        octets += _PADDING[(remainder - len(octets)) % modulus]
        octets += option.encode()
    missing = -len(octets) % 8
    if missing and last is not None and last.MUST_BE_LAST:
        raise ValueError(f"option {last.TYPE} must end the message, {missing} octets are missing")
    octets += _PADDING[missing]
    return bytes(octets[start:])
