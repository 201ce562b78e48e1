"""`mag explain`: every reason that there is, in a sentence that names what matters."""

from ipaddress import IPv6Address, IPv6Network

import pytest

from mag.daemon.binding_explanation import Circumstances, explain_binding
from mag.daemon.explanation import Reason, duration, explain_departure
from mag.daemon.histories import MAX_DEPARTED, MAX_REMARKS, Departure, Histories, Remark, What
from mag.protocol.attachment import Attachment
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.events import (
    BindingEstablished,
    BindingLost,
    BindingRefreshed,
    BindingRejected,
    ForwardingInstalled,
    ProxyBindingUpdateSent,
)
from mag.protocol.hold import Hold
from mag.protocol.lma_peer import LmaPeer, PeerState
from mag.protocol.lma_settings import LmaSettings
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.registration import LossReason, RegistrationState
from mag.protocol.request import Request, RequestKind
from mag.protocol.service import snapshot
from mag.wire.iana import AccessTechnologyType, HandoffIndicator

LMA = IPv6Address("2001:db8:0:b::1")
PREFIX = IPv6Network("2001:db8:100:1::/64")
ROUTER = IPv6Address("fe80::6d61:2")
NODES_OWN = IPv6Address("fe80::6d61:1")
NOW, UTC = 1000.0, 1_800_000_000.0


def entry(state: RegistrationState, **changes: object) -> BindingUpdateListEntry:
    values: dict[str, object] = {
        "binding_id": 1,
        "profile": PolicyProfile(b"alice@example.net", LMA),
        "attachment": Attachment("access1", bytes(5) + b"\1", AccessTechnologyType.IEEE_802_3),
        "state": state,
        "attached_at": 900.0,
        "request": Request(3600, HandoffIndicator.UNKNOWN),
        "requested_prefixes": (),
        "expires_at": NOW + 300,
    }
    return BindingUpdateListEntry(**{**values, **changes})  # type: ignore[arg-type]


def served(state: RegistrationState, **changes: object) -> BindingUpdateListEntry:
    has = {
        "is_serving": True,
        "is_forwarding": True,
        "home_network_prefixes": (PREFIX,),
        "gateway_link_local_address": ROUTER,
    }
    return entry(state, **{**has, **changes})


def circumstances(of: BindingUpdateListEntry, **changes: object) -> Circumstances:
    values: dict[str, object] = {
        "entry": of,
        "lma": "lma1",
        "peer": LmaPeer(LMA, LmaSettings()),
        "now": NOW,
        "utc": UTC,
        "next_request_at": NOW + 4,
        "permitted_at": None,
        "remarks": (),
        "dataplane_failure": None,
    }
    return Circumstances(**{**values, **changes})  # type: ignore[arg-type]


def heard(seconds_ago: float, **liveness: object) -> LmaPeer:
    peer = LmaPeer(LMA, LmaSettings(), last_heard_at=NOW - seconds_ago)
    for name, value in liveness.items():
        setattr(peer.liveness, name, value)
    return peer


def crowded(waiting: int) -> LmaPeer:
    peer = LmaPeer(LMA, LmaSettings())
    for binding_id in range(1, waiting + 1):
        peer.updates.add(binding_id, is_urgent=True)
    return peer


REJECTED = (Remark(What.REJECTED, "PROXY_REG_NOT_ENABLED (152)", UTC - 60, UTC - 30, 2),)
State = RegistrationState


