"""Desired-state records and the Protocol that every packet path implements.

The agent says what should be there as the records below; a packet path brings it about,
tells what is there, and counts. Records are values: two equal records mean the same state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum
from ipaddress import IPv6Address, IPv6Network
from typing import Protocol

from mag.frozen import frozen


class DataplaneError(Exception):
    """The packet path could not do what was asked; the text says what and why."""

    def __init__(self, operation: str, reason: str, *, target: str = "") -> None:
        """operation: what was asked. reason: the path's own words. target: the object."""
        self.operation = operation
        self.reason = reason
        self.target = target
        super().__init__(f"{operation}{f' {target}' if target else ''}: {reason}")


@frozen
class LmaTunnel:
    """An IPv6-in-IPv6 tunnel (RFC 2473) shared by all bindings with one LMA; keyed by it."""

    proxy_care_of_address: IPv6Address
    lma_address: IPv6Address
    mtu_octets: int
    """Largest inner packet: path MTU less 40 (RFC 2473 §6.7)."""

    @property
    def key(self) -> IPv6Address:
        """The LMA address."""
        return self.lma_address


@frozen
class AccessLink:
    """An interface that mobile nodes attach to; keyed by its name."""

    interface: str
    gateway_link_local_address: IPv6Address
    gateway_link_layer_address: bytes
    """Six octets; NO_LINK_LAYER_ADDRESS where the link has none (RFC 5213 §9.3)."""
    is_up: bool = True
    """False: it is there and down, without the link-local address."""

    @property
    def key(self) -> str:
        """The interface name."""
        return self.interface


@frozen
class GatewayAddress:
    """A link-local address that the gateway has towards nodes of one access link, beside the
    link's own: neighbour discovery answers for it (RFC 5213 §6.8). Keyed by both."""

    access_interface: str
    address: IPv6Address

    @property
    def key(self) -> tuple[str, IPv6Address]:
        """Interface name and address."""
        return self.access_interface, self.address


@frozen
class MobileNodeForwarding:
    """Forwarding for one binding, both directions; keyed by the agent's binding id."""

    binding_id: int
    """64-bit, the agent's own, never reused while the agent lives."""
    home_network_prefixes: tuple[IPv6Network, ...]
    access_interface: str
    mn_link_layer_address: bytes
    """Six octets: the only source uplink frames may have, the destination of downlink frames.
    NO_LINK_LAYER_ADDRESS on a link that has none."""
    lma_address: IPv6Address
    local_routing: bool = False
    """EnableMAGLocalRouting (RFC 5213 §6.10.3): packets between two nodes of this gateway that both
    have it go straight from link to link. Without it everything goes through the LMA."""

    @property
    def key(self) -> int:
        """The binding id."""
        return self.binding_id


Record = LmaTunnel | AccessLink | GatewayAddress | MobileNodeForwarding


@frozen
class ForwardingState:
    """Everything of ours in a packet path, wanted or found, keyed by each record's key."""

    lma_tunnels: Mapping[IPv6Address, LmaTunnel] = field(default_factory=dict)
    access_links: Mapping[str, AccessLink] = field(default_factory=dict)
    mobile_nodes: Mapping[int, MobileNodeForwarding] = field(default_factory=dict)
    gateway_addresses: Mapping[tuple[str, IPv6Address], GatewayAddress] = field(
        default_factory=dict
    )


@frozen
class Remove:
    """Take one object away; that it is gone already is success."""

    record: Record


@frozen
class Ensure:
    """Make one object be there as the record says; that it is there and equal is success.

    replaces: what the path has under the same key now, None if nothing.
    """

    record: Record
    replaces: Record | None = None


Operation = Remove | Ensure


@frozen
class BindingCounters:
    """Packets and octets (inner, with the IPv6 header) since the binding's forwarding began."""

    uplink_packets: int = 0
    uplink_octets: int = 0
    downlink_packets: int = 0
    downlink_octets: int = 0


@frozen
class DataplaneCounters:
    """A snapshot of every counter of ours."""

    bindings: Mapping[int, BindingCounters] = field(default_factory=dict)
    """By binding id."""
    drops: Mapping[str, int] = field(default_factory=dict)
    """Packets by reason; the same reason names on every path (DROP_REASONS)."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """What went wrong between the path and the agent, by kind; each path has its own."""


DROP_REASONS: Mapping[str, str] = {
    "unknown_source": "uplink: source address, access link and MAC match no binding",
    "link_local_source": "uplink: link-local source to a destination beyond the link (FWD-14)",
    "unknown_tunnel_peer": "downlink: tunnel packet from an address that is no LMA of ours",
    "unknown_inner_destination": "downlink: no binding for the inner destination (FWD-04)",
    "bad_ecn": "downlink: outer CE on an inner packet that is not ECN capable (RFC 3168 §9.1.1)",
}


@frozen
class DataplaneStatus:
    """What an operator sees of the packet path."""

    name: str
    """`kernel`, `vpp` or `fake`."""
    version: str
    limitations: tuple[str, ...] = ()
    """What this path cannot do, in words."""
    missing: tuple[str, ...] = ()
    """What it could do elsewhere, but not on this machine as it is, in words."""
    is_up: bool = True
    """Whether it can be asked and changed now; one that has gone is waited for."""
    fault: str = ""
    """Why it is not up."""
    times_lost: int = 0
    """How often it went while we served."""


class Disturbance(Enum):
    """What something else has done to a packet path: what a look must cover."""

    SHARED = "shared"
    """Perhaps something of what all bindings share has gone; `Dataplane.losses` tells."""
    BINDINGS = "bindings"
    """Something of bindings has gone."""


class Dataplane(Protocol):
    """A packet path. Every method may raise DataplaneError; each is safe to repeat."""

    async def open(self) -> None:
        """Check that the path can do its job, then build what all bindings share.

        Raises DataplaneError with one clear line before anything is changed when it cannot.
        """

    async def rebuild(self) -> None:
        """Build again what all bindings share, where something else may have taken it away.

        What is whole is not disturbed. Raises DataplaneError, also while the path is away.
        """

    async def losses(
        self, tunnels: Mapping[IPv6Address, LmaTunnel], links: Mapping[str, AccessLink], nodes: int
    ) -> Sequence[str]:
        """What of ours is not as it was left, in words; found without reading every binding.

        tunnels, links: as they were left. nodes: how many bindings forwarding was left for.
        """

    async def close(self, *, remove: bool) -> None:
        """Let go of the path; with `remove` take away everything of ours first."""

    async def dump(self) -> ForwardingState:
        """What of ours is there now, recognised by our marks; never from memory."""

    async def take_stock(self, expected: Mapping[int, MobileNodeForwarding]) -> ForwardingState:
        """Clear away what belongs to no record, such as half of a binding; what is there then.

        expected: bindings that are likely to be found. A path that makes records of what it reads
        may give these back where they are equal, and keep them: one object instead of two.
        """

    async def apply(self, operations: Sequence[Operation]) -> Sequence[DataplaneError | None]:
        """Carry out the operations in order, as one batch; one outcome per operation.

        A failed operation does not stop those after it.
        """

    async def counters(self) -> DataplaneCounters:
        """Read all counters."""

    async def status(self) -> DataplaneStatus:
        """Name, version and limitations; for a path that has gone, as they were."""
