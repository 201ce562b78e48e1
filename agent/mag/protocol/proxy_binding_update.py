"""Building Proxy Binding Updates from entries (RFC 5213 §6.9.1.5)."""

from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final

from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.lma_settings import LmaQuirks
from mag.wire.binding import ProxyBindingUpdate
from mag.wire.iana import BindingUpdateFlag
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

_FLAGS: Final = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.PROXY_REGISTRATION
_HOME_FLAGS: Final = _FLAGS | BindingUpdateFlag.HOME_REGISTRATION
_ALL_ZERO: Final = tuple((HomeNetworkPrefixOption(0, length),) for length in range(129))
"""By prefix length; all mean the same."""


def build_proxy_binding_update(
    entry: BindingUpdateListEntry,
    quirks: LmaQuirks,
    *,
    sequence: int,
    timestamp_ticks: int | None,
    link_local_address: IPv6Address | None,
    on_quirk: Callable[[str], None],
) -> ProxyBindingUpdate:
    """The PBU for the entry's current request; one option set for all three kinds.

    RFC 5213 §6.9.1.3 and §6.9.1.4 want refresh and de-registration to carry what the initial
    PBU carried; only Handoff Indicator, lifetime and prefix values differ.
    timestamp_ticks: None leaves the option out (RFC 5213 §6.9.1.1(6)).
    link_local_address: ours on the node's link, `::` asks for one; None leaves the option out
    (RFC 5213 §6.9.1.1(9)).
    on_quirk: called with the name of each quirk that changes the message.
    """
    if quirks.no_home_registration_flag:
        on_quirk("no_home_registration_flag")
    named = entry.home_network_prefixes or entry.requested_prefixes
    if named:
        prefixes = tuple(map(HomeNetworkPrefixOption.of, named))
    else:
        # Asks the LMA to assign; its length is not defined (INT-02).
        prefixes = _ALL_ZERO[quirks.all_zero_prefix_length]
        if quirks.all_zero_prefix_length:
            on_quirk("all_zero_prefix_length")
    options = _options(entry, prefixes, timestamp_ticks)
    if link_local_address is not None:
        options = (*options, LinkLocalAddressOption(link_local_address))
    return ProxyBindingUpdate(
        sequence=sequence,
        lifetime_s=entry.request.lifetime_s,
        options=options,
        flags=_FLAGS if quirks.no_home_registration_flag else _HOME_FLAGS,
    )


def _options(
    entry: BindingUpdateListEntry,
    prefixes: tuple[HomeNetworkPrefixOption, ...],
    timestamp_ticks: int | None,
) -> tuple[MobilityOption, ...]:
    options: list[MobilityOption] = [
        MobileNodeIdentifierOption(entry.mn_id),
        *prefixes,
        HandoffIndicatorOption(entry.request.handoff_indicator),
        AccessTechnologyTypeOption(entry.attachment.access_technology_type),
    ]
    if timestamp_ticks is not None:
        options.append(TimestampOption(timestamp_ticks))
    link_layer_id = entry.attachment.mn_link_layer_id
    if any(link_layer_id):  # §6.9.1.1(7): absent when unknown or ALL_ZERO
        options.append(MobileNodeLinkLayerIdentifierOption(link_layer_id))
    return tuple(options)
