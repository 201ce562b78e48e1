"""A node moves and the de-registration by its old gateway is lost (RFC 5213 §9.1, §5.4.1)."""

from dataclasses import dataclass, field

import pytest

from lab.test_domain_model import GATEWAYS, LINKS, LMA, NODES, POOL, UTC, Datagram, GatewayModel
from mag.lab.anchor.core import LocalMobilityAnchor
from mag.lab.anchor.settings import AnchorSettings
from mag.protocol.attachment import Attachment, HandoffHint
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.registration import RegistrationState
from mag.wire.iana import AccessTechnologyType

MN_ID, MAC = NODES[0]
OTHER_MAC = bytes.fromhex("0200000000ee")
LEFT_AT = 100.0
WAIT_S = AnchorSettings(address=LMA, prefix_pool=POOL).max_delay_before_new_bce_assign_s


@dataclass
class Domain:
    """Two gateways and an LMA; what is sent arrives at once unless it is lost."""

    now: float = LEFT_AT - 10
    updates: int = 0
    answers: int = 0
    gateways: list[GatewayModel] = field(init=False)

    def __post_init__(self) -> None:
        self.lma = LocalMobilityAnchor(AnchorSettings(address=LMA, prefix_pool=POOL))
        self.gateways = [GatewayModel(address, seed=1) for address in GATEWAYS]

    def attach(self, gateway: GatewayModel, mac: bytes) -> None:
        """With nothing known of a handoff."""
        where = Attachment(LINKS[0], mac, AccessTechnologyType.IEEE_802_11, HandoffHint.UNKNOWN)
        gateway.core.attach(where, PolicyProfile(MN_ID, LMA), self.now)
        self.carry(gateway)

    def carry(self, gateway: GatewayModel) -> None:
        """Its messages to the LMA, and all answers."""
        for message in gateway.turn(self.now):
            self.updates += 1
            self.lma.receive_message(message.data, message.source, self.now, UTC + self.now)
        self.collect_answers()

    def collect_answers(self) -> None:
        self.lma.events()
        for answer in self.lma.messages_to_send():
            datagram = Datagram(answer.data, LMA, answer.destination)
            (meant,) = (each for each in self.gateways if each.address == datagram.destination)
            meant.core.receive_message(datagram.data, LMA, self.now)
            meant.turn(self.now)
            self.answers += 1

    def pass_until(self, end: float) -> None:
        while True:
            timers = [each.core.get_timer() for each in self.gateways]
            due = min(each for each in (*timers, self.lma.get_timer(), end) if each is not None)
            self.now = min(due, end)
            self.lma.handle_timer(self.now)
            self.collect_answers()
            for gateway in self.gateways:
                self.carry(gateway)
            if self.now >= end:
                return


@pytest.fixture
def domain() -> Domain:
    """The node is served by the first gateway and has just left; nobody has heard of that."""
    domain = Domain()
    old, _ = domain.gateways
    domain.attach(old, MAC)
    domain.now = LEFT_AT
    old.core.detach(binding(old).binding_id, LEFT_AT)
    assert len(old.turn(LEFT_AT)) == 1
    domain.updates = domain.answers = 0
    return domain


def binding(gateway: GatewayModel) -> BindingUpdateListEntry:
    (entry,) = gateway.core.binding_update_list
    return entry


@pytest.mark.requirement("CFG-11")
def test_node_keeps_its_prefix_where_its_link_layer_address_names_the_session(
    domain: Domain,
) -> None:
    """CFG-11: HI = 4 elsewhere, the link-layer identifier says that it is the same interface."""
    old, new = domain.gateways
    prefixes = binding(old).home_network_prefixes
    domain.now += 0.2
    domain.attach(new, MAC)
    assert binding(new).state is RegistrationState.ACTIVE
    assert binding(new).home_network_prefixes == prefixes
    assert domain.updates == 1


@pytest.mark.requirement("CFG-11")
def test_registration_is_repeated_within_the_wait_of_the_lma_and_answered_once(
    domain: Domain,
) -> None:
    """CFG-11, INT-10: with another link-layer address the LMA waits for the de-registration; the
    retransmission meets the same wait, makes no second session and does not prolong it."""
    old, new = domain.gateways
    domain.now += 0.2
    asked_at = domain.now
    domain.attach(new, OTHER_MAC)
    domain.pass_until(asked_at + WAIT_S - 0.01)
    assert domain.updates == 2
    assert domain.answers == 0
    domain.pass_until(asked_at + WAIT_S)
    assert domain.answers == 1
    assert binding(new).state is RegistrationState.ACTIVE
    assert not old.core.binding_update_list
