"""What a MAG may not put into a Proxy Binding Update (RFC 5213 §6.9.1).

Values only: which options a request needs is known to whoever composes it.
"""

from collections.abc import Callable, Mapping
from functools import cache
from ipaddress import IPv6Address
from typing import Any, Final

from mag.wire.iana import AccessTechnologyType, BindingUpdateFlag, HandoffIndicator
from mag.wire.options import (
    AccessTechnologyTypeOption,
    AlternateCareOfAddressOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
)

_REQUIRED_FLAGS: Final = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.PROXY_REGISTRATION


def check_sendable(
    flags: BindingUpdateFlag, lifetime_s: int, options: tuple[MobilityOption, ...]
) -> None:
    """Raise ValueError naming the first thing in the message that a MAG may not send."""
    if not _has_required(flags):
        raise ValueError("a Proxy Binding Update has the flags A and P (RFC 5213 §6.9.1.5)")
    for option in options:
        check = _CHECKS.get(type(option))
        if check is not None:
            check(option)
    _check_prefixes([option for option in options if type(option) is HomeNetworkPrefixOption])
    if lifetime_s == 0:
        _check_deregistration(options)


@cache  # flags are few, and `&` of two of them is slow: it looks up a third
def _has_required(flags: BindingUpdateFlag) -> bool:
    return flags & _REQUIRED_FLAGS == _REQUIRED_FLAGS


def _check_prefixes(prefixes: list[HomeNetworkPrefixOption]) -> None:
    if len(prefixes) > 1 and any(option.is_all_zero for option in prefixes):
        raise ValueError("an ALL_ZERO home network prefix stands alone (RFC 5213 §6.9.1.1)")


def _check_deregistration(options: tuple[MobilityOption, ...]) -> None:
    for option in options:
        if (
            type(option) is HandoffIndicatorOption
            and option.handoff_indicator != HandoffIndicator.UNKNOWN
        ):
            raise ValueError("a de-registration has Handoff Indicator 4 (RFC 5213 §6.9.1.4)")


def _check_identifier(option: MobileNodeIdentifierOption) -> None:
    if not option.identifier:
        raise ValueError("the MN-Identifier is empty (RFC 5213 §6.9.1.5)")


def _check_handoff_indicator(option: HandoffIndicatorOption) -> None:
    if option.handoff_indicator == HandoffIndicator.RESERVED:
        raise ValueError("Handoff Indicator 0 is reserved (RFC 5213 §8.4)")


def _check_access_technology(option: AccessTechnologyTypeOption) -> None:
    if option.access_technology_type == AccessTechnologyType.RESERVED:
        raise ValueError("Access Technology Type 0 is reserved (RFC 5213 §8.5)")


def _check_link_layer_identifier(option: MobileNodeLinkLayerIdentifierOption) -> None:
    if not any(option.identifier):
        raise ValueError("an unknown link-layer identifier is left out (RFC 5213 §6.9.1.1)")


def _check_link_local_address(option: LinkLocalAddressOption) -> None:
    if not (option.address.is_link_local or option.address.is_unspecified):
        raise ValueError(f"{option.address} is not link-local (RFC 5213 §8.7)")


def _check_care_of_address(option: AlternateCareOfAddressOption) -> None:
    if not _is_unicast_routable(option.address):
        raise ValueError(f"{option.address} is no unicast routable address (RFC 6275 §6.1.7)")


def _is_unicast_routable(address: IPv6Address) -> bool:
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
    )


_CHECKS: Final[Mapping[type[MobilityOption], Callable[[Any], None]]] = {
    MobileNodeIdentifierOption: _check_identifier,
    HandoffIndicatorOption: _check_handoff_indicator,
    AccessTechnologyTypeOption: _check_access_technology,
    MobileNodeLinkLayerIdentifierOption: _check_link_layer_identifier,
    LinkLocalAddressOption: _check_link_local_address,
    AlternateCareOfAddressOption: _check_care_of_address,
}
