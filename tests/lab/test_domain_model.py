"""Two gateways, the reference LMA, a link that loses, doubles and reorders, nodes that move, and
packet paths with semantics, under any order of events: what forwards is what was accepted."""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from random import Random
from typing import Any, TypeVar

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mag.dataplane.base import AccessLink, LmaTunnel, MobileNodeForwarding
from mag.dataplane.fake import FakeDataplane
from mag.dataplane.reconciler import Reconciler
from mag.lab.anchor.core import LocalMobilityAnchor
from mag.lab.anchor.settings import AnchorSettings
from mag.protocol.attachment import Attachment, HandoffHint
from mag.protocol.events import (
    Binding,
    ForwardingUnwanted,
    ForwardingWanted,
    ProxyBindingUpdateSent,
    TunnelUnwanted,
    TunnelWanted,
)
from mag.protocol.lma_settings import LmaSettings
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.registration import RegistrationState
from mag.protocol.settings import (
    MAX_UPDATE_RATE_PER_S,
    RESERVED_LINK_LAYER_ADDRESS,
    RESERVED_LINK_LOCAL_ADDRESS,
    ProtocolSettings,
)
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingUpdate
from mag.wire.iana import AccessTechnologyType
from mag.wire.options import TimestampOption

LMA = IPv6Address("2001:db8:c0::1")
GATEWAYS = (IPv6Address("2001:db8:c0::11"), IPv6Address("2001:db8:c0::12"))
LINKS = ("access1", "access2")
NODES = tuple((b"mn%d@example.net" % i, bytes((2, 0, 0, 0, 0, i))) for i in range(3))
POOL = IPv6Network("2001:db8:100::/48")
LIFETIME_S = 40
UTC = 1.7e9
TUNNEL_MTU = 1460
QUIET_S = 3 * LIFETIME_S
SETTLED = {RegistrationState.ACTIVE, RegistrationState.HELD, RegistrationState.SILENT}
Result = TypeVar("Result")


