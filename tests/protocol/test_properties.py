"""The core under any order of events: forwarding wanted == bindings accepted and unexpired."""

import random
from ipaddress import IPv6Address, IPv6Network

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mag.protocol.attachment import HandoffHint
from mag.protocol.events import (
    AdvertisePrefixes,
    BindingLost,
    ForwardingUnwanted,
    ForwardingWanted,
    TunnelUnwanted,
    TunnelWanted,
    WithdrawPrefixes,
)
from mag.protocol.outgoing_message import OutgoingMessage
from mag.protocol.registration import TRANSITIONS, RegistrationInput, RegistrationState
from mag.wire.options import HandoffIndicatorOption
from protocol.conftest import (
    LMA_ADDRESS,
    OTHER_LMA_ADDRESS,
    UTC,
    attachment,
    make_gateway,
    profile,
)
from support.fake_lma import FakeLma, with_option

NODES = [(b"mn%d@example.net" % i, bytes([2, 0, 0, 0, 0, i])) for i in range(3)]
LINKS = ["access1", "access2"]
REPLIES = {
    RegistrationInput.ACCEPTED,
    RegistrationInput.REJECTED_FOR_NOW,
    RegistrationInput.REJECTED_FOR_GOOD,
    RegistrationInput.OUT_OF_SEQUENCE,
    RegistrationInput.ECHO_MISMATCHED,
    RegistrationInput.UNSENDABLE,
}
"""What comes of a request; where nothing is outstanding none of it can."""
OF_THE_NODE = {RegistrationInput.REJECTED_FOR_GOOD}
"""May have been told to another of the node's interfaces (status 152)."""
NO_SERVICE = {
    RegistrationInput.LIFETIME_ENDED,
    RegistrationInput.SUPERSEDED,
    RegistrationInput.ADDRESS_CHANGED,
}
NOTHING_TO_SEND = {RegistrationInput.TIMER_DUE, RegistrationInput.ABSENCE_FOUND}
IMPOSSIBLE = {
    RegistrationState.ACTIVE: REPLIES - OF_THE_NODE,
    RegistrationState.SILENT: REPLIES - OF_THE_NODE | NOTHING_TO_SEND,
    RegistrationState.REJECTED: REPLIES - OF_THE_NODE | NO_SERVICE,
    RegistrationState.HELD: REPLIES - OF_THE_NODE | NO_SERVICE | NOTHING_TO_SEND,
    # It lasts a second; nobody is asked for to be let go.
    RegistrationState.DEREGISTERING: {RegistrationInput.ABSENCE_FOUND},
    RegistrationState.GONE: set(RegistrationInput),
}


def test_table_lists_every_pair_that_can_happen() -> None:
    """A pair is either in the table or named above with its reason; none is guessed."""
    listed = set(TRANSITIONS)
    impossible = {(state, what) for state, inputs in IMPOSSIBLE.items() for what in inputs}
    every = {(state, what) for state in RegistrationState for what in RegistrationInput}
    assert listed | impossible == every
    assert not listed & impossible


