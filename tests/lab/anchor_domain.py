"""A domain without packets: gateways' requests into an anchor core, its answers out."""

from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network

from mag.lab.anchor.core import LocalMobilityAnchor
from mag.lab.anchor.events import AnchorEvent
from mag.lab.anchor.settings import AnchorSettings
from mag.protocol.ordering import TICKS_PER_S
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.iana import HandoffIndicator
from mag.wire.options import (
    AccessTechnologyTypeOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
    TimestampOption,
)

LMA = IPv6Address("2001:db8:c0::1")
MAG1 = IPv6Address("2001:db8:c0::11")
MAG2 = IPv6Address("2001:db8:c0::12")
POOL = IPv6Network("2001:db8:100::/48")
ALICE = b"alice@lab.example"
BOB = b"bob@lab.example"
ALICE_MAC = bytes.fromhex("020000000001")
ALICE_SECOND_MAC = bytes.fromhex("020000000002")
ASSIGN = IPv6Network("::/0")
UTC0 = 1_800_000_000.0
"""Seconds since 1970 when `now` is 0."""


def settings(**changes: object) -> AnchorSettings:
    """An anchor that serves everybody, with changes."""
    return AnchorSettings(address=LMA, prefix_pool=POOL, **changes)


@dataclass
class Domain:
    """One anchor; the same clock for everybody unless a request says otherwise."""

    anchor: LocalMobilityAnchor
    now: float = 0.0
    sequence: int = 100
    events: list[AnchorEvent] = field(default_factory=list)
    answers: list[tuple[IPv6Address, ProxyBindingAcknowledgement]] = field(default_factory=list)

    @property
    def utc(self) -> float:
        return UTC0 + self.now

    def request(
        self,
        gateway: IPv6Address,
        mn_id: bytes = ALICE,
        *,
        prefixes: tuple[IPv6Network, ...] = (ASSIGN,),
        handoff: int = HandoffIndicator.ATTACHMENT_OVER_NEW_INTERFACE,
        mac: bytes = ALICE_MAC,
        lifetime_s: int = 600,
        clock_s: float | None = None,
        timestamped: bool = True,
        more: tuple[MobilityOption, ...] = (),
        without: type[MobilityOption] | None = None,
    ) -> list[ProxyBindingAcknowledgement]:
        """Send a PBU; returns what was answered to it at once."""
        self.sequence += 1
        self.now += 0.01
        clock = self.utc if clock_s is None else clock_s
        options: tuple[MobilityOption, ...] = (
            MobileNodeIdentifierOption(mn_id),
            *(HomeNetworkPrefixOption.of(prefix) for prefix in prefixes),
            HandoffIndicatorOption(handoff),
            AccessTechnologyTypeOption(4),
            *((MobileNodeLinkLayerIdentifierOption(mac),) if mac else ()),
            *((TimestampOption(int(clock * TICKS_PER_S)),) if timestamped else ()),
            *more,
        )
        kept = tuple(option for option in options if type(option) is not without)
        message = ProxyBindingUpdate(self.sequence & 0xFFFF, lifetime_s, kept)
        return self.receive(mobility_header.encode(message, gateway, LMA), gateway)

    def deregister(
        self, gateway: IPv6Address, prefixes: tuple[IPv6Network, ...], mn_id: bytes = ALICE
    ) -> list[ProxyBindingAcknowledgement]:
        """Send a PBU with lifetime 0."""
        unknown = HandoffIndicator.UNKNOWN
        return self.request(gateway, mn_id, prefixes=prefixes, handoff=unknown, lifetime_s=0)

    def receive(self, data: bytes, source: IPv6Address) -> list[ProxyBindingAcknowledgement]:
        """Deliver octets; returns what was answered at once."""
        self.anchor.receive_message(data, source, self.now, self.utc)
        return self._collect()

    def pass_time(self, seconds: float) -> list[ProxyBindingAcknowledgement]:
        """Let time pass and the anchor's timer fire; returns what it sent then."""
        self.now += seconds
        self.anchor.handle_timer(self.now)
        return self._collect()

    def _collect(self) -> list[ProxyBindingAcknowledgement]:
        self.events += self.anchor.events()
        fresh = []
        for message in self.anchor.messages_to_send():
            answer = mobility_header.decode(message.data, LMA, message.destination)
            assert isinstance(answer, ProxyBindingAcknowledgement)
            self.answers.append((message.destination, answer))
            fresh.append(answer)
        return fresh


def prefixes_of(answer: ProxyBindingAcknowledgement) -> tuple[IPv6Network, ...]:
    """Home network prefixes of an answer."""
    return tuple(option.prefix for option in answer.all(HomeNetworkPrefixOption))


def link_local_of(answer: ProxyBindingAcknowledgement) -> IPv6Address | None:
    """The Link-local Address option's value."""
    option = answer.first(LinkLocalAddressOption)
    return None if option is None else option.address