@pytest.mark.parametrize(
    ("about", "reason", "has_service", "words"),
    [
        (
            circumstances(
                served(State.ACTIVE),
                remarks=(Remark(What.REGISTERED, "", UTC - 200, UTC - 200),),
            ),
            Reason.SERVED,
            True,
            ["on access1 through lma1 with 2001:db8:100:1::/64", "3 min ago", "another 5 min"],
        ),
        (
            circumstances(served(State.ACTIVE, collided_link_local_address=NODES_OWN)),
            Reason.SERVED,
            True,
            [f"its router is {ROUTER}", f"{NODES_OWN}, which the LMA gave, is the node's own"],
        ),
        (
            circumstances(
                served(
                    State.ACTIVE,
                    gateway_link_local_address=IPv6Address("::"),
                    collided_link_local_address=NODES_OWN,
                )
            ),
            Reason.ROUTER_ADDRESS_PENDING,
            False,
            [f"looks for a link-local address: {NODES_OWN} is the node's own"],
        ),
        (
            circumstances(served(State.ACTIVE, gateway_link_local_address=IPv6Address("::"))),
            Reason.ROUTER_ADDRESS_PENDING,
            False,
            ["as lma1 has given none"],
        ),
        (
            circumstances(served(State.REFRESHING, attempts=1)),
            Reason.SERVED,
            True,
            ["has service"],
        ),
        (
            circumstances(served(State.REFRESHING, attempts=3), peer=heard(400)),
            Reason.SERVED_UNREFRESHED,
            True,
            ["for another 5 min", "none of 3 Proxy Binding Updates", "7 min ago", "in 4.0 s"],
        ),
        (
            circumstances(
                served(State.ACTIVE, solicitations=2), asked_again_at=NOW + 0.6, solicitations=5
            ),
            Reason.PRESENCE_IN_DOUBT,
            True,
            ["another 5 min", "not answered 2 of 5 questions", "asked again in 0.6 s"],
        ),
        (
            circumstances(
                served(State.REFRESHING, solicitations=5, attempts=3),
                asked_again_at=NOW + 9,
                solicitations=5,
            ),
            Reason.PRESENCE_IN_DOUBT,
            True,
            ["not answered 5 of 5 questions", "counts as gone in 9.0 s"],
        ),
        (
            circumstances(
                entry(State.REJECTED, solicitations=1),
                remarks=REJECTED,
                asked_again_at=NOW + 1,
                solicitations=5,
            ),
            Reason.PRESENCE_IN_DOUBT,
            False,
            ["lma1 is not asked again before the node has been heard", "1 of 5 questions"],
        ),
        (
            circumstances(served(State.SILENT), remarks=REJECTED),
            Reason.SERVED_UNTIL_EXPIRY,
            True,
            ["for another 5 min and none after that", "PROXY_REG_NOT_ENABLED (152)"],
        ),
        (
            circumstances(served(State.DEREGISTERING), next_request_at=NOW + 0.8),
            Reason.LEAVING,
            True,
            ["is leaving", "no longer than 0.8 s"],
        ),
        (
            circumstances(entry(State.DEREGISTERING), next_request_at=None),
            Reason.LEAVING,
            False,
            ["is leaving"],
        ),
        (
            circumstances(entry(State.REGISTERING, attempts=1)),
            Reason.REGISTERING,
            False,
            ["lma1 has been asked and has not answered yet", "asked again in 4.0 s"],
        ),
        (
            circumstances(entry(State.REGISTERING, attempts=0), next_request_at=None),
            Reason.REGISTERING,
            False,
            ["nothing is due"],
        ),
        (
            circumstances(entry(State.REGISTERING, attempts=3), permitted_at=NOW + 0.4),
            Reason.RATE_LIMITED,
            False,
            ["rate limit", "another 0.4 s"],
        ),
        (
            circumstances(
                entry(State.REJECTED, last_status=156), remarks=REJECTED, next_request_at=None
            ),
            Reason.REJECTED,
            False,
            ["as soon as our clock is in step"],
        ),
        (
            circumstances(entry(State.REGISTERING), peer=crowded(waiting=3)),
            Reason.RATE_LIMITED,
            False,
            ["one of 3 that wait for the pace of lma1, 1000 a second"],
        ),
        (
            circumstances(entry(State.REGISTERING, attempts=5)),
            Reason.LMA_SILENT,
            False,
            ["none of 5 Proxy Binding Updates, nor anything before", "in 4.0 s"],
        ),
        (
            circumstances(
                entry(State.REGISTERING, attempts=5),
                peer=heard(900, state=PeerState.UNREACHABLE, missed=4),
            ),
            Reason.LMA_UNREACHABLE,
            False,
            ["lma1 is unreachable, 4 heartbeats in a row"],
        ),
        (
            circumstances(entry(State.REJECTED), remarks=REJECTED, next_request_at=NOW + 32),
            Reason.REJECTED,
            False,
            ["30 s ago, 2 times in a row: PROXY_REG_NOT_ENABLED (152)", "asked again in 32 s"],
        ),
        (
            circumstances(entry(State.HELD), remarks=REJECTED, next_request_at=None),
            Reason.HELD,
            False,
            ["PROXY_REG_NOT_ENABLED (152)", "until an operator acts"],
        ),
        (
            circumstances(entry(State.HELD), next_request_at=None),
            Reason.HELD,
            False,
            ["lma1 refused"],
        ),
        (
            circumstances(
                entry(State.HELD, hold=Hold("PROXY_REG_NOT_ENABLED (152)", 152, is_of_node=True)),
                next_request_at=None,
            ),
            Reason.HELD,
            False,
            ["lma1 refused the node: PROXY_REG_NOT_ENABLED (152)"],
        ),
        (
            circumstances(served(State.ACTIVE, is_forwarding=False)),
            Reason.FORWARDING_PENDING,
            False,
            ["registered with lma1", "not confirmed yet"],
        ),
        (
            circumstances(
                served(State.ACTIVE, is_forwarding=False), dataplane_failure="add route: no buffer"
            ),
            Reason.FORWARDING_FAILED,
            False,
            ["the packet path refused, and is tried again: add route: no buffer"],
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else "",
)
def test_every_state_of_a_binding_has_its_reason(
    about: Circumstances, reason: Reason, has_service: bool, words: list[str]
) -> None:
    found = explain_binding(about)
    assert (found.reason, found.has_service) == (reason, has_service)
    for each in ["alice@example.net", *words]:
        assert each in found.sentence
    assert found.sentence.count(".\n") == 0
    assert found.sentence.endswith(".")


@pytest.mark.parametrize("state", [State.HELD, State.SILENT])
def test_what_an_operator_can_lift_names_the_command(state: RegistrationState) -> None:
    about = circumstances(served(state) if state is State.SILENT else entry(state))
    assert explain_binding(about).lifted_by == "mag clear binding alice@example.net"


@pytest.mark.parametrize("reason", list(LossReason))
def test_every_loss_has_words(reason: LossReason) -> None:
    departure = Departure(UTC - 40, snapshot(entry(State.GONE)), reason, ())
    found = explain_departure(departure, UTC)
    assert (found.reason, found.has_service) == (Reason.DEPARTED, False)
    assert "ended 40 s ago, " in found.sentence
    assert f"ago, {reason.value}." not in found.sentence


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (9.94, "9.9 s"), (119, "119 s"), (600, "10 min"), (7200, "2 h")],
)
def test_times_are_said_as_a_person_would(seconds: float, words: str) -> None:
    assert duration(seconds) == words


