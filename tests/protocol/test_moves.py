"""A node that is served is seen again: on another link, back from elsewhere, or where it was."""

import pytest

from mag.protocol.attachment import HandoffHint
from mag.protocol.events import AdvertisePrefixes, ForwardingWanted
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import RegistrationState
from mag.wire.options import HandoffIndicatorOption
from protocol.conftest import LMA_ADDRESS, MN1_MAC, UTC, attachment, establish, of_type, profile
from support.fake_lma import FakeLma, only_option, read_update


@pytest.mark.requirement("BUL-11")
def test_move_between_our_own_links_redirects_at_once_and_tells_the_lma(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """A node that changes port keeps its session and its prefix."""
    binding_id = establish(gateway, lma)
    gateway.attach(attachment(link="access2"), profile(), now=5.0)
    events = gateway.events()
    (wanted,) = of_type(events, ForwardingWanted)
    assert (wanted.binding.binding_id, wanted.binding.access_interface) == (binding_id, "access2")
    assert not of_type(events, AdvertisePrefixes)
    assert lma.serve(gateway, 5.0) == 1
    gateway.forwarding_ready(binding_id, 5.1)
    (advertised,) = of_type(gateway.events(), AdvertisePrefixes)
    assert advertised.binding.access_interface == "access2"
    assert gateway.binding_update_list.by_link("access1", MN1_MAC) is None
    assert gateway.binding_update_list.by_link("access2", MN1_MAC) is not None


@pytest.mark.requirement("ATT-12", "ATT-16")
def test_report_that_overtakes_a_registration_lets_its_grant_count(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """A frame brought the first PBU, the access point's word the second: any grant will do."""
    gateway.attach(attachment(), profile(), now=0.0)
    (first,) = gateway.messages_to_send(0.0, UTC)
    gateway.attach(attachment(hint=HandoffHint.BETWEEN_GATEWAYS), profile(), now=0.001)
    (second,) = gateway.messages_to_send(0.001, UTC + 0.001)
    gateway.receive_message(lma.answer(first), LMA_ADDRESS, 0.002)
    (entry,) = gateway.binding_update_list
    assert entry.state is RegistrationState.ACTIVE
    gateway.receive_message(lma.answer(second), LMA_ADDRESS, 0.003)
    assert gateway.discarded == {"late": 1}
    assert entry.state is RegistrationState.ACTIVE


def test_reported_handoff_of_a_node_we_serve_is_registered_again(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """It came back from elsewhere: only the access network knows, and the LMA must."""
    establish(gateway, lma)
    gateway.attach(attachment(hint=HandoffHint.BETWEEN_GATEWAYS), profile(), now=5.0)
    (message,) = gateway.messages_to_send(5.0, UTC + 5)
    assert only_option(read_update(message), HandoffIndicatorOption).handoff_indicator == 3


def test_further_sign_of_life_of_a_served_node_sends_nothing(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    gateway.attach(attachment(), profile(), now=5.0)
    assert gateway.messages_to_send(5.0, UTC) == []
