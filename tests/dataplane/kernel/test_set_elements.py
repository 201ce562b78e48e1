"""Elements of sets as nf_tables tells them: what is asked, and answers read back."""

import struct

from mag.dataplane.kernel.set_elements import FoundElement, decode_elements, set_dump

NESTED = 0x8000


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def element(key: bytes, counter: bytes = b"") -> bytes:
    return attribute(1 | NESTED, attribute(1 | NESTED, attribute(1, key)) + counter)


def counted(packets: int, octets: int) -> bytes:
    data = attribute(1, struct.pack("!Q", octets)) + attribute(2, struct.pack("!Q", packets))
    return attribute(7 | NESTED, attribute(1, b"counter\0") + attribute(2 | NESTED, data))


def answer(*elements: bytes) -> bytes:
    names = attribute(1, b"mag\0") + attribute(2, b"uplink64\0")
    return struct.pack("=BBH", 1, 0, 9) + names + attribute(3 | NESTED, b"".join(elements))


def test_request_names_table_and_set() -> None:
    request = set_dump("mag", "uplink64")
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", request)
    assert (length, kind, flags) == (len(request), 10 << 8 | 13, 0x301)
    assert request[16:20] == bytes((1, 0, 0, 0))
    assert request[20:] == attribute(1, b"mag\0") + attribute(2, b"uplink64\0")


def test_elements_come_with_their_counts() -> None:
    body = answer(element(b"k" * 40, counted(3, 300)), element(b"l" * 40, counted(0, 0)))
    assert list(decode_elements(body)) == [
        FoundElement(b"k" * 40, packets=3, octets=300),
        FoundElement(b"l" * 40, packets=0, octets=0),
    ]


def test_sets_without_counters_have_none() -> None:
    assert list(decode_elements(answer(element(b"k" * 16)))) == [FoundElement(b"k" * 16, 0, 0)]
    assert list(decode_elements(answer())) == []
