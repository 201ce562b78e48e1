"""The golden vectors of tests/vectors: hex, decoded form and origin, as Python objects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from ipaddress import IPv6Address, IPv6Network
from operator import or_
from pathlib import Path
from typing import Any, Final

import yaml

from mag.wire import options
from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.binding_error import BindingError
from mag.wire.ethernet import parse_link_layer_address
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import (
    IP_PROTOCOL_ICMPV6,
    IP_PROTOCOL_MOBILITY_HEADER,
    BindingAcknowledgementFlag,
    BindingUpdateFlag,
    HeartbeatFlag,
)
from mag.wire.ipv6 import IPv6Packet
from mag.wire.mobility_header import MobilityMessage
from mag.wire.neighbor_discovery import (
    PrefixInformation,
    RecursiveDnsServers,
    RouterAdvertisement,
)

_FOLDER: Final = Path(__file__).parent.parent / "vectors"


@dataclass(frozen=True, slots=True)
class Vector:
    """One file: octets of an upper-layer message and what they mean."""

    name: str
    source: IPv6Address
    destination: IPv6Address
    checksum: int
    octets: bytes
    message: MobilityMessage | RouterAdvertisement

    @property
    def packet(self) -> bytes:
        """The octets in the IPv6 packet that carries them."""
        if isinstance(self.message, RouterAdvertisement):
            next_header, hop_limit = IP_PROTOCOL_ICMPV6, 255
        else:
            next_header, hop_limit = IP_PROTOCOL_MOBILITY_HEADER, 64
        return IPv6Packet(
            self.source, self.destination, next_header, self.octets, hop_limit
        ).encode()


def load_vectors() -> list[Vector]:
    """All vectors, in the order of their file names."""
    return [_load(path) for path in sorted(_FOLDER.glob("*.yaml"))]


def mobility_header_vectors() -> list[Vector]:
    """Those that are Mobility Header messages."""
    return [v for v in load_vectors() if not isinstance(v.message, RouterAdvertisement)]


def vector(name: str) -> Vector:
    """The vector of that file name, without its suffix."""
    return _load(_FOLDER / f"{name}.yaml")


def _load(path: Path) -> Vector:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    fields = dict(document["message"])
    return Vector(
        name=path.stem,
        source=IPv6Address(document["source"]),
        destination=IPv6Address(document["destination"]),
        checksum=document["checksum"],
        octets=bytes.fromhex(document["hex"]),
        message=_MESSAGES[fields.pop("type")](**fields),
    )


def _proxy_binding_update(**fields: Any) -> ProxyBindingUpdate:
    flags = reduce(or_, (BindingUpdateFlag[name] for name in fields.pop("flags")))
    return ProxyBindingUpdate(flags=flags, options=_options(fields.pop("options")), **fields)


def _proxy_binding_acknowledgement(**fields: Any) -> ProxyBindingAcknowledgement:
    flags = reduce(or_, (BindingAcknowledgementFlag[name] for name in fields.pop("flags")))
    return ProxyBindingAcknowledgement(
        flags=flags, options=_options(fields.pop("options")), **fields
    )


def _heartbeat(**fields: Any) -> Heartbeat:
    flags = reduce(or_, (HeartbeatFlag[name] for name in fields.pop("flags")), HeartbeatFlag(0))
    return Heartbeat(flags=flags, options=_options(fields.pop("options")), **fields)


def _router_advertisement(**fields: Any) -> RouterAdvertisement:
    return RouterAdvertisement(
        prefixes=tuple(
            PrefixInformation(**{**prefix, "prefix": IPv6Network(prefix["prefix"])})
            for prefix in fields.pop("prefixes")
        ),
        source_link_layer_address=parse_link_layer_address(fields.pop("source_link_layer_address")),
        recursive_dns_servers=_recursive_dns_servers(**fields.pop("recursive_dns_servers")),
        **fields,
    )


def _recursive_dns_servers(lifetime_s: int, addresses: list[str]) -> RecursiveDnsServers:
    return RecursiveDnsServers(lifetime_s, tuple(map(IPv6Address, addresses)))


_MESSAGES: Final[Mapping[str, Callable[..., MobilityMessage | RouterAdvertisement]]] = {
    "ProxyBindingUpdate": _proxy_binding_update,
    "ProxyBindingAcknowledgement": _proxy_binding_acknowledgement,
    "BindingError": lambda status, home_address: BindingError(status, IPv6Address(home_address)),
    "Heartbeat": _heartbeat,
    "RouterAdvertisement": _router_advertisement,
}


def _options(entries: list[dict[str, dict[str, Any]]]) -> tuple[options.MobilityOption, ...]:
    return tuple(_OPTIONS[name](**fields) for entry in entries for name, fields in entry.items())


def _timestamp(seconds: int, fraction: int) -> options.TimestampOption:
    return options.TimestampOption(seconds << 16 | fraction)


_OPTIONS: Final[Mapping[str, Callable[..., options.MobilityOption]]] = {
    "MobileNodeIdentifierOption": lambda identifier: options.MobileNodeIdentifierOption(
        identifier.encode()
    ),
    "HomeNetworkPrefixOption": lambda prefix: options.HomeNetworkPrefixOption.of(
        IPv6Network(prefix)
    ),
    "HandoffIndicatorOption": options.HandoffIndicatorOption,
    "AccessTechnologyTypeOption": options.AccessTechnologyTypeOption,
    "TimestampOption": _timestamp,
    "MobileNodeLinkLayerIdentifierOption": lambda identifier: (
        options.MobileNodeLinkLayerIdentifierOption(parse_link_layer_address(identifier))
    ),
    "RestartCounterOption": options.RestartCounterOption,
    "LinkLocalAddressOption": lambda address: options.LinkLocalAddressOption(IPv6Address(address)),
}
