"""Values that are right by themselves and wrong together.

The checks read plain values (mappings, lists, text or typed scalars) and step over whatever does
not convert, so that one run tells of these faults beside those of single values.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import IPv6Address, IPv6Network
from itertools import chain
from typing import Any, Final, TypeVar

from mag.config.addresses import (
    global_unicast_address,
    home_network_prefix,
    link_layer_address,
)
from mag.config.messages import Fault, Location, dotted
from mag.frozen import frozen
from mag.protocol.settings import IPV6_HEADER_OCTETS, MINIMUM_IPV6_MTU
from mag.wire.ethernet import format_link_layer_address

_T = TypeVar("_T")

_MAX_LINUX_INTERFACE_OCTETS: Final = 15
SMALLEST_PATH_MTU_OF_THE_KERNEL: Final = MINIMUM_IPV6_MTU + IPV6_HEADER_OCTETS


def find_contradictions(values: object) -> list[Fault]:
    """Every pair of values in a configuration's plain values that cannot both hold."""
    tree = _mapping(values)
    checks = (
        _tunnel_ends,
        _unknown_lmas,
        _without_lma,
        _nobody_served,
        _shared_link_layer_addresses,
        _identities_of_two_nodes,
        _overlapping_prefixes,
        _interfaces_on_both_sides,
        _interfaces_that_linux_cannot_have,
        _path_mtus_too_small_for_the_kernel,
        _links_that_vpp_does_not_serve,
    )
    return [fault for check in checks for fault in check(tree)]


def _tunnel_ends(tree: Mapping[str, Any]) -> Iterator[Fault]:
    """A tunnel needs two ends (RFC 2473 §4.1.2); an LMA is known by its address."""
    owners: dict[IPv6Address, Location] = {}
    for location, address in _endpoints(tree):
        if (owner := owners.setdefault(address, location)) != location:
            yield Fault(location, f"{address} is the value of {dotted(owner)} already")


def _endpoints(tree: Mapping[str, Any]) -> Iterator[tuple[Location, IPv6Address]]:
    places: list[tuple[Location, Any]] = [
        (("proxy_care_of_address",), tree.get("proxy_care_of_address"))
    ]
    for name, lma in _mapping(tree.get("lmas")).items():
        places.append((("lmas", name, "address"), _mapping(lma).get("address")))
    for location, value in places:
        if (address := _converted(global_unicast_address, value)) is not None:
            yield location, address


