"""RFC 5213 §5.3 to §5.5 in the reference LMA: what it accepts, refuses, keeps and forgets."""

from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.anchor_domain import (
    ALICE,
    ALICE_MAC,
    ALICE_SECOND_MAC,
    ASSIGN,
    BOB,
    LMA,
    MAG1,
    MAG2,
    POOL,
    UTC0,
    Domain,
    link_local_of,
    prefixes_of,
    settings,
)
from mag.lab.anchor.core import LocalMobilityAnchor
from mag.lab.anchor.events import (
    BindingDeleted,
    BindingDeregistered,
    BindingExtended,
    BindingMoved,
    BindingRegistered,
    MessageIgnored,
    RequestRejected,
)
from mag.lab.anchor.settings import AnchorSettings
from mag.protocol.ordering import TICKS_PER_S
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingUpdate
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import (
    BindingStatus,
    BindingUpdateFlag,
    HandoffIndicator,
    HeartbeatFlag,
)
from mag.wire.options import (
    AccessTechnologyTypeOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    RestartCounterOption,
    TimestampOption,
)

FIRST = IPv6Network("2001:db8:100::/64")
SECOND = IPv6Network("2001:db8:100:1::/64")


def test_first_registration_assigns_a_prefix_and_echoes_what_it_was_told(domain: Domain) -> None:
    """RFC 5213 §5.3.2, §5.3.6."""
    (answer,) = domain.request(MAG1)
    assert answer.status == BindingStatus.ACCEPTED
    assert answer.is_proxy
    assert answer.sequence == domain.sequence
    assert answer.lifetime_s == 600
    assert prefixes_of(answer) == (FIRST,)
    assert answer.first(MobileNodeIdentifierOption) == MobileNodeIdentifierOption(ALICE)
    assert answer.first(HandoffIndicatorOption) == HandoffIndicatorOption(1)
    assert answer.first(AccessTechnologyTypeOption) == AccessTechnologyTypeOption(4)
    assert answer.first(MobileNodeLinkLayerIdentifierOption) == (
        MobileNodeLinkLayerIdentifierOption(ALICE_MAC)
    )
    assert [type(event) for event in domain.events] == [BindingRegistered]


@pytest.mark.requirement("TS-08")
def test_accepted_request_gets_its_own_timestamp_back(domain: Domain) -> None:
    """TS-08."""
    (answer,) = domain.request(MAG1)
    assert answer.first(TimestampOption) == TimestampOption(int(domain.utc * TICKS_PER_S))


def test_request_without_optional_options_gets_none_back(domain: Domain) -> None:
    """RFC 5213 §5.3.6: link-layer identifier, timestamp and link-local address only if asked."""
    (answer,) = domain.request(MAG1, mac=b"", timestamped=False)
    assert answer.first(MobileNodeLinkLayerIdentifierOption) is None
    assert answer.first(TimestampOption) is None
    assert link_local_of(answer) is None


def test_two_nodes_get_different_prefixes(domain: Domain) -> None:
    (alice,) = domain.request(MAG1)
    (bob,) = domain.request(MAG1, BOB, mac=ALICE_SECOND_MAC)
    assert prefixes_of(alice) == (FIRST,)
    assert prefixes_of(bob) == (SECOND,)


def test_grant_is_never_above_the_anchors_own_limit() -> None:
    domain = Domain(LocalMobilityAnchor(settings(lifetime_s=120)))
    (answer,) = domain.request(MAG1, lifetime_s=600)
    assert answer.lifetime_s == 120


def test_refresh_from_the_same_gateway_extends_the_binding(domain: Domain) -> None:
    """RFC 5213 §5.3.3: the prefixes stay, the lifetime starts anew."""
    domain.request(MAG1, lifetime_s=600)
    domain.pass_time(500)
    (answer,) = domain.request(
        MAG1, prefixes=(FIRST,), handoff=HandoffIndicator.NOT_CHANGED, lifetime_s=600
    )
    assert prefixes_of(answer) == (FIRST,)
    assert isinstance(domain.events[-1], BindingExtended)
    domain.pass_time(599)
    assert len(domain.anchor.bindings) == 1


