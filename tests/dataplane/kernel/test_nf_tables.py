"""Elements of sets as nf_tables tells them: what is asked, and answers read back."""

import struct

import pytest

from mag.dataplane.kernel.nf_tables import (
    FoundElement,
    counter_dump,
    decode_counter,
    decode_elements,
    decode_set,
    element_dump,
    set_dump,
)

NESTED = 0x8000


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def element(key: bytes, counter: bytes = b"") -> bytes:
    return attribute(1 | NESTED, attribute(1 | NESTED, attribute(1, key)) + counter)


def counts(packets: int, octets: int) -> bytes:
    return attribute(1, struct.pack("!Q", octets)) + attribute(2, struct.pack("!Q", packets))


def counted(packets: int, octets: int) -> bytes:
    data = attribute(2 | NESTED, counts(packets, octets))
    return attribute(7 | NESTED, attribute(1, b"counter\0") + data)


def named(name: bytes, more: bytes = b"") -> bytes:
    names = attribute(1, b"mag\0") + attribute(2, name + b"\0")
    return struct.pack("=BBH", 1, 0, 9) + names + more


def answer(*elements: bytes) -> bytes:
    return named(b"uplink64", attribute(3 | NESTED, b"".join(elements)))


@pytest.mark.parametrize(
    ("request_", "number", "attributes"),
    [
        (set_dump("mag"), 10, attribute(1, b"mag\0")),
        (counter_dump("mag"), 19, attribute(1, b"mag\0")),
        (
            element_dump("mag", "uplink64"),
            13,
            attribute(1, b"mag\0") + attribute(2, b"uplink64\0"),
        ),
    ],
)
def test_request_names_what_it_is_about(request_: bytes, number: int, attributes: bytes) -> None:
    length, kind, flags, _, _ = struct.unpack_from("=IHHII", request_)
    assert (length, kind, flags) == (len(request_), 10 << 8 | number, 0x301)
    assert request_[16:20] == bytes((1, 0, 0, 0))
    assert request_[20:] == attributes


def test_sets_and_counters_have_names() -> None:
    assert decode_set(named(b"uplink64", attribute(3, b"flag"))) == "uplink64"
    body = named(b"bad_ecn", attribute(3, bytes(4)) + attribute(4 | NESTED, counts(7, 700)))
    assert decode_counter(body) == ("bad_ecn", 7)


def test_elements_come_with_their_counts() -> None:
    body = answer(element(b"k" * 40, counted(3, 300)), element(b"l" * 40, counted(0, 0)))
    assert list(decode_elements(body)) == [
        FoundElement(b"k" * 40, packets=3, octets=300),
        FoundElement(b"l" * 40, packets=0, octets=0),
    ]


def test_elements_that_are_not_alike_are_read_as_well() -> None:
    body = answer(element(b"k" * 40, counted(3, 300)), element(b"l" * 16), element(b"m" * 40))
    assert list(decode_elements(body)) == [
        FoundElement(b"k" * 40, packets=3, octets=300),
        FoundElement(b"l" * 16, packets=0, octets=0),
        FoundElement(b"m" * 40, packets=0, octets=0),
    ]


def test_what_the_kernel_never_says_is_no_error() -> None:
    whole = answer(element(b"k" * 40, counted(3, 300)))
    for length in range(4, len(whole)):
        list(decode_elements(whole[:length]))


def test_sets_without_counters_have_none() -> None:
    assert list(decode_elements(answer(element(b"k" * 16)))) == [FoundElement(b"k" * 16, 0, 0)]
    assert list(decode_elements(answer())) == []
