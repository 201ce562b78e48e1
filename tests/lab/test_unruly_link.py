"""What the reference LMA can be told to do wrong: each misdeed, and only to what is meant."""

import contextlib
import random
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network

import pytest
from pydantic import ValidationError

from lab.anchor_domain import ALICE, BOB, LMA, MAG1, MAG2, Domain, prefixes_of, settings
from mag.lab.anchor.core import LocalMobilityAnchor, OutgoingMessage
from mag.lab.anchor.events import FaultApplied
from mag.lab.anchor.faults import (
    FAULT,
    Alter,
    Delay,
    Duplicate,
    Fault,
    Garble,
    Grant,
    Lose,
    MessageKind,
    Misdeed,
    Omit,
    Part,
    Reject,
    Reorder,
    Way,
    Where,
)
from mag.lab.anchor.unruly_link import REORDER_PATIENCE_S, UnrulyLink
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.errors import WireError
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import FIRST_REJECTING_STATUS, BindingStatus, HandoffIndicator
from mag.wire.options import (
    AccessTechnologyTypeOption,
    BindingRefreshAdviceOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
    TimestampOption,
)


@dataclass
class UnrulyDomain(Domain):
    """The same domain with a link between gateways and anchor that may misbehave."""

    link: UnrulyLink = field(default_factory=lambda: UnrulyLink(LMA, random.Random(1)))
    applied: list[FaultApplied] = field(default_factory=list)
    sent: list[OutgoingMessage] = field(default_factory=list)

    def receive(self, data: bytes, source: IPv6Address) -> list[ProxyBindingAcknowledgement]:
        return self._decoded(self.deliver(data, source))

    def deliver(self, data: bytes, source: IPv6Address) -> list[OutgoingMessage]:
        """The same as octets."""
        if self.link.admits(data, source, self.utc):
            self.anchor.receive_message(data, source, self.now, self.utc)
        return self._sent()

    def later(self, seconds: float) -> list[ProxyBindingAcknowledgement]:
        """Let time pass for the link; what it lets go then."""
        self.now += seconds
        self.link.handle_timer(self.now)
        return self._decoded(self._sent())

    def _sent(self) -> list[OutgoingMessage]:
        self.events += self.anchor.events()
        for message in self.anchor.messages_to_send():
            self.link.send(message, self.now)
        self.applied += self.link.events()
        fresh = list(self.link.messages_to_send())
        self.sent += fresh
        return fresh

    def _decoded(self, messages: list[OutgoingMessage]) -> list[ProxyBindingAcknowledgement]:
        answers = []
        for message in messages:
            with contextlib.suppress(WireError):
                answers.append(mobility_header.decode(message.data, LMA, message.destination))
        return [each for each in answers if isinstance(each, ProxyBindingAcknowledgement)]


@pytest.fixture
def domain() -> UnrulyDomain:
    return UnrulyDomain(LocalMobilityAnchor(settings()))


def told(domain: UnrulyDomain, misdeed: Misdeed, where: Where = Where(), **more: object) -> None:  # noqa: B008
    domain.link.misbehave(Fault(misdeed, where, **more))


def rejecting_statuses() -> list[int]:
    return [status for status in BindingStatus if status >= FIRST_REJECTING_STATUS]


@pytest.mark.parametrize("status", rejecting_statuses())
def test_rejection_has_the_status_and_leaves_the_binding_cache_alone(
    domain: UnrulyDomain, status: int
) -> None:
    told(domain, Reject(status))
    (answer,) = domain.request(MAG1)
    assert (answer.status, answer.is_accepted) == (status, False)
    assert domain.anchor.bindings == ()
    assert domain.events == []
    (applied,) = domain.applied
    assert (applied.name, applied.mn_id, applied.status) == ("reject", ALICE, status)


def test_rejection_for_the_clock_brings_the_lmas_time(domain: UnrulyDomain) -> None:
    """RFC 5213 §5.5(8)(9)."""
    told(domain, Reject(BindingStatus.TIMESTAMP_MISMATCH))
    (answer,) = domain.request(MAG1, clock_s=0.0)
    option = answer.first(TimestampOption)
    assert option is not None
    assert option.ticks == int(domain.utc * 65536)