@pytest.mark.parametrize("handoff", [3, 4], ids=["between gateways", "unknown"])
def test_same_interface_at_another_gateway_moves_the_binding(domain: Domain, handoff: int) -> None:
    """RFC 5213 §5.3.4, §5.4.1.2: the link-layer identifier proves that the interface moved."""
    domain.request(MAG1)
    (answer,) = domain.request(MAG2, handoff=handoff)
    assert prefixes_of(answer) == (FIRST,)
    (entry,) = domain.anchor.bindings
    assert entry.proxy_care_of_address == MAG2
    assert domain.events[-1] == BindingMoved(entry, previous=MAG1)


def test_late_deregistration_from_the_old_gateway_is_met_with_silence(domain: Domain) -> None:
    """INT-28, RFC 5213 §5.3.5: the node has moved on."""
    domain.request(MAG1)
    domain.request(MAG2, handoff=HandoffIndicator.HANDOFF_BETWEEN_GATEWAYS)
    assert domain.deregister(MAG1, (FIRST,)) == []
    (entry,) = domain.anchor.bindings
    assert entry.proxy_care_of_address == MAG2
    assert not entry.is_deregistered
    assert domain.events[-1] == MessageIgnored(MAG1, "not_the_current_gateway", ALICE)


def test_deregistration_that_matches_nothing_is_met_with_silence(domain: Domain) -> None:
    """INT-28."""
    assert domain.deregister(MAG1, (FIRST,)) == []


@pytest.mark.requirement("CFG-10")
def test_deregistered_session_waits_before_it_is_deleted(domain: Domain) -> None:
    """RFC 5213 §5.3.5, MinDelayBeforeBCEDelete 10 s (CFG-10)."""
    domain.request(MAG1)
    (answer,) = domain.deregister(MAG1, (FIRST,))
    assert (answer.status, answer.lifetime_s) == (BindingStatus.ACCEPTED, 0)
    assert isinstance(domain.events[-1], BindingDeregistered)
    domain.pass_time(9.9)
    assert len(domain.anchor.bindings) == 1
    domain.pass_time(0.2)
    assert domain.anchor.bindings == ()
    assert isinstance(domain.events[-1], BindingDeleted)
    assert not domain.events[-1].was_expired


def test_node_that_comes_back_within_the_delay_keeps_its_prefix(domain: Domain) -> None:
    """RFC 5213 §5.3.5: a break before make is a handover all the same."""
    domain.request(MAG1)
    domain.deregister(MAG1, (FIRST,))
    domain.pass_time(5)
    (answer,) = domain.request(MAG2, handoff=HandoffIndicator.UNKNOWN)
    assert prefixes_of(answer) == (FIRST,)
    domain.pass_time(60)
    assert len(domain.anchor.bindings) == 1


def test_unrefreshed_binding_expires(domain: Domain) -> None:
    domain.request(MAG1, lifetime_s=600)
    assert domain.anchor.get_timer() == pytest.approx(domain.now + 600)
    domain.pass_time(600)
    assert domain.anchor.bindings == ()
    assert domain.events[-1].was_expired
    assert domain.anchor.get_timer() is None


def test_prefix_of_a_deleted_session_is_the_last_to_be_used_again() -> None:
    """Somebody may still send to the node that had it."""
    domain = Domain(LocalMobilityAnchor(settings()))
    domain.request(MAG1, lifetime_s=4)
    domain.pass_time(10)
    (answer,) = domain.request(MAG1, BOB)
    assert prefixes_of(answer) == (SECOND,)


def test_exhausted_pool_is_answered_with_insufficient_resources() -> None:
    small = IPv6Network("2001:db8:100::/64")
    domain = Domain(LocalMobilityAnchor(AnchorSettings(address=LMA, prefix_pool=small)))
    domain.request(MAG1)
    (answer,) = domain.request(MAG1, BOB, mac=ALICE_SECOND_MAC)
    assert answer.status == BindingStatus.INSUFFICIENT_RESOURCES