def finish(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """What it returns; it may give the loop its turn, it never waits for anything."""
    try:
        while coroutine.send(None) is None:
            pass
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


@dataclass(frozen=True)
class Datagram:
    """A Mobility Header message on the link between a gateway and the LMA."""

    data: bytes
    source: IPv6Address
    destination: IPv6Address


@dataclass
class GatewayModel:
    """One gateway with its packet path, as the daemon ties them together."""

    address: IPv6Address
    seed: int
    sent_at: dict[int, list[float]] = field(default_factory=dict)
    """By binding."""
    last_ticks: int = -1

    def __post_init__(self) -> None:
        settings = ProtocolSettings(proxy_care_of_address=self.address, lifetime_s=LIFETIME_S)
        self.core = MobileAccessGateway(
            settings, {LMA: LmaSettings()}, Random(self.seed), restart_counter=self.seed
        )
        self.path = FakeDataplane()
        finish(self.path.open())
        self.reconciler = Reconciler(self.path)
        for name in LINKS:
            self.reconciler.want(
                AccessLink(name, RESERVED_LINK_LOCAL_ADDRESS, RESERVED_LINK_LAYER_ADDRESS)
            )

    def turn(self, now: float) -> list[Datagram]:
        """What the pump does: timers, messages, events into effects, confirmations."""
        self.core.handle_timer(now)
        messages = self.core.messages_to_send(now, UTC + now)
        for message in messages:
            self._check_timestamp(message.data)
        wanted = self._carry_out(now)
        finish(self.reconciler.converge())
        for binding in wanted:
            self.core.forwarding_ready(binding.binding_id, now)
        self._carry_out(now)
        return [Datagram(each.data, each.source, each.destination) for each in messages]

    def _check_timestamp(self, data: bytes) -> None:
        message = mobility_header.decode(data, self.address, LMA)
        if isinstance(message, ProxyBindingUpdate):
            option = message.first(TimestampOption)
            assert option is not None
            assert option.ticks > self.last_ticks
            self.last_ticks = option.ticks

    def _carry_out(self, now: float) -> list[Binding]:
        wanted = []
        for event in self.core.events():
            match event:
                case TunnelWanted(lma):
                    self.reconciler.want(LmaTunnel(self.address, lma, TUNNEL_MTU))
                case TunnelUnwanted(lma):
                    self.reconciler.unwant(LmaTunnel(self.address, lma, TUNNEL_MTU))
                case ForwardingWanted(binding):
                    self.reconciler.want(record_of(binding))
                    wanted.append(binding)
                case ForwardingUnwanted(binding):
                    self.reconciler.unwant(record_of(binding))
                case ProxyBindingUpdateSent(binding):
                    moments = self.sent_at.setdefault(binding.binding_id, [])
                    moments.append(now)
                    if len(moments) > MAX_UPDATE_RATE_PER_S:
                        assert now - moments[-1 - MAX_UPDATE_RATE_PER_S] >= 1.0
        return wanted


def record_of(binding: Binding) -> MobileNodeForwarding:
    return MobileNodeForwarding(
        binding_id=binding.binding_id,
        home_network_prefixes=binding.home_network_prefixes,
        access_interface=binding.access_interface,
        mn_link_layer_address=binding.mn_link_layer_id,
        lma_address=binding.lma_address,
    )


class DomainMachine(RuleBasedStateMachine):
    """Everything that can happen between nodes, gateways and an LMA."""

    @initialize(seed=st.integers(1, 99))
    def start(self, seed: int) -> None:
        self.now = 100.0
        self.restarts = 0
        self.start_lma()
        self.gateways = [GatewayModel(address, seed) for address in GATEWAYS]
        self.in_flight: list[Datagram] = []
        for gateway in self.gateways:
            gateway.core.begin(self.now)

    def start_lma(self) -> None:
        """Without any binding."""
        self.lma = LocalMobilityAnchor(
            AnchorSettings(
                address=LMA,
                prefix_pool=POOL,
                timestamp_validity_window_s=1000.0,
                restart_counter=self.restarts,
            )
        )

    # Nodes and operators

    @rule(
        node=st.integers(0, 2),
        gateway=st.integers(0, 1),
        link=st.sampled_from(LINKS),
        hint=st.sampled_from(list(HandoffHint)),
    )
    def node_appears(self, node: int, gateway: int, link: str, hint: HandoffHint) -> None:
        mn_id, mac = NODES[node]
        attachment = Attachment(link, mac, AccessTechnologyType.IEEE_802_11, hint)
        self.gateways[gateway].core.attach(attachment, PolicyProfile(mn_id, LMA), self.now)

    @rule(
        gateway=st.integers(0, 1),
        which=st.integers(0, 2),
        how=st.sampled_from(["detach", "clear", "router_solicited"]),
    )
    def something_happens_to_a_binding(self, gateway: int, which: int, how: str) -> None:
        core = self.gateways[gateway].core
        entries = list(core.binding_update_list)
        if which < len(entries):
            getattr(core, how)(entries[which].binding_id, self.now)

    # The link

    @precondition(lambda self: self.in_flight)
    @rule(which=st.integers(0, 30), copies=st.sampled_from([1, 1, 1, 0, 2]))
    def datagram_arrives_in_any_order(self, which: int, copies: int) -> None:
        datagram = self.in_flight.pop(which % len(self.in_flight))
        for _ in range(copies):
            self.deliver(datagram)

    @rule()
    def everything_arrives(self) -> None:
        while self.in_flight:
            self.deliver(self.in_flight.pop(0))

    def deliver(self, datagram: Datagram) -> None:
        """To whom it is for; what is said to it is on its way."""
        if datagram.destination == LMA:
            self.lma.receive_message(datagram.data, datagram.source, self.now, UTC + self.now)
            self.collect_answers()
            return
        (gateway,) = (each for each in self.gateways if each.address == datagram.destination)
        gateway.core.receive_message(datagram.data, datagram.source, self.now)
        self.in_flight += gateway.turn(self.now)

    def collect_answers(self) -> None:
        """Of the LMA."""
        self.lma.events()
        for answer in self.lma.messages_to_send():
            self.in_flight.append(Datagram(answer.data, LMA, answer.destination))

    # Time and trouble

    @rule(delay_s=st.sampled_from([0.05, 0.3, 1.0, 2.0, 8.0, 33.0, 61.0]))
    def time_passes(self, delay_s: float) -> None:
        self.now += delay_s
        self.lma.handle_timer(self.now)
        self.collect_answers()

    @rule()
    def lma_restarts(self) -> None:
        self.restarts += 1
        self.start_lma()

    # What always holds

    @invariant()
    def forwarding_is_that_of_accepted_unexpired_bindings(self) -> None:
        for gateway in self.gateways:
            self.in_flight += gateway.turn(self.now)
            serving = [e for e in gateway.core.binding_update_list if e.is_serving]
            assert all(entry.expires_at > self.now for entry in serving)
            state = finish(gateway.path.dump())
            assert {
                key: node.home_network_prefixes for key, node in state.mobile_nodes.items()
            } == {entry.binding_id: entry.home_network_prefixes for entry in serving}
            for entry in serving:
                node = state.mobile_nodes[entry.binding_id]
                assert node.access_interface == entry.attachment.access_interface
                assert node.mn_link_layer_address == entry.attachment.mn_link_layer_id
            assert set(state.lma_tunnels) == {entry.lma_address for entry in serving}

    @invariant()
    def no_deadline_is_in_the_past(self) -> None:
        for gateway in self.gateways:
            deadline = gateway.core.get_timer()
            assert deadline is None or deadline > self.now

    def teardown(self) -> None:
        """Faults end: within the waits of the protocol every binding is settled or gone."""
        if not hasattr(self, "gateways"):
            return
        # A node is in one place: two gateways that claim it take it from each other for ever.
        here, there = (gateway.core for gateway in self.gateways)
        for entry in list(here.binding_update_list):
            if there.binding_update_list.by_mn_id(entry.mn_id):
                here.clear(entry.binding_id, self.now)
        self.forwarding_is_that_of_accepted_unexpired_bindings()
        end = self.now + QUIET_S
        while self.now < end:
            self.everything_arrives()
            cores = [gateway.core.get_timer() for gateway in self.gateways]
            due = [each for each in (*cores, self.lma.get_timer(), end) if each is not None]
            self.now = max(self.now, min(due))
            self.time_passes(0.0)
            self.forwarding_is_that_of_accepted_unexpired_bindings()
        self.everything_arrives()
        for gateway in self.gateways:
            states = {entry.state for entry in gateway.core.binding_update_list}
            assert states <= SETTLED


TestDomain = DomainMachine.TestCase
TestDomain.settings = hypothesis_settings(
    max_examples=40, stateful_step_count=40, deadline=None, print_blob=True
)
