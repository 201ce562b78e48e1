"""Parameter Problems that we send (RFC 6275 §9.2), ICMPv6 errors that we get (§11.3.5)."""

import pytest

from mag.protocol.events import PeerUnable, ProxyBindingUpdateSent
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.outgoing_message import OutgoingMessage
from mag.protocol.registration import RegistrationState
from mag.wire.checksum import checksum
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.icmpv6_error import ICMPv6ErrorType
from mag.wire.ipv6 import IPv6Packet
from protocol.conftest import (
    LMA_ADDRESS,
    MN2,
    MN2_MAC,
    OTHER_LMA_ADDRESS,
    PROXY_CARE_OF_ADDRESS,
    UTC,
    attachment,
    establish,
    of_type,
    profile,
    state,
)
from support.fake_lma import FakeLma, read_update

NOT_CAPABLE = (4, 1)
HOLD_S = 32.0


def with_checksum(message: bytes) -> bytes:
    blank = message[:4] + bytes(2) + message[6:]
    value = checksum(blank, LMA_ADDRESS, PROXY_CARE_OF_ADDRESS)
    return blank[:4] + value.to_bytes(2, "big") + blank[6:]


def of_icmpv6(messages: list[OutgoingMessage]) -> list[bytes]:
    return [each.data for each in messages if each.next_header == IP_PROTOCOL_ICMPV6]


# What we send

BAD_PAYLOAD_PROTOCOL = with_checksum(bytes([6, 1, 6]) + bytes(13))
"""Payload Proto TCP."""
TOO_SHORT = with_checksum(bytes([59, 0, 13]) + bytes(5))
"""A Heartbeat whose Header Len leaves no room for its sequence number."""


@pytest.mark.parametrize(
    ("message", "pointer"),
    [
        pytest.param(BAD_PAYLOAD_PROTOCOL, 40, marks=pytest.mark.requirement("MH-09")),
        pytest.param(TOO_SHORT, 41, marks=pytest.mark.requirement("MH-11")),
    ],
    ids=["payload protocol", "header length"],
)
def test_defective_header_is_answered_with_a_parameter_problem(
    gateway: MobileAccessGateway, message: bytes, pointer: int
) -> None:
    gateway.receive_message(message, LMA_ADDRESS, 0.0)
    (answer,) = gateway.messages_to_send(0.0, UTC)
    assert (answer.source, answer.destination) == (PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)
    assert answer.next_header == IP_PROTOCOL_ICMPV6
    assert answer.data[:2] == bytes([ICMPv6ErrorType.PARAMETER_PROBLEM, 0])
    assert int.from_bytes(answer.data[4:8], "big") == pointer
    quoted = IPv6Packet.decode(answer.data[8:])
    assert (quoted.source, quoted.destination) == (LMA_ADDRESS, PROXY_CARE_OF_ADDRESS)
    assert quoted.payload == message
    value = checksum(answer.data, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS, IP_PROTOCOL_ICMPV6)
    assert value == 0


@pytest.mark.requirement("MH-07", "MH-09")
def test_parameter_problems_are_limited_and_strangers_get_none(
    gateway: MobileAccessGateway,
) -> None:
    """RFC 4443 §2.4 (f): ten at once, ten a second."""
    for _ in range(50):
        gateway.receive_message(BAD_PAYLOAD_PROTOCOL, LMA_ADDRESS, 100.0)
    assert len(of_icmpv6(gateway.messages_to_send(100.0, UTC))) == 10
    gateway.receive_message(BAD_PAYLOAD_PROTOCOL, PROXY_CARE_OF_ADDRESS, 200.0)
    assert gateway.messages_to_send(200.0, UTC) == []


@pytest.mark.requirement("MH-09")
@pytest.mark.parametrize("octet", [4, 5])
def test_wrong_checksum_is_not_answered(gateway: MobileAccessGateway, octet: int) -> None:
    """It may be another's words."""
    spoiled = bytearray(BAD_PAYLOAD_PROTOCOL)
    spoiled[octet] ^= 1
    gateway.receive_message(bytes(spoiled), LMA_ADDRESS, 0.0)
    assert gateway.messages_to_send(0.0, UTC) == []


# What we get