def test_full_table_is_answered_with_insufficient_resources() -> None:
    domain = Domain(LocalMobilityAnchor(settings(max_bindings=1)))
    domain.request(MAG1)
    (answer,) = domain.request(MAG1, BOB, mac=ALICE_SECOND_MAC)
    assert answer.status == BindingStatus.INSUFFICIENT_RESOURCES


class TestRefusals:
    @pytest.mark.parametrize(
        ("without", "status"),
        [
            (MobileNodeIdentifierOption, BindingStatus.MISSING_MN_IDENTIFIER_OPTION),
            (HomeNetworkPrefixOption, BindingStatus.MISSING_HOME_NETWORK_PREFIX_OPTION),
            (HandoffIndicatorOption, BindingStatus.MISSING_HANDOFF_INDICATOR_OPTION),
            (AccessTechnologyTypeOption, BindingStatus.MISSING_ACCESS_TECH_TYPE_OPTION),
        ],
        ids=["160", "158", "161", "162"],
    )
    def test_missing_mandatory_option_is_named(
        self, domain: Domain, without: type, status: BindingStatus
    ) -> None:
        """RFC 5213 §5.3.1."""
        (answer,) = domain.request(MAG1, without=without)
        assert answer.status == status
        assert domain.anchor.bindings == ()

    def test_node_that_is_not_served_gets_152_and_its_request_back(self) -> None:
        """RFC 5213 §5.3.1, §5.3.6."""
        domain = Domain(LocalMobilityAnchor(settings(nodes={ALICE: ()})))
        (answer,) = domain.request(MAG1, BOB)
        assert answer.status == BindingStatus.PROXY_REG_NOT_ENABLED
        assert prefixes_of(answer) == (ASSIGN,)
        assert domain.events == [RequestRejected(BOB, MAG1, BindingStatus.PROXY_REG_NOT_ENABLED)]

    @pytest.mark.requirement("SEC-13")
    def test_gateway_that_may_not_register_gets_154(self) -> None:
        domain = Domain(LocalMobilityAnchor(settings(gateways=frozenset({MAG2}))))
        (answer,) = domain.request(MAG1)
        assert answer.status == BindingStatus.MAG_NOT_AUTHORIZED_FOR_PROXY_REG

    def test_prefix_of_somebody_else_gets_155(self, domain: Domain) -> None:
        """RFC 5213 §5.4.1.1."""
        domain.request(MAG1)
        (answer,) = domain.request(MAG1, BOB, prefixes=(FIRST,), mac=ALICE_SECOND_MAC)
        assert answer.status == BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX

    def test_prefix_that_is_not_ours_gets_155(self, domain: Domain) -> None:
        (answer,) = domain.request(MAG1, prefixes=(IPv6Network("2001:db8:bad::/64"),))
        assert answer.status == BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX

    def test_other_prefix_set_than_the_sessions_gets_159(self, domain: Domain) -> None:
        """RFC 5213 §5.4.1.1: all of them or none."""
        domain.request(MAG1)
        (answer,) = domain.request(
            MAG1, prefixes=(FIRST, SECOND), handoff=HandoffIndicator.NOT_CHANGED
        )
        assert answer.status == BindingStatus.BCE_PBU_PREFIX_SET_DO_NOT_MATCH


class TestLinkLocalAddress:
    """RFC 5213 §5.3.6, option 26."""

    def test_gateway_that_asks_is_given_the_sessions_own(self, domain: Domain) -> None:
        asking = LinkLocalAddressOption(IPv6Address("::"))
        given = []
        for mn_id in (b"mn1@example.net", b"mn2@example.net", b"mn1@example.net"):
            mac = bytes((2, 0, 0, 0, 0, mn_id[2]))
            (answer,) = domain.request(MAG1, mn_id=mn_id, mac=mac, more=(asking,))
            given.append(link_local_of(answer))
        first, second, again = given
        assert again == first != second
        assert first is not None
        assert first.is_link_local

    def test_address_that_a_gateway_uploads_is_given_to_the_next(self, domain: Domain) -> None:
        uploaded = IPv6Address("fe80::7")
        domain.request(MAG1, more=(LinkLocalAddressOption(uploaded),))
        (answer,) = domain.request(
            MAG2, handoff=3, more=(LinkLocalAddressOption(IPv6Address("::")),)
        )
        assert link_local_of(answer) == uploaded