def test_fault_is_used_up_after_its_times(domain: UnrulyDomain) -> None:
    told(domain, Reject(130), times=2)
    statuses = [domain.request(MAG1)[0].status for _ in range(3)]
    assert statuses == [130, 130, 0]
    assert domain.link.faults[0].is_used_up


@pytest.mark.parametrize(
    ("where", "hits"),
    [
        (Where(mn_id=ALICE), [True, False]),
        (Where(gateway=MAG2), [False, True]),
        (Where(kind=MessageKind.REFRESH), [False, False]),
        (Where(), [True, True]),
    ],
    ids=["node", "gateway", "kind", "all"],
)
def test_fault_hits_what_is_meant(domain: UnrulyDomain, where: Where, hits: list[bool]) -> None:
    told(domain, Reject(128), where)
    statuses = [domain.request(MAG1, ALICE)[0].status, domain.request(MAG2, BOB)[0].status]
    assert [status == 128 for status in statuses] == hits


def test_kinds_are_told_apart_by_request_in_their_answers_too(domain: UnrulyDomain) -> None:
    told(domain, Lose(), Where(kind=MessageKind.REFRESH))
    (answer,) = domain.request(MAG1)
    prefixes = prefixes_of(answer)
    assert domain.request(MAG1, prefixes=prefixes, handoff=HandoffIndicator.NOT_CHANGED) == []
    told(domain, Lose(), Where(kind=MessageKind.DEREGISTRATION))
    assert domain.deregister(MAG1, prefixes) == []
    assert domain.anchor.bindings[0].is_deregistered


def test_lost_request_is_not_heard_lost_answer_was(domain: UnrulyDomain) -> None:
    told(domain, Lose(Way.REQUEST), times=1)
    assert domain.request(MAG1) == []
    assert domain.anchor.bindings == ()
    told(domain, Lose(Way.ANSWER), times=1)
    assert domain.request(MAG1) == []
    assert len(domain.anchor.bindings) == 1


def test_delayed_answer_comes_after_its_time(domain: UnrulyDomain) -> None:
    told(domain, Delay(0.4))
    assert domain.request(MAG1) == []
    assert domain.link.get_timer() == pytest.approx(domain.now + 0.4)
    assert domain.later(0.39) == []
    assert len(domain.later(0.02)) == 1
    assert domain.link.get_timer() is None


def test_spread_of_a_delay_is_the_same_for_the_same_seed() -> None:
    deadlines = []
    for _ in range(2):
        domain = UnrulyDomain(LocalMobilityAnchor(settings()))
        told(domain, Delay(0.1, spread_s=1.0))
        domain.request(MAG1)
        deadlines.append(domain.link.get_timer())
    assert deadlines[0] == deadlines[1]
    assert deadlines[0] is not None
    assert domain.now + 0.1 < deadlines[0] <= domain.now + 1.1


def test_duplicates_are_equal(domain: UnrulyDomain) -> None:
    told(domain, Duplicate(2))
    first, second, third = domain.request(MAG1)
    assert first == second == third


def test_reordered_answer_follows_the_next_one(domain: UnrulyDomain) -> None:
    told(domain, Reorder(), times=1)
    assert domain.request(MAG1, ALICE) == []
    overtaking, overtaken = domain.request(MAG1, BOB, mac=b"\2\0\0\0\0\7")
    assert overtaking.first(MobileNodeIdentifierOption) == MobileNodeIdentifierOption(BOB)
    assert overtaken.first(MobileNodeIdentifierOption) == MobileNodeIdentifierOption(ALICE)


def test_answer_that_nothing_overtakes_goes_out_alone(domain: UnrulyDomain) -> None:
    told(domain, Reorder())
    assert domain.request(MAG1) == []
    assert domain.later(REORDER_PATIENCE_S - 0.01) == []
    assert len(domain.later(0.02)) == 1


OPTIONS: dict[Part, type[MobilityOption]] = {
    Part.MN_ID: MobileNodeIdentifierOption,
    Part.TIMESTAMP: TimestampOption,
    Part.HANDOFF_INDICATOR: HandoffIndicatorOption,
    Part.ACCESS_TECHNOLOGY_TYPE: AccessTechnologyTypeOption,
    Part.LINK_LAYER_ID: MobileNodeLinkLayerIdentifierOption,
    Part.LINK_LOCAL_ADDRESS: LinkLocalAddressOption,
    Part.HOME_NETWORK_PREFIX: HomeNetworkPrefixOption,
}
ASKS_FOR_LINK_LOCAL = (LinkLocalAddressOption(IPv6Address("::")),)


