"""A local mobility anchor for tests of the core: answers one PBU at a time, honestly or not."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, IPv6Network
from typing import TypeVar

from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.outgoing_message import OutgoingMessage
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
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

ECHOED = (
    MobileNodeIdentifierOption,
    HandoffIndicatorOption,
    AccessTechnologyTypeOption,
    TimestampOption,
    MobileNodeLinkLayerIdentifierOption,
)

POOL = IPv6Network("2001:db8:100::/48")

Change = Callable[[ProxyBindingAcknowledgement], ProxyBindingAcknowledgement]
Option = TypeVar("Option", bound=MobilityOption)


def read_update(message: OutgoingMessage) -> ProxyBindingUpdate:
    """The PBU in an outgoing message, with its checksum verified."""
    update = mobility_header.decode(message.data, message.source, message.destination)
    assert isinstance(update, ProxyBindingUpdate)
    return update


def only_option(message: ProxyBindingUpdate, kind: type[Option]) -> Option:
    """The single option of its kind."""
    (option,) = message.all(kind)
    return option


@dataclass
class FakeLma:
    """Assigns one prefix after the other; the test decides what else it does."""

    address: IPv6Address
    pool: IPv6Network = POOL
    received: list[ProxyBindingUpdate] = field(default_factory=list)
    assigned: dict[bytes, tuple[IPv6Network, ...]] = field(default_factory=dict)
    link_local_address: IPv6Address | None = None
    """Of the gateway, for whom asks; what it says itself replaces it (RFC 5213 §5.3.6)."""

    def answer(
        self,
        message: OutgoingMessage,
        *,
        status: int = 0,
        lifetime_s: int | None = None,
        prefixes: tuple[IPv6Network, ...] | None = None,
        change: Change = lambda acknowledgement: acknowledgement,
    ) -> bytes:
        """The PBA for one PBU; `change` spoils it before its checksum is computed."""
        update = read_update(message)
        self.received.append(update)
        acknowledgement = ProxyBindingAcknowledgement(
            status=status,
            sequence=update.sequence,
            lifetime_s=update.lifetime_s if lifetime_s is None else lifetime_s,
            options=(
                *(option for kind in ECHOED for option in update.all(kind)),
                *map(HomeNetworkPrefixOption.of, prefixes or self._assign(update)),
                *self._link_local(update),
            ),
        )
        return mobility_header.encode(change(acknowledgement), self.address, message.source)

    def serve(self, gateway: MobileAccessGateway, now: float, utc: float = 1.7e9) -> int:
        """Answer everything the gateway has to say; returns how much that was."""
        messages = gateway.messages_to_send(now, utc + now)
        for message in messages:
            assert message.destination == self.address
            gateway.receive_message(self.answer(message), self.address, now)
        return len(messages)

    def _link_local(self, update: ProxyBindingUpdate) -> tuple[LinkLocalAddressOption, ...]:
        option = update.first(LinkLocalAddressOption)
        if option is None or self.link_local_address is None:
            return ()
        if not option.address.is_unspecified:
            self.link_local_address = option.address
        return (LinkLocalAddressOption(self.link_local_address),)

    def _assign(self, update: ProxyBindingUpdate) -> tuple[IPv6Network, ...]:
        asked = tuple(option.prefix for option in update.all(HomeNetworkPrefixOption))
        if all(prefix.prefixlen for prefix in asked):
            return asked
        mn_id = only_option(update, MobileNodeIdentifierOption).identifier
        if mn_id not in self.assigned:
            number = len(self.assigned) + 1
            base = int(self.pool.network_address) + (number << 64)
            self.assigned[mn_id] = (IPv6Network((base, 64)),)
        return self.assigned[mn_id]


def with_option(
    acknowledgement: ProxyBindingAcknowledgement, option: MobilityOption
) -> ProxyBindingAcknowledgement:
    """The same with one option exchanged for another of its kind."""
    others = tuple(o for o in acknowledgement.options if type(o) is not type(option))
    return replace(acknowledgement, options=(*others, option))


def without_option(
    acknowledgement: ProxyBindingAcknowledgement, kind: type[MobilityOption]
) -> ProxyBindingAcknowledgement:
    """The same without options of one kind."""
    return replace(
        acknowledgement,
        options=tuple(o for o in acknowledgement.options if not isinstance(o, kind)),
    )