class TestForeignOctets:
    def test_message_with_a_bad_checksum_changes_nothing(self, domain: Domain) -> None:
        good = mobility_header.encode(ProxyBindingUpdate(1, 600, ()), MAG1, LMA)
        assert domain.receive(good[:-1] + bytes([good[-1] ^ 1]), MAG1) == []
        assert domain.events == [MessageIgnored(MAG1, "bad_checksum")]

    def test_mobile_nodes_own_binding_update_is_not_ours(self, domain: Domain) -> None:
        """RFC 5213 §5.3.1: without the P flag it is no PBU."""
        update = ProxyBindingUpdate(1, 600, ())
        octets = bytearray(mobility_header.encode(update, MAG1, LMA))
        proxy = BindingUpdateFlag.PROXY_REGISTRATION >> 8
        octets[8] &= ~proxy
        octets[4:6] = bytes(2)
        octets[4:6] = mobility_header.checksum(bytes(octets), MAG1, LMA).to_bytes(2, "big")
        assert domain.receive(bytes(octets), MAG1) == []
        assert domain.events == [MessageIgnored(MAG1, "no_proxy_binding_update")]

    def test_request_that_leaves_no_room_for_an_answer_gets_none(self, domain: Domain) -> None:
        """2048 octets of Mobility Header with the handoff indicator missing; the answer has one."""
        prefixes = tuple(HomeNetworkPrefixOption.of(FIRST) for _ in range(84))
        identifier = MobileNodeIdentifierOption(ALICE)
        update = ProxyBindingUpdate(1, 600, (*prefixes, identifier))
        octets = mobility_header.encode(update, MAG1, LMA)
        assert len(octets) == 2048
        assert domain.receive(octets, MAG1) == []
        assert domain.events[-1] == MessageIgnored(MAG1, "no_room_for_an_answer", ALICE)

    @given(data=st.binary(max_size=300))
    def test_no_octets_raise(self, data: bytes) -> None:
        domain = Domain(LocalMobilityAnchor(settings()))
        domain.receive(data, MAG1)
        assert domain.anchor.bindings == ()


@given(
    moves=st.lists(
        st.tuples(
            st.sampled_from([MAG1, MAG2]),
            st.sampled_from([ALICE, BOB]),
            st.sampled_from([0, 60, 600]),
            st.floats(min_value=0.0, max_value=30.0),
        ),
        max_size=30,
    )
)
def test_no_prefix_is_ever_of_two_sessions(
    moves: list[tuple[IPv6Address, bytes, int, float]],
) -> None:
    """Whatever gateways ask for, and whenever: each prefix has one owner, inside the pool."""
    domain = Domain(LocalMobilityAnchor(settings()))
    for gateway, mn_id, lifetime_s, pause_s in moves:
        mac = ALICE_MAC if mn_id == ALICE else ALICE_SECOND_MAC
        domain.request(gateway, mn_id, mac=mac, handoff=4, lifetime_s=lifetime_s)
        domain.pass_time(pause_s)
        prefixes = [p for entry in domain.anchor.bindings for p in entry.home_network_prefixes]
        assert len(prefixes) == len(set(prefixes))
        assert all(prefix.subnet_of(POOL) for prefix in prefixes)


def test_heartbeat_is_answered_with_the_restart_counter(domain: Domain) -> None:
    """HB-01, HB-06."""
    request = mobility_header.encode(Heartbeat(17), MAG1, LMA)
    domain.anchor.receive_message(request, MAG1, 0.0, UTC0)
    (answer,) = domain.anchor.messages_to_send()
    assert answer.destination == MAG1
    assert mobility_header.decode(answer.data, LMA, MAG1) == Heartbeat(
        17, HeartbeatFlag.RESPONSE, (RestartCounterOption(0),)
    )
    told = mobility_header.encode(Heartbeat(0, HeartbeatFlag.RESPONSE), MAG1, LMA)
    domain.anchor.receive_message(told, MAG1, 0.0, UTC0)
    assert domain.anchor.messages_to_send() == ()