@pytest.mark.parametrize("part", [part for part in OPTIONS if part is not Part.HOME_NETWORK_PREFIX])
def test_altered_option_is_another_one_and_all_others_stay(
    domain: UnrulyDomain, part: Part
) -> None:
    twin = UnrulyDomain(LocalMobilityAnchor(settings()))
    told(domain, Alter(part))
    (altered,) = domain.request(MAG1, more=ASKS_FOR_LINK_LOCAL)
    (right,) = twin.request(MAG1, more=ASKS_FOR_LINK_LOCAL)
    differing = [a for a, b in zip(altered.options, right.options, strict=True) if a != b]
    assert [type(option) for option in differing] == [OPTIONS[part]]


@pytest.mark.parametrize(
    ("part", "value", "expected"),
    [
        (Part.MN_ID, "eve@lab.example", MobileNodeIdentifierOption(b"eve@lab.example")),
        (Part.TIMESTAMP, 5, TimestampOption(5)),
        (Part.HANDOFF_INDICATOR, "7", HandoffIndicatorOption(7)),
        (Part.ACCESS_TECHNOLOGY_TYPE, 9, AccessTechnologyTypeOption(9)),
        (Part.LINK_LAYER_ID, "0a0b", MobileNodeLinkLayerIdentifierOption(b"\x0a\x0b")),
        (Part.LINK_LOCAL_ADDRESS, "fe80::9", LinkLocalAddressOption(IPv6Address("fe80::9"))),
    ],
)
def test_altered_option_takes_the_value_that_was_told(
    domain: UnrulyDomain, part: Part, value: int | str, expected: MobilityOption
) -> None:
    told(domain, Alter(part, value))
    (answer,) = domain.request(MAG1, more=ASKS_FOR_LINK_LOCAL)
    assert answer.first(OPTIONS[part]) == expected


def test_altered_sequence_number(domain: UnrulyDomain) -> None:
    told(domain, Alter(Part.SEQUENCE))
    (answer,) = domain.request(MAG1)
    assert answer.sequence == domain.sequence + 1


@pytest.mark.parametrize("part", list(OPTIONS))
def test_omitted_option_is_not_there(domain: UnrulyDomain, part: Part) -> None:
    told(domain, Omit(part))
    (answer,) = domain.request(MAG1, more=ASKS_FOR_LINK_LOCAL)
    assert answer.first(OPTIONS[part]) is None
    assert len(answer.options) == 6


def test_omitted_proxy_flag(domain: UnrulyDomain) -> None:
    told(domain, Omit(Part.PROXY_FLAG))
    (answer,) = domain.request(MAG1)
    assert not answer.is_proxy


@pytest.mark.parametrize(
    "prefixes",
    [(), (IPv6Network("::/0"),), tuple(IPv6Network(f"2001:db8:9:{n}::/64") for n in range(20))],
    ids=["none", "everything", "many"],
)
def test_grant_of_any_prefixes(domain: UnrulyDomain, prefixes: tuple[IPv6Network, ...]) -> None:
    told(domain, Grant(prefixes=prefixes))
    (answer,) = domain.request(MAG1)
    assert prefixes_of(answer) == prefixes


@pytest.mark.parametrize("lifetime_s", [0, 4, 262140])
def test_grant_of_any_lifetime(domain: UnrulyDomain, lifetime_s: int) -> None:
    told(domain, Grant(lifetime_s=lifetime_s, refresh_interval_s=40))
    (answer,) = domain.request(MAG1)
    assert answer.lifetime_s == lifetime_s
    assert answer.first(BindingRefreshAdviceOption) == BindingRefreshAdviceOption(40)


def test_rejection_of_the_core_grants_nothing(domain: UnrulyDomain) -> None:
    told(domain, Grant(prefixes=(IPv6Network("2001:db8:9::/64"),)))
    (answer,) = domain.request(MAG1, clock_s=0.0)
    assert answer.status == BindingStatus.TIMESTAMP_MISMATCH
    assert answer.first(HomeNetworkPrefixOption) == HomeNetworkPrefixOption.of(IPv6Network("::/0"))


