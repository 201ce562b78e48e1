"""What the kernel's nf_tables has in one of our tables, read without libnftables.

libnftables reads all elements of a table, whatever it is asked for, and makes several objects of
each: four seconds with 100,000 bindings, and as long again for what it prints to be read.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

NETLINK_NETFILTER: Final = 12
"""The protocol of the socket; Python's own does not name it."""

_NFPROTO_INET: Final = 1
_NFNL_SUBSYS_NFTABLES: Final = 10
_GET_SETS: Final = 10
_GET_ELEMENTS: Final = 13
_GET_OBJECTS: Final = 19
_NLM_F_REQUEST_DUMP: Final = 0x301

_TABLE: Final = 1
_SET_OF_ELEMENTS: Final = 2
_NAME: Final = 2
"""Of a set, or of an object."""
_ELEMENTS: Final = 3
_OBJECT_DATA: Final = 4
_ELEMENT_KEY: Final = 1
_ELEMENT_EXPRESSION: Final = 7
_EXPRESSION_DATA: Final = 2
_COUNTER_OCTETS: Final = 1
_COUNTER_PACKETS: Final = 2
_OCTETS_OF_ELEMENT: Final = (_ELEMENT_EXPRESSION, _EXPRESSION_DATA, _COUNTER_OCTETS)
_PACKETS_OF_ELEMENT: Final = (_ELEMENT_EXPRESSION, _EXPRESSION_DATA, _COUNTER_PACKETS)

_HEADER: Final = struct.Struct("=IHHII")
_FAMILY: Final = struct.Struct("=BBH")
_ATTRIBUTE: Final = struct.Struct("=HH")
_COUNT: Final = struct.Struct("!Q")
_TYPE_MASK: Final = 0x3FFF


class FoundElement(NamedTuple):
    """One element of a set."""

    key: bytes
    """Its parts in network order, each padded to four octets."""
    packets: int
    octets: int


def set_dump(table: str) -> bytes:
    """Ask for all sets of an `inet` table."""
    return _request(_GET_SETS, _text(_TABLE, table))


def element_dump(table: str, set_name: str) -> bytes:
    """Ask for all elements of a set."""
    return _request(_GET_ELEMENTS, _text(_TABLE, table) + _text(_SET_OF_ELEMENTS, set_name))


def counter_dump(table: str) -> bytes:
    """Ask for all objects of a table; ours are counters with a name."""
    return _request(_GET_OBJECTS, _text(_TABLE, table))


def decode_set(body: bytes) -> str:
    """The name in one answer, without its netlink header."""
    return _name(dict(_attributes(_after_family(body))))


def decode_elements(body: bytes) -> Iterator[FoundElement]:
    """The elements in one answer."""
    for kind, elements in _attributes(_after_family(body)):
        if kind == _ELEMENTS:
            yield from _alike(elements) or _one_by_one(elements)


def _one_by_one(elements: memoryview) -> Iterator[FoundElement]:
    return (_element(element) for _, element in _attributes(elements))


def _alike(elements: memoryview) -> list[FoundElement]:
    """The same in a tenth of the time: all of a set are laid out alike. Else nothing."""
    layout = _layout(elements)
    if layout is None or len(elements) % layout.size:
        return []
    found = list(layout.iter_unpack(elements))
    if any(header != found[0][0] for header, _, _, _ in found):
        return []
    return [FoundElement(key, packets, octets) for _, key, octets, packets in found]


def _layout(elements: memoryview) -> struct.Struct | None:
    """Header, key, octets and packets, as in the first element; None if it counts nothing."""
    places: dict[tuple[int, ...], tuple[int, int]] = {}
    size = 0
    for _, start, end in _spans(elements, 0, len(elements)):
        for kind, inner, inner_end in _spans(elements, start, end):
            places[(kind,)] = inner + _ATTRIBUTE.size, inner_end
            if kind == _ELEMENT_EXPRESSION:
                for data, data_start, data_end in _spans(elements, inner, inner_end):
                    for count, at, _ in _spans(elements, data_start, data_end):
                        places[kind, data, count] = at, at + _COUNT.size
        size = (end + 3) & ~3
        break
    octets, _ = places.get(_OCTETS_OF_ELEMENT, (0, 0))
    packets, _ = places.get(_PACKETS_OF_ELEMENT, (0, 0))
    key, key_end = places.get((_ELEMENT_KEY,), (0, 0))
    if not 0 < key < key_end <= octets <= packets - 8 <= size - 16:
        return None
    return struct.Struct(
        f"!I{key - 4}x{key_end - key}s{octets - key_end}xQ{packets - octets - 8}xQ"
        f"{size - packets - 8}x"
    )


def decode_counter(body: bytes) -> tuple[str, int]:
    """A counter's name and its packets."""
    found = dict(_attributes(_after_family(body)))
    return _name(found), _counts(found.get(_OBJECT_DATA, _NOTHING))[0]


_NOTHING: Final = memoryview(b"")


def _request(kind: int, attributes: bytes) -> bytes:
    body = _FAMILY.pack(_NFPROTO_INET, 0, 0) + attributes
    number = _NFNL_SUBSYS_NFTABLES << 8 | kind
    return _HEADER.pack(_HEADER.size + len(body), number, _NLM_F_REQUEST_DUMP, 0, 0) + body


def _after_family(body: bytes) -> memoryview:
    return memoryview(body)[_FAMILY.size :]


def _name(found: dict[int, memoryview]) -> str:
    return bytes(found.get(_NAME, _NOTHING)).rstrip(b"\0").decode(errors="replace")


def _element(element: memoryview) -> FoundElement:
    key = b""
    packets = octets = 0
    for kind, value in _attributes(element):
        if kind == _ELEMENT_KEY:
            key = bytes(value[_ATTRIBUTE.size :])  # one attribute within another
        elif kind == _ELEMENT_EXPRESSION:  # our sets have no other than a counter
            packets, octets = _counts(dict(_attributes(value)).get(_EXPRESSION_DATA, _NOTHING))
    return FoundElement(key, packets, octets)


def _counts(data: memoryview) -> tuple[int, int]:
    """Packets and octets."""
    counts = {
        kind: _COUNT.unpack_from(value)[0]
        for kind, value in _attributes(data)
        if len(value) >= _COUNT.size
    }
    return counts.get(_COUNTER_PACKETS, 0), counts.get(_COUNTER_OCTETS, 0)


def _attributes(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    return ((kind, data[start:end]) for kind, start, end in _spans(data, 0, len(data)))


def _spans(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Kind, start and end of the value of each attribute between these two."""
    offset = start
    while offset + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE_MASK, offset + _ATTRIBUTE.size, min(offset + length, end)
        offset += (length + 3) & ~3


def _text(kind: int, text: str) -> bytes:
    value = text.encode() + b"\0"
    padding = bytes(-len(value) % 4)
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + padding