@pytest.mark.requirement("MH-21")
def test_lma_without_mobility_headers_is_left_alone_for_a_while(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """Neither retransmissions nor other nodes' PBUs; then all go on by themselves."""
    gateway.attach(attachment(), profile(), 0.0)
    (update,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_error(NOT_CAPABLE, update.data[:16], LMA_ADDRESS, 0.1)
    assert of_type(gateway.events(), PeerUnable) == [PeerUnable(LMA_ADDRESS, HOLD_S)]
    gateway.attach(attachment(MN2_MAC), profile(MN2), 0.2)
    for now in (0.2, 1.0, 3.0, 10.0, 32.0):
        gateway.handle_timer(now)
        assert gateway.messages_to_send(now, UTC + now) == []
    assert gateway.get_timer() == 0.1 + HOLD_S
    later = 0.1 + HOLD_S
    gateway.handle_timer(later)
    messages = gateway.messages_to_send(later, UTC + later)
    assert len(messages) == 2
    for message in messages:
        gateway.receive_message(lma.answer(message), LMA_ADDRESS, later)
    assert {entry.state for entry in gateway.binding_update_list} == {RegistrationState.ACTIVE}


@pytest.mark.requirement("MH-21")
def test_other_lma_is_asked_as_before(gateway: MobileAccessGateway) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    (update,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_error(NOT_CAPABLE, update.data, LMA_ADDRESS, 0.1)
    gateway.attach(attachment(MN2_MAC), profile(MN2, lma_address=OTHER_LMA_ADDRESS), 0.2)
    assert len(gateway.messages_to_send(0.2, UTC)) == 1


@pytest.mark.requirement("MH-21")
def test_lma_that_speaks_is_asked_again_at_once(gateway: MobileAccessGateway, lma: FakeLma) -> None:
    gateway.attach(attachment(), profile(), 0.0)
    (update,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_error(NOT_CAPABLE, update.data, LMA_ADDRESS, 0.1)
    gateway.attach(attachment(MN2_MAC), profile(MN2), 0.2)
    assert gateway.messages_to_send(0.2, UTC) == []
    gateway.receive_message(lma.answer(update), LMA_ADDRESS, 0.3)
    assert len(gateway.messages_to_send(0.3, UTC)) == 1


@pytest.mark.requirement("MH-22")
@pytest.mark.parametrize("error", [(1, 0), (1, 3), (2, 0), (3, 0), (4, 0), (4, 1), (4, 2), (99, 7)])
def test_no_error_makes_or_ends_an_entry(
    gateway: MobileAccessGateway, lma: FakeLma, error: tuple[int, int]
) -> None:
    """MH-22: whatever it quotes, whoever it is about; it is counted."""
    establish(gateway, lma)
    gateway.attach(attachment(MN2_MAC), profile(MN2), 1.0)
    (update,) = gateway.messages_to_send(1.0, UTC)
    before = [(entry.mn_id, entry.state) for entry in gateway.binding_update_list]
    quotes = (update.data, update.data[:7], b"", b"\xff" * 64)
    for quoted in quotes:
        gateway.receive_error(error, quoted, LMA_ADDRESS, 1.1)
        gateway.receive_error(error, quoted, PROXY_CARE_OF_ADDRESS, 1.1)
    assert [(entry.mn_id, entry.state) for entry in gateway.binding_update_list] == before
    assert gateway.peers[LMA_ADDRESS].network_errors == {error: len(quotes)}
    gateway.receive_message(lma.answer(update), LMA_ADDRESS, 1.2)
    assert {entry.state for entry in gateway.binding_update_list} == {RegistrationState.ACTIVE}


@pytest.mark.requirement("MH-21", "MH-22")
def test_error_that_quotes_nothing_of_now_is_without_effect(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """Answered requests, another LMA's, other messages, and sequence numbers out of the air."""
    establish(gateway, lma)
    gateway.events()
    old = lma.received[-1].sequence
    gateway.attach(attachment(MN2_MAC), profile(MN2), 1.0)
    (update,) = gateway.messages_to_send(1.0, UTC)
    sent = read_update(update).sequence
    binding_update = update.data[:6]
    for sequence in (old, sent + 1, sent - 77):
        quoted = binding_update + (sequence & 0xFFFF).to_bytes(2, "big")
        gateway.receive_error(NOT_CAPABLE, quoted, LMA_ADDRESS, 1.1)
    gateway.receive_error(NOT_CAPABLE, update.data, OTHER_LMA_ADDRESS, 1.1)
    heartbeat = update.data[:2] + bytes([13]) + update.data[3:]
    gateway.receive_error(NOT_CAPABLE, heartbeat, LMA_ADDRESS, 1.1)
    assert of_type(gateway.events(), PeerUnable) == []
    assert not gateway.peers[LMA_ADDRESS].updates.is_held(1.1)


@pytest.mark.requirement("MH-21")
def test_binding_with_service_keeps_it_while_its_lma_is_left_alone(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    gateway.handle_timer(2880.0)
    (refresh,) = gateway.messages_to_send(2880.0, UTC + 2880)
    gateway.receive_error(NOT_CAPABLE, refresh.data, LMA_ADDRESS, 2880.1)
    gateway.handle_timer(2900.0)
    assert state(gateway) is RegistrationState.REFRESHING
    (entry,) = gateway.binding_update_list
    assert entry.is_forwarding
    gateway.events()
    gateway.handle_timer(2912.1)
    assert len(gateway.messages_to_send(2912.1, UTC + 2912.1)) == 1
    assert len(of_type(gateway.events(), ProxyBindingUpdateSent)) == 1
