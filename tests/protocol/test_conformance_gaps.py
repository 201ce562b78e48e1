"""Rules of the conformance list that hold by construction, each with the test that it lacked."""

import random
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from mag.protocol import settings as constants
from mag.protocol.advertisement_schedule import AdvertisementSchedule
from mag.protocol.attachment import HandoffHint
from mag.protocol.events import (
    AdvertisePrefixes,
    BindingEstablished,
    BindingRejected,
    ForwardingUnwanted,
    TunnelUnwanted,
)
from mag.protocol.lma_settings import LmaSettings
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.ordering import SequenceCounter
from mag.protocol.settings import RouterAdvertisementSettings
from mag.services.router_advertisement import advertisement
from mag.wire import mobility_header
from mag.wire.binding_error import BindingError
from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER
from mag.wire.ipv6 import IPv6Packet
from mag.wire.neighbor_discovery import RouterAdvertisement
from mag.wire.options import (
    AccessTechnologyTypeOption,
    AlternateCareOfAddressOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
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
    settings,
)
from support.fake_lma import FakeLma, only_option, read_update, with_option
from support.gateway_process import GatewayProcess, gateway_process
from support.marks import needs_root
from support.played_nodes import MN1_MAC as MN_OF_THE_FILE
from support.waiting import wait_for

THREE_PREFIXES = tuple(IPv6Network(f"2001:db8:{number}::/64") for number in range(1, 4))
UNKNOWN_TYPE = 99
UDP = 17


class GatewayAtTheWrap(random.Random):
    """Numbers PBUs from 65535 on."""

    def getrandbits(self, k: int, /) -> int:
        return (1 << k) - 1


def message_of_unknown_type(source: IPv6Address) -> bytes:
    octets = bytearray(mobility_header.encode(BindingError(2), source, PROXY_CARE_OF_ADDRESS))
    octets[2] = UNKNOWN_TYPE
    octets[4:6] = bytes(2)
    checksum = mobility_header.checksum(bytes(octets), source, PROXY_CARE_OF_ADDRESS)
    octets[4:6] = checksum.to_bytes(2)
    return bytes(octets)


# The Binding Update List (RFC 5213 §6.1)


@pytest.mark.requirement("BUL-03", "BUL-04", "BUL-05", "ATT-33")
def test_entry_holds_what_was_sent_before_any_answer(gateway: MobileAccessGateway) -> None:
    """RFC 6275 §11.1."""
    gateway.attach(attachment(), profile(), now=5.0)
    (message,) = gateway.messages_to_send(5.0, UTC)
    (entry,) = gateway.binding_update_list
    update = read_update(message)
    assert entry.mn_id == only_option(update, MobileNodeIdentifierOption).identifier
    assert entry.mn_link_layer_id == MN1_MAC
    assert entry.lma_address == message.destination
    assert entry.request.lifetime_s == update.lifetime_s
    (outstanding,) = entry.outstanding
    assert (outstanding.sequence, outstanding.sent_at) == (update.sequence, 5.0)
    assert outstanding.timestamp_ticks == only_option(update, TimestampOption).ticks
    assert (entry.attempts, entry.home_network_prefixes) == (1, ())