@pytest.mark.parametrize("fix_checksum", [True, False])
def test_garbled_answers_differ_and_get_past_the_checksum_if_told(
    domain: UnrulyDomain, fix_checksum: bool
) -> None:
    told(domain, Garble(fix_checksum))
    for _ in range(50):
        domain.request(MAG1)
    reasons = []
    for message in domain.sent:
        try:
            mobility_header.decode(message.data, LMA, MAG1)
        except WireError as error:
            reasons.append(error.reason)
    assert len({message.data for message in domain.sent}) == 50
    assert len(reasons) > 10
    assert ("bad_checksum" in reasons) is not fix_checksum


def test_heartbeats_are_answered_or_not(domain: UnrulyDomain) -> None:
    request = mobility_header.encode(Heartbeat(7), MAG1, LMA)
    assert len(domain.deliver(request, MAG1)) == 1
    told(domain, Lose(Way.REQUEST), Where(kind=MessageKind.HEARTBEAT))
    assert domain.deliver(request, MAG1) == []
    assert domain.request(MAG1)[0].status == 0


def test_octets_that_are_no_message_reach_the_core(domain: UnrulyDomain) -> None:
    told(domain, Lose(Way.REQUEST))
    assert domain.link.admits(b"\x3b\x01", MAG1, domain.utc)


def test_faults_apply_one_after_the_other(domain: UnrulyDomain) -> None:
    told(domain, Alter(Part.SEQUENCE))
    told(domain, Duplicate())
    first, second = domain.request(MAG1)
    assert first.sequence == second.sequence == domain.sequence + 1


def test_relenting_takes_back_one_fault_or_all(domain: UnrulyDomain) -> None:
    one = domain.link.misbehave(Fault(Reject(128)))
    domain.link.misbehave(Fault(Duplicate()))
    assert domain.request(MAG1)[0].status == 128
    (gone,) = domain.link.relent(one.fault_id)
    assert gone.applied == 1
    assert [answer.status for answer in domain.request(MAG1)] == [0, 0]
    assert len(domain.link.relent()) == 1
    assert len(domain.request(MAG1)) == 1
    assert domain.link.relent(one.fault_id) == ()


def test_probability_hits_some_and_is_seeded(domain: UnrulyDomain) -> None:
    told(domain, Lose(), probability=0.5)
    hits = [domain.request(MAG1) == [] for _ in range(40)]
    assert 5 < sum(hits) < 35
    other = UnrulyDomain(LocalMobilityAnchor(settings()))
    told(other, Lose(), probability=0.5)
    assert [other.request(MAG1) == [] for _ in range(40)] == hits


@pytest.mark.parametrize(
    "misdeed",
    [
        Reject(130),
        Lose(Way.REQUEST),
        Delay(1.0, 0.5),
        Duplicate(3),
        Reorder(),
        Alter(Part.TIMESTAMP, 7),
        Omit(Part.MN_ID),
        Grant((IPv6Network("::/0"),), 0, 4),
        Garble(False),
    ],
    ids=lambda misdeed: misdeed.name,
)
def test_every_fault_survives_json(misdeed: Misdeed) -> None:
    fault = Fault(misdeed, Where(ALICE, MAG1, MessageKind.REFRESH), 3, 0.25)
    assert FAULT.validate_json(FAULT.dump_json(fault)) == fault


@pytest.mark.parametrize(
    "document",
    [
        {"misdeed": {"name": "reject", "status": 0}},
        {"misdeed": {"name": "alter", "part": "timestamp", "value": "soon"}},
        {"misdeed": {"name": "alter", "part": "link-layer-id", "value": "xy"}},
        {"misdeed": {"name": "alter", "part": "link-local-address", "value": "here"}},
        {"misdeed": {"name": "alter", "part": "proxy-flag"}},
        {"misdeed": {"name": "omit", "part": "sequence"}},
        {"misdeed": {"name": "grant", "lifetime_s": 5}},
        {"misdeed": {"name": "dance"}},
        {"misdeed": {"name": "lose", "twice": True}},
        {"misdeed": {"name": "reorder"}, "times": 0},
        {"misdeed": {"name": "reorder"}, "probability": 0},
    ],
)
def test_fault_that_means_nothing_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FAULT.validate_python(document)
