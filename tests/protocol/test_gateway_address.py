"""The link-local address that LMAs give to the gateway (RFC 5213 §6.8, §6.9.1.2(15))."""

from ipaddress import IPv6Address
from typing import TypeVar

import pytest

from mag.protocol.attachment import HandoffHint
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.events import (
    AdvertisePrefixes,
    BindingRejected,
    DetectDuplicateAddress,
    Event,
    ForwardingWanted,
    GatewayAddressCollided,
    WithdrawPrefixes,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.outgoing_message import OutgoingMessage
from mag.protocol.registration import RegistrationState
from mag.protocol.request import RequestKind
from mag.protocol.restoration import RememberedBinding
from mag.protocol.settings import RESERVED_LINK_LOCAL_ADDRESS
from mag.wire.iana import HandoffIndicator
from mag.wire.options import HandoffIndicatorOption, LinkLocalAddressOption
from protocol.conftest import (
    LMA_ADDRESS,
    UTC,
    attachment,
    establish,
    make_gateway,
    profile,
)
from support.fake_lma import FakeLma, only_option, read_update, with_option

NONE = IPv6Address("::")
GIVEN = IPv6Address("fe80::6d61:1")
ANOTHER = IPv6Address("fe80::6d61:2")
NODE = IPv6Address("fe80::5eff:fe10:1")
LIFETIME_S = 100

Kind = TypeVar("Kind")


@pytest.fixture
def gateway() -> MobileAccessGateway:
    return make_gateway(fixed_mag_link_local_address=NONE, lifetime_s=LIFETIME_S)


@pytest.fixture
def lma() -> FakeLma:
    return FakeLma(LMA_ADDRESS, link_local_address=GIVEN)


def entry_of(gateway: MobileAccessGateway) -> BindingUpdateListEntry:
    (entry,) = gateway.binding_update_list
    return entry


def only(events: list[Event], kind: type[Kind]) -> Kind:
    (event,) = [event for event in events if isinstance(event, kind)]
    return event


def sent(message: OutgoingMessage) -> IPv6Address:
    return only_option(read_update(message), LinkLocalAddressOption).address


def routers(events: list[Event]) -> list[tuple[str, IPv6Address]]:
    """What nodes are told, and from which address."""
    said = []
    for event in events:
        if isinstance(event, AdvertisePrefixes):
            said.append(("router", event.binding.gateway_link_local_address))
        elif isinstance(event, WithdrawPrefixes) and event.ends_service:
            said.append(("no router", event.binding.gateway_link_local_address))
    return said


def attach_and_ask(gateway: MobileAccessGateway, now: float = 0.0) -> tuple[int, OutgoingMessage]:
    gateway.attach(attachment(), profile(), now)
    (message,) = gateway.messages_to_send(now, UTC)
    gateway.events()
    return entry_of(gateway).binding_id, message


class TestAsking:
    @pytest.mark.requirement("ATT-28", "ATT-31", "PBU-13", "CFG-07")
    def test_initial_update_asks_with_all_zero(self, gateway: MobileAccessGateway) -> None:
        _, message = attach_and_ask(gateway)
        assert sent(message) == NONE

    @pytest.mark.requirement("ATT-29", "CFG-07")
    def test_nothing_is_said_of_a_fixed_address(self) -> None:
        gateway = make_gateway()
        _, message = attach_and_ask(gateway)
        assert read_update(message).first(LinkLocalAddressOption) is None
        assert entry_of(gateway).gateway_link_local_address == RESERVED_LINK_LOCAL_ADDRESS

    @pytest.mark.requirement("ATT-28")
    def test_later_updates_say_the_address_in_use(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        binding_id = establish(gateway, lma)
        gateway.handle_timer(80.0)
        (refresh,) = gateway.messages_to_send(80.0, UTC)
        assert sent(refresh) == GIVEN
        gateway.receive_message(lma.answer(refresh), lma.address, 80.1)
        gateway.detach(binding_id, 81.0)
        (deregistration,) = gateway.messages_to_send(81.0, UTC)
        assert read_update(deregistration).lifetime_s == 0
        assert sent(deregistration) == GIVEN


class TestTakingWhatIsGiven:
    @pytest.mark.requirement("PBA-29", "PBA-31", "BUL-09", "LLA-02", "DR-05", "ATT-30")
    def test_it_is_the_nodes_router(self, gateway: MobileAccessGateway, lma: FakeLma) -> None:
        binding_id, message = attach_and_ask(gateway)
        gateway.receive_message(lma.answer(message), lma.address, 0.1)
        wanted = only(gateway.events(), ForwardingWanted)
        assert wanted.binding.gateway_link_local_address == GIVEN
        gateway.forwarding_ready(binding_id, 0.2)
        assert routers(gateway.events()) == [("router", GIVEN)]
        assert entry_of(gateway).gateway_link_local_address == GIVEN

    @pytest.mark.requirement("LLA-03")
    def test_next_gateway_of_the_session_has_the_same(self, lma: FakeLma) -> None:
        for _ in range(2):
            gateway = make_gateway(fixed_mag_link_local_address=NONE)
            gateway.attach(attachment(hint=HandoffHint.BETWEEN_GATEWAYS), profile(), 0.0)
            (message,) = gateway.messages_to_send(0.0, UTC)
            assert sent(message) == NONE
            gateway.receive_message(lma.answer(message), lma.address, 0.1)
            assert entry_of(gateway).gateway_link_local_address == GIVEN

    def test_it_is_asked_for_but_not_waited_for(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        """The node may have it without having said so."""
        binding_id, message = attach_and_ask(gateway)
        gateway.receive_message(lma.answer(message), lma.address, 0.1)
        assert only(gateway.events(), DetectDuplicateAddress).address == GIVEN
        gateway.forwarding_ready(binding_id, 0.11)
        assert routers(gateway.events()) == [("router", GIVEN)]

    @pytest.mark.parametrize("other", ["2001:db8::1", "ff02::1", "fe80::"])
    def test_what_is_no_link_local_address_is_no_registration(
        self, gateway: MobileAccessGateway, lma: FakeLma, other: str
    ) -> None:
        _, message = attach_and_ask(gateway)
        wrong = LinkLocalAddressOption(IPv6Address(other))
        answer = lma.answer(message, change=lambda pba: with_option(pba, wrong))
        gateway.receive_message(answer, lma.address, 0.1)
        assert other in only(gateway.events(), BindingRejected).reason

    def test_an_answer_that_nobody_asked_for_is_ignored(self, lma: FakeLma) -> None:
        gateway = make_gateway()
        _, message = attach_and_ask(gateway)
        option = LinkLocalAddressOption(GIVEN)
        answer = lma.answer(message, change=lambda pba: with_option(pba, option))
        gateway.receive_message(answer, lma.address, 0.1)
        assert entry_of(gateway).gateway_link_local_address == RESERVED_LINK_LOCAL_ADDRESS

    @pytest.mark.requirement("PBA-31", "ND-14")
    def test_another_one_later_is_told_from_the_old_one_first(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        establish(gateway, lma)
        gateway.handle_timer(80.0)
        gateway.events()
        (refresh,) = gateway.messages_to_send(80.0, UTC)
        other = LinkLocalAddressOption(ANOTHER)
        answer = lma.answer(refresh, change=lambda pba: with_option(pba, other))
        gateway.receive_message(answer, lma.address, 80.1)
        events = gateway.events()
        assert routers(events) == [("no router", GIVEN), ("router", ANOTHER)]
        assert only(events, ForwardingWanted).binding.gateway_link_local_address == ANOTHER
        for again in (83.1, 86.1):
            gateway.handle_timer(again)
            assert ("no router", GIVEN) in routers(gateway.events())
        gateway.handle_timer(89.1)
        assert ("no router", GIVEN) not in routers(gateway.events())

    @pytest.mark.parametrize("given", [None, NONE])
    @pytest.mark.requirement("PBA-32")
    def test_without_one_the_gateway_makes_its_own_after_detection(
        self, gateway: MobileAccessGateway, lma: FakeLma, given: IPv6Address | None
    ) -> None:
        lma.link_local_address = given
        binding_id, message = attach_and_ask(gateway)
        gateway.receive_message(lma.answer(message), lma.address, 0.1)
        made = only(gateway.events(), DetectDuplicateAddress).address
        gateway.forwarding_ready(binding_id, 0.2)
        gateway.handle_timer(1.05)
        assert routers(gateway.events()) == []
        gateway.handle_timer(1.1)
        assert routers(gateway.events()) == [("router", made)]
        (upload,) = gateway.messages_to_send(1.1, UTC)
        assert sent(upload) == made
        lma.link_local_address = given  # it does not learn
        gateway.receive_message(lma.answer(upload), lma.address, 1.2)
        assert gateway.messages_to_send(1.2, UTC) == []
        assert entry_of(gateway).state is RegistrationState.ACTIVE


class TestCollision:
    """The node has the address that the LMA gave to the gateway."""

    @pytest.mark.requirement("PBA-33", "PBA-34", "PBA-32", "LLA-06")
    def test_address_of_the_node_is_not_taken(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        binding_id, message = attach_and_ask(gateway)
        gateway.node_heard(binding_id, GIVEN, 0.05)
        gateway.receive_message(lma.answer(message), lma.address, 0.1)
        gateway.forwarding_ready(binding_id, 0.2)
        events = gateway.events()
        assert only(events, GatewayAddressCollided).address == GIVEN
        other = only(events, DetectDuplicateAddress).address
        assert other.is_link_local
        assert other != GIVEN
        assert routers(events) == []
        assert entry_of(gateway).gateway_link_local_address == NONE
        gateway.handle_timer(1.09)
        assert entry_of(gateway).gateway_link_local_address == NONE
        gateway.handle_timer(1.1)
        assert entry_of(gateway).gateway_link_local_address == other
        assert routers(gateway.events()) == [("router", other)]

    @pytest.mark.requirement("PBA-35")
    def test_replacement_is_told_to_the_lma_at_once(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        binding_id, message = attach_and_ask(gateway)
        gateway.node_heard(binding_id, GIVEN, 0.05)
        gateway.receive_message(lma.answer(message), lma.address, 0.1)
        gateway.handle_timer(1.1)
        (upload,) = gateway.messages_to_send(1.1, UTC)
        update = read_update(upload)
        assert sent(upload) == entry_of(gateway).gateway_link_local_address != NONE
        assert entry_of(gateway).request.kind is RequestKind.REFRESH
        indicator = only_option(update, HandoffIndicatorOption).handoff_indicator
        assert indicator == HandoffIndicator.NOT_CHANGED
        gateway.receive_message(lma.answer(upload), lma.address, 1.2)
        assert gateway.messages_to_send(1.2, UTC) == []

    @pytest.mark.requirement("PBA-33", "LLA-06")
    def test_claim_before_the_grant_counts(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        """Its duplicate address detection is over before we could tell it."""
        binding_id, message = attach_and_ask(gateway)
        gateway.node_heard(binding_id, NONE, 0.05, claimed=GIVEN)
        gateway.receive_message(lma.answer(message), lma.address, 0.1)
        assert only(gateway.events(), GatewayAddressCollided).address == GIVEN

    @pytest.mark.requirement("LLA-06")
    def test_claim_of_an_address_that_is_ours_is_the_nodes_to_lose(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        binding_id = establish(gateway, lma)
        gateway.node_heard(binding_id, NONE, 5.0, claimed=GIVEN)
        assert gateway.events() == []
        assert entry_of(gateway).gateway_link_local_address == GIVEN
        assert entry_of(gateway).node_address is None

    @pytest.mark.parametrize("source", [GIVEN, NODE])
    @pytest.mark.requirement("PBA-33", "LLA-06", "ND-14")
    def test_node_that_answers_for_it_has_it(
        self, gateway: MobileAccessGateway, lma: FakeLma, source: IPv6Address
    ) -> None:
        """Found out after it was advertised: the node hears first that it is no router's."""
        binding_id = establish(gateway, lma)
        gateway.node_heard(binding_id, source, 5.0, claimed=GIVEN)
        events = gateway.events()
        assert only(events, GatewayAddressCollided).address == GIVEN
        assert routers(events) == [("no router", GIVEN)]
        wanted = only(events, ForwardingWanted)
        assert wanted.binding.gateway_link_local_address == NONE
        other = only(events, DetectDuplicateAddress).address
        gateway.handle_timer(6.0)
        assert ("router", other) in routers(gateway.events())
        assert gateway.address_collisions == 1

    @pytest.mark.requirement("PBA-32", "PBA-33")
    def test_replacement_that_the_node_has_too_is_not_taken_either(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        binding_id = establish(gateway, lma)
        gateway.node_heard(binding_id, GIVEN, 5.0)
        first = only(gateway.events(), DetectDuplicateAddress).address
        gateway.node_heard(binding_id, NODE, 5.5, claimed=first)
        assert gateway.events() == []  # not at once: a node may answer for every address
        gateway.handle_timer(6.0)
        second = only(gateway.events(), DetectDuplicateAddress).address
        assert second != first
        gateway.handle_timer(7.0)
        assert entry_of(gateway).gateway_link_local_address == second

    def test_question_that_was_not_sent_proves_nothing(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        binding_id = establish(gateway, lma)
        gateway.node_heard(binding_id, GIVEN, 5.0)
        gateway.events()
        gateway.address_not_asked_for(binding_id)
        gateway.handle_timer(6.0)
        assert entry_of(gateway).gateway_link_local_address == NONE
        only(gateway.events(), DetectDuplicateAddress)

    def test_what_the_lma_gives_again_stays_the_nodes(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        binding_id = establish(gateway, lma)
        gateway.node_heard(binding_id, GIVEN, 5.0)
        gateway.node_heard(binding_id, NODE, 5.1)
        gateway.handle_timer(6.0)
        ours = entry_of(gateway).gateway_link_local_address
        (upload,) = gateway.messages_to_send(6.0, UTC)
        old = LinkLocalAddressOption(GIVEN)
        answer = lma.answer(upload, change=lambda pba: with_option(pba, old))
        gateway.receive_message(answer, lma.address, 6.1)
        assert entry_of(gateway).gateway_link_local_address == ours
        assert gateway.messages_to_send(6.1, UTC) == []

    @pytest.mark.requirement("PBA-35")
    def test_answer_to_an_older_request_does_not_spare_the_upload(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        old = LinkLocalAddressOption(GIVEN)
        binding_id = establish(gateway, lma)
        gateway.node_heard(binding_id, GIVEN, 79.5)
        gateway.handle_timer(80.0)
        (refresh,) = gateway.messages_to_send(80.0, UTC)
        assert sent(refresh) == NONE
        answer = lma.answer(refresh, change=lambda pba: with_option(pba, old))
        gateway.handle_timer(80.5)  # the replacement is ours while the answer is under way
        gateway.receive_message(answer, lma.address, 80.5)
        (upload,) = gateway.messages_to_send(80.5, UTC)
        assert sent(upload) == entry_of(gateway).gateway_link_local_address != NONE

    def test_nothing_is_left_to_ask_when_the_node_has_gone(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        binding_id = establish(gateway, lma)
        gateway.node_heard(binding_id, GIVEN, 5.0)
        gateway.events()
        gateway.detach(binding_id, 5.1)
        lma.serve(gateway, 5.1, UTC)
        gateway.events()
        gateway.handle_timer(20.0)
        assert gateway.events() == []
        assert gateway.get_timer() is None


class TestOutlivingTheGateway:
    @pytest.mark.requirement("BUL-09", "LLA-03")
    def test_address_is_that_of_before(self, gateway: MobileAccessGateway, lma: FakeLma) -> None:
        establish(gateway, lma)
        (stored,) = gateway.changes_to_store(1.0, UTC + 1.0).bindings.values()
        assert stored is not None
        assert stored.gateway_link_local_address == GIVEN
        again = make_gateway(fixed_mag_link_local_address=NONE, lifetime_s=LIFETIME_S)
        list(again.restore([RememberedBinding(stored, profile())], {}, 0.0, UTC + 2.0))
        wanted = only(again.events(), ForwardingWanted)
        assert wanted.binding.gateway_link_local_address == GIVEN

    def test_fixed_address_of_today_counts(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        establish(gateway, lma)
        (stored,) = gateway.changes_to_store(1.0, UTC + 1.0).bindings.values()
        assert stored is not None
        again = make_gateway(lifetime_s=LIFETIME_S)
        list(again.restore([RememberedBinding(stored, profile())], {}, 0.0, UTC + 2.0))
        assert entry_of(again).gateway_link_local_address == RESERVED_LINK_LOCAL_ADDRESS

    def test_node_without_a_router_gets_one_soon(
        self, gateway: MobileAccessGateway, lma: FakeLma
    ) -> None:
        """The gateway was killed while it looked for another address."""
        binding_id = establish(gateway, lma)
        gateway.node_heard(binding_id, GIVEN, 5.0)
        (stored,) = gateway.changes_to_store(5.0, UTC + 5.0).bindings.values()
        assert stored is not None
        assert stored.gateway_link_local_address is None
        again = make_gateway(fixed_mag_link_local_address=NONE, lifetime_s=LIFETIME_S)
        list(again.restore([RememberedBinding(stored, profile())], {}, 0.0, UTC + 6.0))
        again.handle_timer(0.0)
        (message,) = again.messages_to_send(0.0, UTC + 6.0)
        assert sent(message) == NONE
