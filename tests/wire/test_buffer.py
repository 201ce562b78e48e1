"""Readers stay inside their octets, writers know where they stand; faults have names."""

import inspect
from ipaddress import IPv6Address
from struct import Struct

import pytest

from mag.wire import errors
from mag.wire.buffer import Reader, Truncated, WireError
from mag.wire.checksum import checksum
from mag.wire.iana import IP_PROTOCOL_ICMPV6

FAULTS = [
    fault
    for _, fault in inspect.getmembers(errors, inspect.isclass)
    if issubclass(fault, WireError) and fault is not WireError
]


class TestReader:
    def test_fields_and_octets_are_taken_in_order(self):
        reader = Reader(b"\x01\x00\x02abcdef")
        assert reader.unpack(Struct("!BH")) == (1, 2)
        assert reader.take(3) == b"abc"
        assert reader.remaining == 3
        assert reader.rest() == b"def"
        assert reader.remaining == 0

    def test_more_than_there_is_is_truncated_and_takes_nothing(self):
        reader = Reader(b"abc")
        with pytest.raises(Truncated):
            reader.take(4)
        with pytest.raises(Truncated):
            reader.unpack(Struct("!I"))
        assert reader.rest() == b"abc"


class TestChecksum:
    SOURCE = IPv6Address("fe80::1")
    DESTINATION = IPv6Address("ff02::1")

    def test_odd_octet_counts_as_the_high_half_of_a_word(self):
        even = checksum(b"\x80\x00\x00\x00\xab\x00", self.SOURCE, self.DESTINATION, 58)
        odd = checksum(b"\x80\x00\x00\x00\xab", self.SOURCE, self.DESTINATION, 58)
        assert odd == even + 1  # the length in the pseudo-header is one less

    def test_next_header_is_covered(self):
        data = bytes(8)
        mobility = checksum(data, self.SOURCE, self.DESTINATION)
        icmpv6 = checksum(data, self.SOURCE, self.DESTINATION, IP_PROTOCOL_ICMPV6)
        assert icmpv6 - mobility == 135 - 58

    def test_message_with_its_checksum_sums_to_zero(self):
        data = bytes.fromhex("86000000 40000708 00000000 00000000")
        value = checksum(data, self.SOURCE, self.DESTINATION, IP_PROTOCOL_ICMPV6)
        summed = data[:2] + value.to_bytes(2, "big") + data[4:]
        assert checksum(summed, self.SOURCE, self.DESTINATION, IP_PROTOCOL_ICMPV6) == 0


class TestReasons:
    def test_every_fault_has_a_reason_of_its_own(self):
        """The reasons label one counter: two faults may not share a label."""
        reasons = [fault.reason for fault in FAULTS]
        assert len(FAULTS) == 12
        assert len(set(reasons) | {WireError.reason}) == len(FAULTS) + 1

    @pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
    def test_reason_is_a_label(self, fault: type[WireError]):
        assert fault.reason.replace("_", "").isalnum()
        assert fault.reason == fault.reason.lower()
