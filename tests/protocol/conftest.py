import random
from collections.abc import Callable
from ipaddress import IPv6Address

import pytest

from mag.protocol.attachment import Attachment, HandoffHint
from mag.protocol.events import Event
from mag.protocol.lma_settings import LmaSettings
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.ordering import OrderingMarks
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.registration import RegistrationState
from mag.protocol.settings import ProtocolSettings
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.iana import AccessTechnologyType
from support.fake_lma import FakeLma, read_update

PROXY_CARE_OF_ADDRESS = IPv6Address("2001:db8:0:a::1")
LMA_ADDRESS = IPv6Address("2001:db8:0:b::1")
OTHER_LMA_ADDRESS = IPv6Address("2001:db8:0:b::2")
UTC = 1.7e9
MN1 = b"mn1@example.net"
MN1_MAC = bytes.fromhex("02005e100001")
MN2 = b"mn2@example.net"
MN2_MAC = bytes.fromhex("02005e100002")


def attachment(
    mac: bytes = MN1_MAC,
    link: str = "access1",
    hint: HandoffHint = HandoffHint.UNKNOWN,
    technology: AccessTechnologyType = AccessTechnologyType.IEEE_802_11,
) -> Attachment:
    return Attachment(link, mac, technology, hint)


def profile(mn_id: bytes = MN1, **changes: object) -> PolicyProfile:
    values: dict[str, object] = {"mn_id": mn_id, "lma_address": LMA_ADDRESS, **changes}
    return PolicyProfile(**values)  # type: ignore[arg-type]


def settings(**changes: object) -> ProtocolSettings:
    return ProtocolSettings(proxy_care_of_address=PROXY_CARE_OF_ADDRESS, **changes)  # type: ignore[arg-type]


def make_gateway(
    *,
    restart_counter: int = 0,
    marks: OrderingMarks | None = None,
    lma_settings: LmaSettings | None = None,
    **changes: object,
) -> MobileAccessGateway:
    """lma_settings: of the first LMA."""
    return MobileAccessGateway(
        settings(**changes),
        {LMA_ADDRESS: lma_settings or LmaSettings(), OTHER_LMA_ADDRESS: LmaSettings()},
        random.Random(1),
        restart_counter=restart_counter,
        marks=marks,
    )


@pytest.fixture
def gateway() -> MobileAccessGateway:
    return make_gateway()


@pytest.fixture
def lma() -> FakeLma:
    return FakeLma(LMA_ADDRESS)


def of_type(events: list[Event], *kinds: type) -> list[Event]:
    return [event for event in events if isinstance(event, kinds)]


def establish(
    gateway: MobileAccessGateway, lma: FakeLma, now: float = 0.0, **attach: object
) -> int:
    """Attach MN1 (or another), let the LMA accept and the packet path confirm."""
    where = attachment(**attach.pop("where", {}))  # type: ignore[arg-type]
    who = profile(**attach)  # type: ignore[arg-type]
    gateway.attach(where, who, now)
    lma.serve(gateway, now, UTC)
    entry = gateway.binding_update_list.by_interface(who.mn_id, where)
    assert entry is not None
    gateway.forwarding_ready(entry.binding_id, now)
    gateway.events()
    return entry.binding_id


def run_until(gateway: MobileAccessGateway, end: float) -> list[tuple[float, object]]:
    """Let time pass with a silent LMA; every PBU with the moment it was sent."""
    sent: list[tuple[float, object]] = []
    now = 0.0
    while True:
        sent += [(now, read_update(m)) for m in gateway.messages_to_send(now, UTC + now)]
        deadline = gateway.get_timer()
        if deadline is None or deadline > end:
            return sent
        now = deadline
        gateway.handle_timer(now)


Change = Callable[[ProxyBindingAcknowledgement], ProxyBindingAcknowledgement]


def answer_with(
    gateway: MobileAccessGateway, lma: FakeLma, change: Change, status: int = 0
) -> None:
    """Have the LMA answer what is to be sent, in its own way."""
    (message,) = gateway.messages_to_send(0.0, UTC)
    gateway.receive_message(lma.answer(message, status=status, change=change), lma.address, 0.1)


def state(gateway: MobileAccessGateway) -> RegistrationState:
    """Of the only binding."""
    (entry,) = gateway.binding_update_list
    return entry.state
