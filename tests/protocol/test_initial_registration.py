"""RFC 5213 §6.9.1.1: what goes out when a node attaches, and what an acceptance brings."""

from ipaddress import IPv6Network

import pytest

from mag.protocol.attachment import HandoffHint
from mag.protocol.events import (
    AdvertisePrefixes,
    AttachmentRefused,
    BindingEstablished,
    ForwardingInstalled,
    ForwardingWanted,
    TunnelWanted,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import RegistrationState
from mag.wire.iana import BindingUpdateFlag
from mag.wire.options import (
    AccessTechnologyTypeOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    TimestampOption,
)
from protocol.conftest import (
    LMA_ADDRESS,
    MN1,
    MN1_MAC,
    MN2,
    MN2_MAC,
    OTHER_LMA_ADDRESS,
    PROXY_CARE_OF_ADDRESS,
    UTC,
    attachment,
    establish,
    make_gateway,
    of_type,
    profile,
)
from support.fake_lma import FakeLma, only_option, read_update


@pytest.mark.requirement(
    "ATT-02",
    "ATT-03",
    "ATT-04",
    "ATT-06",
    "ATT-08",
    "ATT-09",
    "ATT-13",
    "ATT-19",
    "ATT-24",
    "ATT-26",
    "ATT-27",
    "ATT-29",
    "ATT-32",
    "LLA-05",
    "PBU-01",
    "PBU-02",
    "PBU-03",
    "PBU-04",
    "PBU-06",
    "PBU-07",
    "PBU-08",
    "PBU-09",
    "PBU-10",
    "PBU-11",
    "PBU-12",
)
def test_attach_sends_one_update_with_every_mandatory_option(gateway: MobileAccessGateway) -> None:
    """ATT-02, ATT-03, ATT-06, ATT-13, ATT-19, ATT-24, ATT-26, PBU-01 to PBU-04, PBU-06."""
    gateway.attach(attachment(), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC + 0.5)
    assert (message.source, message.destination) == (PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)
    update = read_update(message)
    assert update.flags == (
        BindingUpdateFlag.ACKNOWLEDGE
        | BindingUpdateFlag.HOME_REGISTRATION
        | BindingUpdateFlag.PROXY_REGISTRATION
    )
    assert update.lifetime_s == 3600
    assert only_option(update, MobileNodeIdentifierOption).identifier == MN1
    assert only_option(update, HomeNetworkPrefixOption).prefix == IPv6Network("::/0")
    assert only_option(update, HandoffIndicatorOption).handoff_indicator == 4
    assert only_option(update, AccessTechnologyTypeOption).access_technology_type == 4
    assert only_option(update, TimestampOption).ticks == int((UTC + 0.5) * 65536)
    assert only_option(update, MobileNodeLinkLayerIdentifierOption).identifier == MN1_MAC
    assert not update.all(LinkLocalAddressOption)  # ATT-29: fixed link-local address is in use


@pytest.mark.requirement("ATT-05", "HNE-05")
def test_prefixes_of_the_profile_are_asked_for_one_option_each(
    gateway: MobileAccessGateway,
) -> None:
    """ATT-05."""
    prefixes = (IPv6Network("2001:db8:1::/64"), IPv6Network("2001:db8:2::/60"))
    gateway.attach(attachment(), profile(home_network_prefixes=prefixes), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    asked = read_update(message).all(HomeNetworkPrefixOption)
    assert tuple(option.prefix for option in asked) == prefixes


@pytest.mark.requirement("ATT-25", "BUL-06", "BUL-07")
@pytest.mark.parametrize("mac", [b"", bytes(6)], ids=["none", "all zero"])
def test_unknown_link_layer_identifier_is_left_out(
    gateway: MobileAccessGateway, lma: FakeLma, mac: bytes
) -> None:
    """ATT-25, BUL-06, BUL-07."""
    gateway.attach(attachment(mac), profile(), now=0.0)
    lma.serve(gateway, 0.0)
    (update,) = lma.received
    assert not update.all(MobileNodeLinkLayerIdentifierOption)
    (entry,) = gateway.binding_update_list
    assert entry.state is RegistrationState.ACTIVE
    assert not mac or entry.mn_link_layer_id == mac
    assert mac or entry.mn_link_layer_id == b"\x00\x00"


@pytest.mark.requirement("ATT-10", "ATT-11", "ATT-12", "ATT-13", "ATT-14", "ATT-17", "ATT-18")
@pytest.mark.parametrize(
    ("hint", "indicator"),
    [
        (HandoffHint.UNKNOWN, 4),
        (HandoffHint.NEW_INTERFACE, 1),
        (HandoffHint.BETWEEN_INTERFACES, 2),
        (HandoffHint.BETWEEN_GATEWAYS, 3),
    ],
)
def test_handoff_indicator_follows_the_hint(
    gateway: MobileAccessGateway, hint: HandoffHint, indicator: int
) -> None:
    """ATT-10 to ATT-14, ATT-17: nothing but an explicit hint claims a handoff."""
    gateway.attach(attachment(hint=hint), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    assert only_option(read_update(message), HandoffIndicatorOption).handoff_indicator == indicator


@pytest.mark.requirement("ATT-16", "BUL-02")
def test_second_interface_of_a_node_is_a_new_session(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """ATT-16, BUL-02: another link-layer address of the same node is not a handoff."""
    establish(gateway, lma)
    gateway.attach(attachment(MN2_MAC, link="access2"), profile(), now=1.0)
    (message,) = gateway.messages_to_send(1.0, UTC)
    assert only_option(read_update(message), HandoffIndicatorOption).handoff_indicator == 1
    assert len(gateway.binding_update_list.by_mn_id(MN1)) == 2


@pytest.mark.requirement("ATT-21", "ATT-22")
def test_sequence_numbers_rise_over_all_nodes(gateway: MobileAccessGateway) -> None:
    """ATT-21, ATT-22: one counter for the whole gateway in timestamp mode."""
    for number in range(3):
        gateway.attach(attachment(bytes([2, 0, 0, 0, 0, number])), profile(b"n%d" % number), 0.0)
    sequences = [read_update(m).sequence for m in gateway.messages_to_send(0.0, UTC)]
    assert sequences == [(sequences[0] + step) & 0xFFFF for step in range(3)]


@pytest.mark.requirement("TS-07", "RTX-08")
def test_timestamps_are_never_equal(gateway: MobileAccessGateway) -> None:
    """INT-07, also when the clock steps back a little."""
    ticks = []
    for number, utc in enumerate([UTC, UTC, UTC - 1.0]):
        gateway.attach(attachment(bytes([2, 0, 0, 0, 0, number])), profile(b"n%d" % number), 0.0)
        (message,) = gateway.messages_to_send(0.0, utc)
        ticks.append(only_option(read_update(message), TimestampOption).ticks)
    assert ticks[0] < ticks[1] < ticks[2]


@pytest.mark.requirement("TS-05")
def test_clock_that_was_far_ahead_is_followed_when_it_is_right_again(
    gateway: MobileAccessGateway,
) -> None:
    """An LMA refuses what comes from the future: staying there would end all signalling."""
    for number, utc in enumerate([UTC + 1e6, UTC]):
        gateway.attach(attachment(bytes([2, 0, 0, 0, 0, number])), profile(b"n%d" % number), 0.0)
        (message,) = gateway.messages_to_send(0.0, utc)
    assert only_option(read_update(message), TimestampOption).ticks == int(UTC * 65536)


@pytest.mark.requirement("PBA-25", "PBA-27", "PBA-29", "PBA-30", "HNE-06")
def test_acceptance_brings_tunnel_forwarding_and_then_the_advertisement(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """PBA-25, PBA-27, PBA-29, PBA-30, HNE-06: in this order, and nothing said to the node early."""
    gateway.attach(attachment(), profile(), now=0.0)
    lma.serve(gateway, 0.25)
    events = gateway.events()
    wanted = of_type(events, TunnelWanted, ForwardingWanted)
    assert [type(event) for event in wanted] == [TunnelWanted, ForwardingWanted]
    (established,) = of_type(events, BindingEstablished)
    assert established.setup_s == pytest.approx(0.25)
    assert established.binding.home_network_prefixes == (IPv6Network("2001:db8:100:1::/64"),)
    assert not of_type(events, AdvertisePrefixes)
    gateway.forwarding_ready(established.binding.binding_id, now=0.3)
    events = gateway.events()
    (installed,) = of_type(events, ForwardingInstalled)
    assert installed.setup_s == pytest.approx(0.3)
    (advertised,) = of_type(events, AdvertisePrefixes)
    assert advertised.binding.home_network_prefixes == established.binding.home_network_prefixes


@pytest.mark.requirement("PBA-25", "TUN-07", "TUN-10")
def test_second_node_of_the_lma_shares_the_tunnel(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """PBA-25, TUN-10."""
    establish(gateway, lma)
    gateway.attach(attachment(MN2_MAC), profile(MN2), now=1.0)
    lma.serve(gateway, 1.0)
    assert not of_type(gateway.events(), TunnelWanted)
    assert gateway.peers[LMA_ADDRESS].serving_bindings == 2


@pytest.mark.requirement("BUL-10", "TUN-03")
def test_nodes_of_two_lmas_have_two_tunnels(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    """BUL-10."""
    establish(gateway, lma)
    other = FakeLma(OTHER_LMA_ADDRESS, IPv6Network("2001:db8:200::/48"))
    gateway.attach(attachment(MN2_MAC), profile(MN2, lma_address=OTHER_LMA_ADDRESS), now=1.0)
    other.serve(gateway, 1.0)
    assert of_type(gateway.events(), TunnelWanted) == [TunnelWanted(OTHER_LMA_ADDRESS)]


@pytest.mark.requirement("BUL-08")
def test_several_prefixes_and_lengths_are_all_kept(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """BUL-08."""
    prefixes = (IPv6Network("2001:db8:1::/64"), IPv6Network("2001:db8:2::/60"))
    gateway.attach(attachment(), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_message(lma.answer(message, prefixes=prefixes), LMA_ADDRESS, 0.0)
    (wanted,) = of_type(gateway.events(), ForwardingWanted)
    assert wanted.binding.home_network_prefixes == prefixes


def test_attachment_beyond_the_maximum_is_refused(lma: FakeLma) -> None:
    """Bounded by settings: those who are in keep what they have."""
    gateway = make_gateway(max_bindings=1)
    establish(gateway, lma)
    gateway.attach(attachment(MN2_MAC), profile(MN2), now=1.0)
    (refused,) = of_type(gateway.events(), AttachmentRefused)
    assert refused.mn_id == MN2
    assert gateway.messages_to_send(1.0, UTC) == []


def test_forwarding_confirmed_for_a_binding_that_is_gone_is_no_matter(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    gateway.forwarding_ready(4711, now=0.0)
    gateway.detach(4711, now=0.0)
    gateway.clear(4711, now=0.0)
    gateway.router_solicited(4711, now=0.0)
    assert gateway.events() == []


@pytest.mark.requirement("PROF-08", "HNE-04", "HNE-09")
@pytest.mark.parametrize(
    ("of_the_node", "told"),
    [(None, (2592000, 604800)), (7200, (7200, 7200)), (2**32 - 1, (2**32 - 1, 604800))],
)
def test_prefixes_live_as_long_as_the_profile_says_or_the_domain(
    gateway: MobileAccessGateway, lma: FakeLma, of_the_node: int | None, told: tuple[int, int]
) -> None:
    gateway.attach(attachment(), profile(prefix_lifetime_s=of_the_node), 0.0)
    lma.serve(gateway, 0.0)
    (entry,) = gateway.binding_update_list
    gateway.forwarding_ready(entry.binding_id, 0.0)
    (advertised,) = of_type(gateway.events(), AdvertisePrefixes)
    assert isinstance(advertised, AdvertisePrefixes)
    assert (advertised.valid_lifetime_s, advertised.preferred_lifetime_s) == told


@pytest.mark.requirement("HNE-04")
def test_lifetime_of_prefixes_that_policy_changes_is_told_at_once(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    binding_id = establish(gateway, lma)
    gateway.change_profile(binding_id, profile(prefix_lifetime_s=7200), 100.0)
    gateway.handle_timer(100.0)
    (advertised,) = of_type(gateway.events(), AdvertisePrefixes)
    assert isinstance(advertised, AdvertisePrefixes)
    assert advertised.valid_lifetime_s == 7200
