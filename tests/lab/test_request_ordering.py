"""RFC 5213 §5.5 in the reference LMA: timestamps, or else sequence numbers, order requests."""

from ipaddress import IPv6Network

import pytest

from lab.anchor_domain import (
    ALICE_SECOND_MAC,
    BOB,
    MAG1,
    MAG2,
    UTC0,
    Domain,
    prefixes_of,
)
from mag.protocol.ordering import TICKS_PER_S
from mag.wire.iana import BindingStatus
from mag.wire.options import (
    TimestampOption,
)

FIRST = IPv6Network("2001:db8:100::/64")
SECOND = IPv6Network("2001:db8:100:1::/64")


class TestTimestamps:
    @pytest.mark.requirement("TS-09")
    def test_older_than_the_last_accepted_gets_157_and_the_anchors_time(
        self, domain: Domain
    ) -> None:
        """TS-09."""
        domain.request(MAG1)
        (answer,) = domain.request(MAG2, clock_s=domain.utc - 0.1)
        assert answer.status == BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED
        assert answer.first(TimestampOption) == TimestampOption(int(domain.utc * TICKS_PER_S))

    @pytest.mark.requirement("CFG-10", "TS-07", "TS-10")
    @pytest.mark.parametrize("skew_s", [-0.4, 0.4, -3600.0, 3600.0])
    def test_clock_outside_the_validity_window_gets_156(
        self, domain: Domain, skew_s: float
    ) -> None:
        """TS-07, TS-10: TimestampValidityWindow is 300 ms."""
        (answer,) = domain.request(MAG1, clock_s=UTC0 + skew_s)
        assert answer.status == BindingStatus.TIMESTAMP_MISMATCH
        assert answer.first(TimestampOption) == TimestampOption(int(domain.utc * TICKS_PER_S))

    @pytest.mark.requirement("CFG-10", "TS-07")
    @pytest.mark.parametrize("skew_s", [-0.25, 0.25])
    def test_clock_inside_the_validity_window_is_accepted(
        self, domain: Domain, skew_s: float
    ) -> None:
        (answer,) = domain.request(MAG1, clock_s=UTC0 + skew_s)
        assert answer.status == BindingStatus.ACCEPTED

    def test_repeated_timestamp_gets_156(self, domain: Domain) -> None:
        """INT-07: neither lower nor greater."""
        clock_s = UTC0 + 0.01
        domain.request(MAG1, clock_s=clock_s)
        (answer,) = domain.request(MAG1, clock_s=clock_s)
        assert answer.status == BindingStatus.TIMESTAMP_MISMATCH

    @pytest.mark.requirement("TS-07")
    def test_refused_request_does_not_count_as_the_last(self, domain: Domain) -> None:
        """TS-07: only accepted ones order those that follow."""
        domain.request(MAG1, clock_s=UTC0 + 3600)
        (answer,) = domain.request(MAG1)
        assert answer.status == BindingStatus.ACCEPTED

    def test_another_node_is_not_ordered_by_this_ones_timestamp(self, domain: Domain) -> None:
        domain.request(MAG1, clock_s=UTC0 + 0.2)
        (answer,) = domain.request(MAG1, BOB, mac=ALICE_SECOND_MAC)
        assert answer.status == BindingStatus.ACCEPTED


class TestSequenceNumbers:
    @pytest.mark.requirement("SEQ-02")
    def test_greater_number_is_accepted_without_timestamp(self, domain: Domain) -> None:
        """SEQ-02."""
        domain.request(MAG1, timestamped=False)
        (answer,) = domain.request(MAG2, handoff=3, timestamped=False)
        assert answer.status == BindingStatus.ACCEPTED

    @pytest.mark.requirement("SEQ-06")
    @pytest.mark.parametrize("number", [15, 0, 32783, 65535])
    def test_number_that_is_not_greater_gets_135_and_the_last_one(
        self, domain: Domain, number: int
    ) -> None:
        """SEQ-06: RFC 6275 §9.5.1's own example."""
        domain.sequence = 14
        domain.request(MAG1, timestamped=False)
        domain.sequence = number - 1
        (answer,) = domain.request(MAG1, timestamped=False)
        assert answer.status == BindingStatus.SEQUENCE_NUMBER_OUT_OF_WINDOW
        assert answer.sequence == 15

    @pytest.mark.requirement("SEQ-06")
    @pytest.mark.parametrize("number", [16, 32782])
    def test_number_in_the_greater_half_is_accepted(self, domain: Domain, number: int) -> None:
        """SEQ-06."""
        domain.sequence = 14
        domain.request(MAG1, timestamped=False)
        domain.sequence = number - 1
        (answer,) = domain.request(MAG1, timestamped=False)
        assert answer.status == BindingStatus.ACCEPTED

    @pytest.mark.requirement("SEQ-03")
    def test_two_sessions_of_a_node_have_a_number_each(self, domain: Domain) -> None:
        """SEQ-03: what one has used bars nothing of the other, and 135 names its own."""
        domain.sequence = 1000
        (first,) = domain.request(MAG1, timestamped=False)
        domain.sequence = 10
        (second,) = domain.request(MAG2, mac=ALICE_SECOND_MAC, timestamped=False)
        assert second.status == BindingStatus.ACCEPTED
        (refresh,) = domain.request(
            MAG2, prefixes=prefixes_of(second), mac=ALICE_SECOND_MAC, timestamped=False
        )
        assert refresh.status == BindingStatus.ACCEPTED
        domain.sequence = 11
        (again,) = domain.request(
            MAG2, prefixes=prefixes_of(second), mac=ALICE_SECOND_MAC, timestamped=False
        )
        assert again.status == BindingStatus.SEQUENCE_NUMBER_OUT_OF_WINDOW
        assert again.sequence == refresh.sequence == 12
        (late,) = domain.request(MAG1, prefixes=prefixes_of(first), handoff=5, timestamped=False)
        assert late.status == BindingStatus.SEQUENCE_NUMBER_OUT_OF_WINDOW
        assert late.sequence == 1001
