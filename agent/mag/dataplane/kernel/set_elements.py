"""Elements of nftables sets as the kernel tells them, without libnftables.

libnftables makes two objects and a piece of JSON of each element and takes four seconds for those
of 100,000 bindings, one of them with the interpreter locked; this takes less than one, in steps.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

NETLINK_NETFILTER: Final = 12
"""The protocol of the socket; Python's own does not name it."""
NFPROTO_INET: Final = 1

_NFT_MSG_NEWSETELEM: Final = 12
_NFT_MSG_GETSETELEM: Final = 13
_NFNL_SUBSYS_NFTABLES: Final = 10
_NLM_F_REQUEST_DUMP: Final = 0x301

_LIST_TABLE: Final = 1
_LIST_SET: Final = 2
_LIST_ELEMENTS: Final = 3
_ELEMENT_KEY: Final = 1
_ELEMENT_EXPRESSION: Final = 7
_EXPRESSION_DATA: Final = 2
_COUNTER_OCTETS: Final = 1
_COUNTER_PACKETS: Final = 2

_HEADER: Final = struct.Struct("=IHHII")
_FAMILY: Final = struct.Struct("=BBH")
_ATTRIBUTE: Final = struct.Struct("=HH")
_COUNT: Final = struct.Struct("!Q")
_TYPE_MASK: Final = 0x3FFF
_KEY_VALUE_OFFSET: Final = _ATTRIBUTE.size
"""A key is one attribute within another."""


class FoundElement(NamedTuple):
    """One element of a set."""

    key: bytes
    """Its parts in network order, each padded to four octets."""
    packets: int
    octets: int


def set_dump(table: str, set_name: str) -> bytes:
    """Ask for all elements of a set of an `inet` table."""
    body = _FAMILY.pack(NFPROTO_INET, 0, 0) + _text(_LIST_TABLE, table) + _text(_LIST_SET, set_name)
    kind = _NFNL_SUBSYS_NFTABLES << 8 | _NFT_MSG_GETSETELEM
    return _HEADER.pack(_HEADER.size + len(body), kind, _NLM_F_REQUEST_DUMP, 0, 0) + body


def decode_elements(body: bytes) -> Iterator[FoundElement]:
    """The elements in one answer, without its netlink header."""
    view = memoryview(body)
    for kind, elements in _attributes(view[_FAMILY.size :]):
        if kind == _LIST_ELEMENTS:
            for _, element in _attributes(elements):
                yield _element(element)


def _element(element: memoryview) -> FoundElement:
    key = b""
    packets = octets = 0
    for kind, value in _attributes(element):
        if kind == _ELEMENT_KEY:
            key = bytes(value[_KEY_VALUE_OFFSET:])
        elif kind == _ELEMENT_EXPRESSION:
            packets, octets = _counter(value)
    return FoundElement(key, packets, octets)


def _counter(expression: memoryview) -> tuple[int, int]:
    """Our sets have no other expression than a counter."""
    data = dict(_attributes(expression)).get(_EXPRESSION_DATA, memoryview(b""))
    counts = {kind: _COUNT.unpack_from(value)[0] for kind, value in _attributes(data) if value}
    return counts.get(_COUNTER_PACKETS, 0), counts.get(_COUNTER_OCTETS, 0)


def _attributes(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    offset, end = 0, len(data)
    while offset + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE_MASK, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def _text(kind: int, text: str) -> bytes:
    value = text.encode() + b"\0"
    padding = bytes(-len(value) % 4)
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + padding