@pytest.mark.requirement("BUL-03")
def test_entry_holds_what_was_granted_and_until_when(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 6275 §11.1."""
    establish(gateway, lma, now=5.0)
    (entry,) = gateway.binding_update_list
    assert entry.home_network_prefixes == lma.assigned[MN1]
    assert (entry.lifetime_s, entry.expires_at) == (3600, 3605.0)
    assert entry.outstanding == ()


@pytest.mark.requirement("MNID-01", "MNID-03", "MNID-10", "MNID-11")
def test_identifier_and_link_lead_to_the_same_entry(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 5213 §6.6: the identifier in signalling names one node, here one of two."""
    establish(gateway, lma)
    establish(gateway, lma, mn_id=MN2, where={"mac": MN2_MAC})
    entries = gateway.binding_update_list
    for mn_id, mac in ((MN1, MN1_MAC), (MN2, MN2_MAC)):
        (entry,) = entries.by_mn_id(mn_id)
        assert entry is entries.by_link("access1", mac)
        assert entries.holders_of(lma.assigned[mn_id][0]) == [entry]
        assert entry.mn_id == mn_id


@pytest.mark.requirement("MNID-09")
def test_opaque_identifier_is_signalled_octet_by_octet(gateway: MobileAccessGateway) -> None:
    """RFC 5213 §6.6: an identifier need not be text, nor be of the form user@realm."""
    opaque = bytes(range(0x7F, 0x100))
    gateway.attach(attachment(), profile(opaque), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    assert only_option(read_update(message), MobileNodeIdentifierOption).identifier == opaque


@pytest.mark.requirement("BUL-14")
def test_replies_match_while_sequence_numbers_wrap(lma: FakeLma) -> None:
    """RFC 6275 §11.1: 65535 is followed by 0, and both are answered."""
    gateway = MobileAccessGateway(settings(), {LMA_ADDRESS: LmaSettings()}, GatewayAtTheWrap())
    gateway.attach(attachment(), profile(), now=0.0)
    (last,) = gateway.messages_to_send(0.0, UTC)
    gateway.handle_timer(1.0)
    (first,) = gateway.messages_to_send(1.0, UTC + 1)
    assert [read_update(message).sequence for message in (last, first)] == [65535, 0]
    gateway.receive_message(lma.answer(last), LMA_ADDRESS, 1.5)
    (established,) = of_type(gateway.events(), BindingEstablished)
    assert established.setup_s == pytest.approx(1.5)


@pytest.mark.requirement("BUL-14")
def test_counter_goes_round_after_65536_numbers() -> None:
    counter = SequenceCounter(40000)
    numbers = [counter.next() for _ in range(65536)]
    assert sorted(numbers) == list(range(65536))
    assert counter.next() == 40000


# What PBUs say (RFC 5213 §6.9.1)


@pytest.mark.requirement("ATT-14", "ATT-15", "ATT-17", "ATT-18")
@pytest.mark.parametrize(
    ("hint", "alone", "beside_another_interface"),
    [
        (HandoffHint.UNKNOWN, 4, 1),
        (HandoffHint.NEW_INTERFACE, 1, 1),
        (HandoffHint.BETWEEN_INTERFACES, 2, 2),
        (HandoffHint.BETWEEN_GATEWAYS, 3, 3),
    ],
)
def test_handoff_is_claimed_on_the_word_of_the_access_network_only(
    lma: FakeLma, hint: HandoffHint, alone: int, beside_another_interface: int
) -> None:
    """RFC 5213 §6.9.1.1(5): every hint, without and with another interface of the node here."""
    for has_another, expected in ((False, alone), (True, beside_another_interface)):
        gateway = make_gateway()
        if has_another:
            establish(gateway, lma, where={"mac": MN2_MAC})
        gateway.attach(attachment(hint=hint), profile(), now=1.0)
        (message,) = gateway.messages_to_send(1.0, UTC)
        told = only_option(read_update(message), HandoffIndicatorOption)
        assert told.handoff_indicator == expected


@pytest.mark.requirement("PBU-04", "ATT-29", "ATT-32")
def test_update_has_its_own_options_and_no_others(gateway: MobileAccessGateway) -> None:
    """RFC 5213 §6.9.1.5: no Alternate Care-of Address, so the source is the Proxy-CoA."""
    gateway.attach(attachment(), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    update = read_update(message)
    assert {type(option) for option in update.options} == {
        MobileNodeIdentifierOption,
        HomeNetworkPrefixOption,
        HandoffIndicatorOption,
        AccessTechnologyTypeOption,
        TimestampOption,
        MobileNodeLinkLayerIdentifierOption,
    }
    assert update.first(AlternateCareOfAddressOption) is None
    assert message.source == PROXY_CARE_OF_ADDRESS


@pytest.mark.requirement("REREG-03", "DEREG-04")
def test_refresh_and_deregistration_name_every_prefix(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 5213 §6.9.1.3(2), §6.9.1.4(2): one option each, and no all-zero one."""
    gateway.attach(attachment(), profile(), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_message(lma.answer(message, prefixes=THREE_PREFIXES), LMA_ADDRESS, 0.0)
    gateway.handle_timer(2880.0)
    (refresh,) = gateway.messages_to_send(2880.0, UTC + 2880)
    gateway.receive_message(lma.answer(refresh), LMA_ADDRESS, 2880.0)
    (entry,) = gateway.binding_update_list
    gateway.detach(entry.binding_id, now=2900.0)
    (deregistration,) = gateway.messages_to_send(2900.0, UTC + 2900)
    for sent in (refresh, deregistration):
        named = read_update(sent).all(HomeNetworkPrefixOption)
        assert tuple(option.prefix for option in named) == THREE_PREFIXES


@pytest.mark.netns
@needs_root
@pytest.mark.requirement("PBU-15", "MH-18", "MH-25")
def test_updates_travel_bare_before_and_beside_the_tunnel(tmp_path: Path) -> None:
    """RFC 6275 §6.1: nothing stands between IPv6 header and Mobility Header, no tunnel around."""
    with gateway_process(tmp_path) as process:
        gateway = process.start_ready()
        solicited = IPv6Packet(IPv6Address("fe80::1"), IPv6Address("ff02::2"), UDP, bytes(8))
        gateway.nodes.send(MN_OF_THE_FILE, solicited.encode())
        registration = gateway.lma.next_update()
        gateway.lma.answer(registration)
        wait_for(lambda: gateway.bindings()[0]["state"] == "active", "the tunnel is there")
        gateway.stop()
        deregistration = gateway.lma.next_update()
        for message in (registration, deregistration):
            packet = packet_with(gateway, message.data)
            assert packet.next_header == IP_PROTOCOL_MOBILITY_HEADER
            assert packet.payload == message.data
            assert (packet.source, packet.destination) == (message.source, message.destination)


def packet_with(gateway: GatewayProcess, message: bytes) -> IPv6Packet:
    """The next packet on the core link that ends in this message, however it is wrapped."""
    while True:
        packet = gateway.lma.next_packet()
        if packet.payload.endswith(message):
            return packet


# Replies (RFC 5213 §6.9.1.2)


@pytest.mark.requirement("TS-10", "PBA-19")
def test_timestamp_mismatch_counts_and_our_clock_is_not_set_from_it(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 5213 §6.9.1.2(9), INT-06: status 156 brings the LMA's clock, not our timestamp."""
    theirs = 2**62
    gateway.attach(attachment(), profile(), now=0.0)
    (first,) = gateway.messages_to_send(0.0, UTC)
    reply = lma.answer(
        first, status=156, change=lambda pba: with_option(pba, TimestampOption(theirs))
    )
    gateway.receive_message(reply, LMA_ADDRESS, 0.1)
    (rejected,) = of_type(gateway.events(), BindingRejected)
    assert rejected.status == 156
    deadline = gateway.get_timer()
    assert deadline is not None
    gateway.handle_timer(deadline)
    (second,) = gateway.messages_to_send(deadline, UTC + deadline)
    ticks = only_option(read_update(second), TimestampOption).ticks
    assert ticks == int((UTC + deadline) * 65536)


@pytest.mark.requirement("HNE-05")
def test_granted_prefix_counts_when_the_profile_has_another(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 5213 §6.7: the LMA is the authority on prefixes, the profile only asks."""
    asked, granted = THREE_PREFIXES[:1], THREE_PREFIXES[1:]
    gateway.attach(attachment(), profile(home_network_prefixes=asked), now=0.0)
    (message,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_message(lma.answer(message, prefixes=granted), LMA_ADDRESS, 0.0)
    (entry,) = gateway.binding_update_list
    assert entry.home_network_prefixes == granted


@pytest.mark.requirement("DEREG-08", "RENUM-02")
def test_forwarding_ends_with_the_answer_to_a_deregistration(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 5213 §6.9.1.4: the routes go, and before the tunnel that they lead into."""
    binding_id = establish(gateway, lma)
    gateway.detach(binding_id, now=10.0)
    lma.serve(gateway, 10.0)
    ended = of_type(gateway.events(), ForwardingUnwanted, TunnelUnwanted)
    assert [type(event) for event in ended] == [ForwardingUnwanted, TunnelUnwanted]
    assert ended[0].binding.binding_id == binding_id
    assert ended[0].binding.home_network_prefixes == lma.assigned[MN1]


@pytest.mark.requirement("TUN-11", "TUN-12")
def test_tunnel_lives_as_long_as_the_longest_of_its_bindings(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 5213 §5.6.1: grants of 60 and 600 seconds, and then an LMA that is silent."""
    establish(gateway, lma, lifetime_s=60)
    establish(gateway, lma, mn_id=MN2, where={"mac": MN2_MAC}, lifetime_s=600)
    gateway.handle_timer(599.0)
    (survivor,) = gateway.binding_update_list
    assert survivor.mn_id == MN2
    assert not of_type(gateway.events(), TunnelUnwanted)
    gateway.handle_timer(600.0)
    assert of_type(gateway.events(), TunnelUnwanted) == [TunnelUnwanted(LMA_ADDRESS)]


# Retransmission (RFC 5213 §6.9.4, RFC 6275 §11.8, §12)


@pytest.mark.requirement("RTX-12")
def test_timing_constants_are_those_of_the_rfc() -> None:
    """RFC 6275 §12; lifetimes of §6.1.7 in units of four seconds beside them."""
    assert constants.INITIAL_BINDACK_TIMEOUT_S == 1.0
    assert constants.MAX_BINDACK_TIMEOUT_S == 32.0
    assert constants.MAX_UPDATE_RATE_PER_S == 3
    assert (constants.LIFETIME_UNIT_S, constants.MAX_LIFETIME_S) == (4, 262140)
    ours = settings()
    assert (ours.initial_bindack_timeout_s, ours.max_bindack_timeout_s) == (1.0, 32.0)


@pytest.mark.requirement("RTX-02", "RTX-03")
def test_unanswered_refresh_is_retransmitted_after_the_same_second(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """RFC 5213 §6.9.4(1): a first registration has no longer timer, nor a refresh a shorter."""
    establish(gateway, lma)
    gateway.handle_timer(2880.0)
    assert len(gateway.messages_to_send(2880.0, UTC + 2880)) == 1
    gateway.handle_timer(2880.9)
    assert gateway.messages_to_send(2880.9, UTC + 2880.9) == []
    gateway.handle_timer(2881.0)
    assert len(gateway.messages_to_send(2881.0, UTC + 2881)) == 1


@pytest.mark.requirement("RTX-10")
def test_back_off_of_one_node_does_not_slow_another(gateway: MobileAccessGateway) -> None:
    """RFC 6275 §11.8: the first node is in its wait of 16 seconds when the second comes."""
    gateway.attach(attachment(), profile(), now=0.0)
    for now in (0.0, 1.0, 3.0, 7.0, 15.0):
        gateway.handle_timer(now)
        assert len(gateway.messages_to_send(now, UTC + now)) == 1
    gateway.attach(attachment(MN2_MAC), profile(MN2), now=16.0)
    for now in (16.0, 17.0, 19.0):
        gateway.handle_timer(now)
        (message,) = gateway.messages_to_send(now, UTC + now)
        assert only_option(read_update(message), MobileNodeIdentifierOption).identifier == MN2


# Messages that are no replies (RFC 6275 §9.3.3, §11.3.6)


@pytest.mark.requirement("MH-05")
@pytest.mark.parametrize("source", ["ff02::1", "::", "ff0e::5"])
def test_unknown_message_from_no_unicast_address_is_not_answered(
    gateway: MobileAccessGateway, source: str
) -> None:
    """RFC 6275 §9.3.3."""
    sender = IPv6Address(source)
    gateway.receive_message(message_of_unknown_type(sender), sender, 1.0)
    assert gateway.messages_to_send(1.0, UTC) == []
    gateway.receive_message(message_of_unknown_type(LMA_ADDRESS), LMA_ADDRESS, 1.0)
    assert len(gateway.messages_to_send(1.0, UTC)) == 1


@pytest.mark.requirement("MH-19")
@pytest.mark.parametrize("status", [1, 2])
def test_binding_error_without_a_binding_changes_nothing(
    gateway: MobileAccessGateway, lma: FakeLma, status: int
) -> None:
    """RFC 6275 §11.3.6: the node is bound to another LMA than the one that complains."""
    establish(gateway, lma)
    (before,) = gateway.binding_update_list
    state, deadline = before.state, gateway.get_timer()
    error = mobility_header.encode(BindingError(status), OTHER_LMA_ADDRESS, PROXY_CARE_OF_ADDRESS)
    gateway.receive_message(error, OTHER_LMA_ADDRESS, 1.0)
    (after,) = gateway.binding_update_list
    assert (after.state, gateway.get_timer()) == (state, deadline)
    assert gateway.messages_to_send(1.0, UTC) == []


# Router Advertisements (RFC 5213 §6.7, RFC 4861 §6.2.6)


@pytest.mark.requirement("HNE-07")
def test_configured_prefix_lifetimes_are_advertised_for_every_prefix(lma: FakeLma) -> None:
    """RFC 5213 §6.7."""
    chosen = RouterAdvertisementSettings(valid_lifetime_s=7200, preferred_lifetime_s=1800)
    gateway = make_gateway(router_advertisement=chosen)
    gateway.attach(attachment(), profile(home_network_prefixes=THREE_PREFIXES), 0.0)
    lma.serve(gateway, 0.0)
    (entry,) = gateway.binding_update_list
    gateway.forwarding_ready(entry.binding_id, 0.0)
    (due,) = of_type(gateway.events(), AdvertisePrefixes)
    assert isinstance(due, AdvertisePrefixes)
    packet = advertisement(
        gateway.settings,
        due,
        tunnel_mtu_octets=1460,
        access_mtu_octets=1500,
    )
    told = RouterAdvertisement.decode(packet).prefixes
    assert [prefix.prefix for prefix in told] == list(THREE_PREFIXES)
    assert {(prefix.valid_lifetime_s, prefix.preferred_lifetime_s) for prefix in told} == {
        (7200, 1800)
    }


@pytest.mark.requirement("HNE-08")
def test_prefixes_may_live_as_long_as_the_binding(lma: FakeLma) -> None:
    """HNE-08: never longer at the time of sending, and the node hears of each refresh."""
    chosen = RouterAdvertisementSettings(prefixes_live_with_binding=True)
    gateway = make_gateway(router_advertisement=chosen, refresh_fraction=0.5, lifetime_s=60)
    establish(gateway, lma)
    (entry,) = gateway.binding_update_list
    told = []
    for tenth in range(1, 1000):
        now = tenth / 10
        gateway.node_heard(entry.binding_id, IPv6Address("fe80::1"), now)
        gateway.handle_timer(now)
        lma.serve(gateway, now)
        for due in of_type(gateway.events(), AdvertisePrefixes):
            assert isinstance(due, AdvertisePrefixes)
            assert due.preferred_lifetime_s <= due.valid_lifetime_s <= entry.expires_at - now
            told.append((now, due.valid_lifetime_s))
    _, *after_refreshes = told
    assert after_refreshes == [(30.1, 59), (60.1, 59), (90.1, 59)]


@pytest.mark.requirement("HNE-08")
def test_prefixes_of_a_binding_that_is_over_live_no_longer() -> None:
    """A loop that was held up advertises late: lifetimes never become negative."""
    schedule = AdvertisementSchedule(
        RouterAdvertisementSettings(prefixes_live_with_binding=True), random.Random(1)
    )
    assert schedule.prefix_lifetimes_s(profile(), -2.0) == (0, 0)


@pytest.mark.requirement("ND-04")
def test_solicited_advertisements_are_spread_over_half_a_second() -> None:
    """RFC 4861 §6.2.6: MAX_RA_DELAY_TIME is 0.5 s."""
    schedule = AdvertisementSchedule(RouterAdvertisementSettings(), random.Random(1))
    delays = [schedule.solicited_delay_s() for _ in range(1000)]
    assert all(0.0 <= delay <= 0.5 for delay in delays)
    in_fifths = [sum(0.1 * i <= delay < 0.1 * (i + 1) for delay in delays) for i in range(5)]
    assert min(in_fifths) > 100