class CoreMachine(RuleBasedStateMachine):
    """Three nodes on two links, two LMAs that answer late, wrongly or never, and time."""

    @initialize(seed=st.integers(0, 99), is_by_timestamp=st.booleans())
    def start(self, seed: int, is_by_timestamp: bool) -> None:
        self.gateway = make_gateway(
            lifetime_s=40,
            timestamp_based_approach_in_use=is_by_timestamp,
            solicitations_by_link={LINKS[1]: 2},
        )
        self.rng = random.Random(seed)
        self.lmas = {
            LMA_ADDRESS: FakeLma(LMA_ADDRESS, IPv6Network("2001:db8:100::/48")),
            OTHER_LMA_ADDRESS: FakeLma(OTHER_LMA_ADDRESS, IPv6Network("2001:db8:200::/48")),
        }
        self.now = 100.0
        self.in_flight: list[OutgoingMessage] = []
        self.forwarded: dict[int, tuple[IPv6Network, ...]] = {}
        self.tunnels: set[IPv6Address] = set()

    @rule(
        node=st.integers(0, 2),
        link=st.sampled_from(LINKS),
        hint=st.sampled_from(list(HandoffHint)),
        lma=st.sampled_from([LMA_ADDRESS, OTHER_LMA_ADDRESS]),
    )
    def attach(self, node: int, link: str, hint: HandoffHint, lma: IPv6Address) -> None:
        mn_id, mac = NODES[node]
        where = attachment(mac, link, hint)
        self.gateway.attach(where, profile(mn_id, lma_address=lma), self.now)

    @rule(choice=st.randoms(use_true_random=False), how=st.sampled_from(["detach", "clear"]))
    def end(self, choice: random.Random, how: str) -> None:
        entries = list(self.gateway.binding_update_list)
        if entries:
            getattr(self.gateway, how)(choice.choice(entries).binding_id, self.now)

    @rule(choice=st.randoms(use_true_random=False))
    def solicit(self, choice: random.Random) -> None:
        for entry in self.gateway.binding_update_list:
            if choice.random() < 0.5:
                self.gateway.router_solicited(entry.binding_id, self.now)

    @rule(choice=st.randoms(use_true_random=False), is_sent=st.booleans())
    def nodes_are_heard_or_cannot_be_asked(self, choice: random.Random, is_sent: bool) -> None:
        for entry in self.gateway.binding_update_list:
            if choice.random() < 0.5:
                if is_sent:
                    self.gateway.node_heard(entry.binding_id, None, self.now)
                else:
                    self.gateway.probe_not_sent(entry.binding_id)

    @rule()
    def send(self) -> None:
        self.in_flight += self.gateway.messages_to_send(self.now, UTC + self.now)

    @rule(delay=st.sampled_from([0.05, 0.4, 1.0, 5.0, 32.0, 41.0]))
    def pass_time(self, delay: float) -> None:
        self.now += delay
        self.gateway.handle_timer(self.now)

    @precondition(lambda self: self.in_flight)
    @rule(
        choice=st.randoms(use_true_random=False),
        status=st.sampled_from([0, 0, 0, 128, 135, 152, 155, 157]),
        fault=st.sampled_from(["none", "none", "echo", "lifetime", "lost", "twice"]),
    )
    def reply(self, choice: random.Random, status: int, fault: str) -> None:
        message = self.in_flight.pop(choice.randrange(len(self.in_flight)))
        lma = self.lmas[message.destination]
        data = lma.answer(
            message,
            status=status,
            lifetime_s=0 if fault == "lifetime" else None,
            change=lambda pba: (
                with_option(pba, HandoffIndicatorOption(2)) if fault == "echo" else pba
            ),
        )
        for _ in range({"lost": 0, "twice": 2}.get(fault, 1)):
            self.gateway.receive_message(data, lma.address, self.now)

    @precondition(lambda self: len(self.forwarded) > 0)
    @rule(choice=st.randoms(use_true_random=False))
    def an_lma_gives_a_held_prefix_to_whoever_asks_next(self, choice: random.Random) -> None:
        held = choice.choice(list(self.forwarded.values()))
        while self.in_flight:
            message = self.in_flight.pop()
            lma = self.lmas[message.destination]
            data = lma.answer(message, prefixes=held)
            self.gateway.receive_message(data, lma.address, self.now)

    @rule()
    def packet_path_confirms(self) -> None:
        self.read_events()
        for binding_id in self.forwarded:
            self.gateway.forwarding_ready(binding_id, self.now)

    @invariant()
    def forwarding_is_wanted_for_accepted_bindings_and_no_others(self) -> None:
        self.read_events()
        serving = {
            entry.binding_id: entry.home_network_prefixes
            for entry in self.gateway.binding_update_list
            if entry.is_serving
        }
        assert self.forwarded == serving
        assert all(serving.values())
        prefixes = [prefix for held in serving.values() for prefix in held]
        assert len(prefixes) == len(set(prefixes))

    @invariant()
    def tunnels_are_those_that_are_shared(self) -> None:
        self.read_events()
        shares: dict[IPv6Address, int] = {}
        for entry in self.gateway.binding_update_list:
            if entry.is_serving:
                shares[entry.lma_address] = shares.get(entry.lma_address, 0) + 1
        assert self.tunnels == set(shares)
        for peer in self.gateway.peers.values():
            assert peer.serving_bindings == shares.get(peer.address, 0)

    @invariant()
    def no_deadline_is_overdue_and_no_entry_is_forgotten(self) -> None:
        self.gateway.handle_timer(self.now)
        self.in_flight += self.gateway.messages_to_send(self.now, UTC + self.now)
        deadline = self.gateway.get_timer()
        assert deadline is None or deadline > self.now
        for entry in self.gateway.binding_update_list:
            assert not entry.is_serving or entry.expires_at > self.now
            if entry.state not in (RegistrationState.HELD, RegistrationState.SILENT):
                assert deadline is not None

    def read_events(self) -> None:
        for event in self.gateway.events():
            match event:
                case ForwardingWanted(binding):
                    self.forwarded[binding.binding_id] = binding.home_network_prefixes
                case ForwardingUnwanted(binding):
                    del self.forwarded[binding.binding_id]
                case TunnelWanted(address):
                    assert address not in self.tunnels
                    self.tunnels.add(address)
                case TunnelUnwanted(address):
                    self.tunnels.remove(address)
                case AdvertisePrefixes(binding):
                    assert self.forwarded[binding.binding_id] == binding.home_network_prefixes
                case WithdrawPrefixes(binding, prefixes):
                    for entry in self.gateway.binding_update_list:
                        node = (entry.attachment.access_interface, entry.mn_link_layer_id)
                        if entry.is_forwarding and node == (
                            binding.access_interface,
                            binding.mn_link_layer_id,
                        ):
                            assert not set(prefixes) & set(entry.home_network_prefixes)
                case BindingLost(binding):
                    assert binding.binding_id not in self.forwarded


TestCore = CoreMachine.TestCase
TestCore.settings = hypothesis_settings(
    max_examples=150, stateful_step_count=40, deadline=None, print_blob=True
)