def _unknown_lmas(tree: Mapping[str, Any]) -> Iterator[Fault]:
    if not (known := list(_mapping(tree.get("lmas")))):
        return
    for location, entry in _policy_entries(tree):
        lma = entry.get("lma")
        if isinstance(lma, str) and lma not in known:
            close = get_close_matches(lma, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"lmas are: {', '.join(known)}"
            yield Fault((*location, "lma"), f'no LMA is called "{lma}"; {hint}')


def _without_lma(tree: Mapping[str, Any]) -> Iterator[Fault]:
    """RFC 5213 §6.2: the LMA address is a mandatory field of a policy profile."""
    policy = _mapping(tree.get("policy"))
    default = _mapping(policy.get("default"))
    realms = _mapping(policy.get("realms"))
    if default.get("lma") is not None:
        return
    nodes = _mapping(policy.get("nodes"))
    wanted: list[tuple[Location, str]] = [
        (("policy", "nodes", mn_id), mn_id)
        for mn_id, node in nodes.items()
        if _mapping(node).get("lma") is None
    ]
    wanted += [place for place in _nodes_of_links(tree) if place[1] not in nodes]
    if (rule := default.get("mn_id_from_link_layer_address")) is not None:
        wanted.append((("policy", "default", "mn_id_from_link_layer_address"), str(rule)))
    for location, mn_id in wanted:
        realm = mn_id.rpartition("@")[2].lower()
        if _mapping(realms.get(realm)).get("lma") is None:
            yield Fault(location, f"no lma, neither here nor for realm {realm} nor in default")


def _nobody_served(tree: Mapping[str, Any]) -> Iterator[Fault]:
    policy = tree.get("policy")
    default = _mapping(_mapping(policy).get("default"))
    ways = (
        _mapping(policy).get("nodes"),
        _mapping(policy).get("realms"),
        default.get("lma"),
        default.get("mn_id_from_link_layer_address"),
    )
    if isinstance(policy, Mapping) and not any(ways):
        yield Fault(("policy",), "no nodes, no realms and no default lma: nobody would be served")


def _shared_link_layer_addresses(tree: Mapping[str, Any]) -> Iterator[Fault]:
    owners: dict[bytes, Location] = {}
    for location, value in _interface_addresses(tree):
        address = _converted(link_layer_address, value)
        if address is not None and (owner := owners.setdefault(address, location)) != location:
            text = format_link_layer_address(address)
            yield Fault(location, f"{text} is listed in {dotted(owner)} already")


def _identities_of_two_nodes(tree: Mapping[str, Any]) -> Iterator[Fault]:
    """RFC 5213 §6.6: what stands for a node stands for one."""
    policy = _mapping(tree.get("policy"))
    owners: dict[str, Location] = {
        mn_id: ("policy", "nodes", mn_id) for mn_id in _mapping(policy.get("nodes"))
    }
    shared = enumerate(_sequence(policy.get("shared_identities")))
    places: list[tuple[Location, Any]] = [
        *_listed_by_nodes(tree, "identities"),
        *((("policy", "shared_identities", position), name) for position, name in shared),
    ]
    for location, name in places:
        if isinstance(name, str) and (owner := owners.setdefault(name, location)) != location:
            yield Fault(location, f"{name} is {_as_what(owner)} already")


def _as_what(owner: Location) -> str:
    is_node = owner[:2] == ("policy", "nodes") and owner[3:] == ()
    return f"the MN-Identifier of {dotted(owner)}" if is_node else f"listed in {dotted(owner)}"


def _interface_addresses(tree: Mapping[str, Any]) -> Iterator[tuple[Location, Any]]:
    yield from _listed_by_nodes(tree, "link_layer_addresses")
    for location, _ in _interfaces_of_nodes(tree):
        yield (*location, "[key]"), location[-1]


@frozen
class _Claim:
    """A range of addresses and who wants it."""

    network: IPv6Network
    rank: int
    """Position in the file; endpoints of tunnels before all prefixes."""
    location: Location

    @property
    def first(self) -> int:
        return int(self.network.network_address)

    @property
    def last(self) -> int:
        return int(self.network.broadcast_address)


def _overlapping_prefixes(tree: Mapping[str, Any]) -> Iterator[Fault]:
    """Each packet from the tunnel belongs to one node, and the tunnel itself to none."""
    claims = _claims(tree)
    # Wider before narrower where both begin alike: whoever overlaps anyone before it overlaps
    # the one that reaches furthest.
    claims.sort(key=lambda claim: (claim.first, -claim.last, claim.rank))
    furthest: _Claim | None = None
    for claim in claims:
        if furthest is not None and claim.first <= furthest.last:
            earlier, later = sorted((furthest, claim), key=lambda claim: claim.rank)
            if later.rank:
                owner = f"{earlier.network} of {dotted(earlier.location)}"
                yield Fault(later.location, f"{later.network} overlaps {owner}")
        if furthest is None or claim.last > furthest.last:
            furthest = claim


def _claims(tree: Mapping[str, Any]) -> list[_Claim]:
    claims = [_Claim(IPv6Network(address), 0, location) for location, address in _endpoints(tree)]
    listed = chain(_listed_by_nodes(tree, "home_network_prefixes"), _listed_by_interfaces(tree))
    for rank, (location, value) in enumerate(listed, start=1):
        if (prefix := _converted(home_network_prefix, value)) is not None:
            claims.append(_Claim(prefix, rank, location))
    return claims


def _interfaces_on_both_sides(tree: Mapping[str, Any]) -> Iterator[Fault]:
    access_links = _mapping(tree.get("access_links"))
    core_interfaces = _mapping(tree.get("dataplane")).get("core_interfaces")
    for position, interface in enumerate(_sequence(core_interfaces)):
        if isinstance(interface, str) and interface in access_links:
            location = ("dataplane", "core_interfaces", position)
            yield Fault(location, f"{interface} is an access link already")


def _policy_entries(tree: Mapping[str, Any]) -> Iterator[tuple[Location, Mapping[str, Any]]]:
    policy = _mapping(tree.get("policy"))
    for group in ("nodes", "realms"):
        for name, entry in _mapping(policy.get(group)).items():
            yield ("policy", group, name), _mapping(entry)
    yield ("policy", "default"), _mapping(policy.get("default"))


def _listed_by_nodes(tree: Mapping[str, Any], key: str) -> Iterator[tuple[Location, Any]]:
    for mn_id, node in _mapping(_mapping(tree.get("policy")).get("nodes")).items():
        for position, value in enumerate(_sequence(_mapping(node).get(key))):
            yield ("policy", "nodes", mn_id, key, position), value


def _listed_by_interfaces(tree: Mapping[str, Any]) -> Iterator[tuple[Location, Any]]:
    key = "home_network_prefixes"
    for location, interface in _interfaces_of_nodes(tree):
        for position, value in enumerate(_sequence(_mapping(interface).get(key))):
            yield (*location, key, position), value


def _interfaces_of_nodes(tree: Mapping[str, Any]) -> Iterator[tuple[Location, Any]]:
    for mn_id, node in _mapping(_mapping(tree.get("policy")).get("nodes")).items():
        for address, interface in _mapping(_mapping(node).get("interfaces")).items():
            yield ("policy", "nodes", mn_id, "interfaces", address), interface


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _converted(convert: Callable[[object], _T], value: object) -> _T | None:
    try:
        return convert(value)
    except ValueError:
        return None


def _is_on_the_kernel(tree: Mapping[str, Any]) -> bool:
    kind: object = _mapping(tree.get("dataplane")).get("kind", "kernel")
    return kind == "kernel"


def _interfaces_that_linux_cannot_have(tree: Mapping[str, Any]) -> Iterator[Fault]:
    if not _is_on_the_kernel(tree):
        return
    core_interfaces = _mapping(tree.get("dataplane")).get("core_interfaces")
    places: list[tuple[Location, Any]] = [
        *((("access_links", name, "[key]"), name) for name in _mapping(tree.get("access_links"))),
        *(
            (("dataplane", "core_interfaces", position), name)
            for position, name in enumerate(_sequence(core_interfaces))
        ),
    ]
    for location, name in places:
        if isinstance(name, str) and _is_refused_by_linux(name):
            yield Fault(
                location,
                "must be an interface name as Linux has them:"
                f" at most {_MAX_LINUX_INTERFACE_OCTETS} octets, no slashes or colons",
            )


def _is_refused_by_linux(interface: str) -> bool:
    """As far as it goes beyond what no packet path takes; see dev_valid_name of the kernel."""
    is_too_long = len(interface.encode()) > _MAX_LINUX_INTERFACE_OCTETS
    return is_too_long or interface in (".", "..") or "/" in interface or ":" in interface


def _path_mtus_too_small_for_the_kernel(tree: Mapping[str, Any]) -> Iterator[Fault]:
    """RFC 2473 §7.1: below this tunnel packets must be fragmented, which the kernel path cannot."""
    if not _is_on_the_kernel(tree):
        return
    for name, lma in _mapping(tree.get("lmas")).items():
        path_mtu = _converted(_whole_number, _mapping(lma).get("path_mtu_octets"))
        if path_mtu is not None and MINIMUM_IPV6_MTU <= path_mtu < SMALLEST_PATH_MTU_OF_THE_KERNEL:
            what = (
                f"{path_mtu} is too small for the kernel packet path: it must be "
                f"{SMALLEST_PATH_MTU_OF_THE_KERNEL} or more"
            )
            yield Fault(("lmas", name, "path_mtu_octets"), what)


def _whole_number(value: object) -> int:
    return int(str(value))


def _links_that_vpp_does_not_serve(tree: Mapping[str, Any]) -> Iterator[Fault]:
    if _is_on_the_kernel(tree):
        return
    for location, _ in _nodes_of_links(tree):
        yield Fault(location, "links without link-layer addresses need dataplane.kind: kernel")


def _nodes_of_links(tree: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """The nodes of links without link-layer addresses."""
    for name, link in _mapping(tree.get("access_links")).items():
        mn_id = _mapping(link).get("mn_id")
        if isinstance(mn_id, str):
            yield ("access_links", name, "mn_id"), mn_id