class TestHistories:
    def test_refreshes_in_a_row_are_one_remark(self) -> None:
        histories, binding = Histories(), snapshot(served(State.ACTIVE))
        histories.take(BindingEstablished(binding, 300, 0.1), UTC)
        for number in range(1000):
            histories.take(BindingRefreshed(binding, 300), UTC + number)
        registered, refreshed = histories.of(1)
        assert (registered.what, registered.count) == (What.REGISTERED, 1)
        assert (refreshed.count, refreshed.first_at, refreshed.last_at) == (1000, UTC, UTC + 999)

    @pytest.mark.parametrize(
        ("later_s", "kept_s"), [(0.05, 0.0), (0.2, 0.2), (-0.05, -0.05), (-3600.0, -3600.0)]
    )
    def test_times_are_kept_to_a_tenth_of_a_second(self, later_s: float, kept_s: float) -> None:
        """One number for all that happens at a time; a clock may be set back."""
        histories, binding = Histories(), snapshot(served(State.ACTIVE))
        histories.take(BindingEstablished(binding, 300, 0.1), UTC)
        histories.take(ForwardingInstalled(binding, 0.1), UTC + later_s)
        registered, forwarded = histories.of(1)
        assert registered.first_at == UTC
        assert forwarded.first_at == forwarded.last_at == UTC + kept_s

    def test_first_transmissions_are_no_remark_retransmissions_are_one(self) -> None:
        histories, binding = Histories(), snapshot(entry(State.REGISTERING))
        for attempt in range(1, 6):
            sent = ProxyBindingUpdateSent(binding, RequestKind.REGISTRATION, 7, attempt)
            histories.take(sent, UTC)
        (remark,) = histories.of(1)
        assert (remark.what, remark.detail, remark.count) == (What.UNANSWERED, "registration", 4)

    def test_troubled_binding_keeps_the_newest_remarks_only(self) -> None:
        histories, binding = Histories(), snapshot(entry(State.REJECTED))
        for number in range(100):
            rejected = BindingRejected(binding, 128, f"reason {number}", 1.0)
            histories.take(rejected, UTC + number)
        details = [remark.detail for remark in histories.of(1)]
        assert details == [f"reason {number}" for number in range(100 - MAX_REMARKS, 100)]

    def test_binding_that_is_gone_leaves_its_departure(self) -> None:
        histories, binding = Histories(), snapshot(entry(State.GONE))
        histories.take(BindingEstablished(binding, 300, 0.1), UTC)
        histories.take(BindingLost(binding, LossReason.EXPIRED), UTC + 1)
        assert histories.of(1) == ()
        departure = histories.departure_of(b"alice@example.net")
        assert departure is not None
        assert [remark.what for remark in departure.remarks] == [What.REGISTERED]
        assert histories.departure_of(b"bob@example.net") is None

    def test_departures_and_refusals_are_bounded(self) -> None:
        histories = Histories()
        for number in range(MAX_DEPARTED + 1):
            mac = number.to_bytes(6, "big")
            histories.refused("access1", mac, "who?", UTC)
        assert histories.refusal_of(bytes(6)) is None
        assert histories.refusal_of((MAX_DEPARTED).to_bytes(6, "big")) is not None
