"""Building Proxy Binding Updates from entries (RFC 5213 §6.9.1.5)."""

from ipaddress import IPv6Network
from typing import Final

from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.settings import ProtocolSettings
from mag.wire.binding import ProxyBindingUpdate
from mag.wire.iana import BindingUpdateFlag
from mag.wire.options import (
    AccessTechnologyTypeOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
    TimestampOption,
)

ALL_ZERO_PREFIX: Final = IPv6Network("::/0")
"""Asks the LMA to assign; its length is not defined and sent as 0 (INT-02)."""

_FLAGS: Final = BindingUpdateFlag.ACKNOWLEDGE | BindingUpdateFlag.PROXY_REGISTRATION


def build_proxy_binding_update(
    entry: BindingUpdateListEntry,
    settings: ProtocolSettings,
    *,
    sequence: int,
    timestamp_ticks: int,
) -> ProxyBindingUpdate:
    """The PBU for the entry's current request; one option set for all three kinds.

    RFC 5213 §6.9.1.3 and §6.9.1.4 want refresh and de-registration to carry what the initial
    PBU carried; only Handoff Indicator, lifetime and prefix values differ.
    """
    flags = _FLAGS
    if settings.home_registration_flag:
        flags |= BindingUpdateFlag.HOME_REGISTRATION
    return ProxyBindingUpdate(
        sequence=sequence,
        lifetime_s=entry.request.lifetime_s,
        options=_options(entry, timestamp_ticks),
        flags=flags,
    )


def _options(entry: BindingUpdateListEntry, timestamp_ticks: int) -> tuple[MobilityOption, ...]:
    prefixes = entry.home_network_prefixes or entry.requested_prefixes or (ALL_ZERO_PREFIX,)
    options: list[MobilityOption] = [
        MobileNodeIdentifierOption(entry.mn_id),
        *map(HomeNetworkPrefixOption, prefixes),
        HandoffIndicatorOption(entry.request.handoff_indicator),
        AccessTechnologyTypeOption(entry.attachment.access_technology_type),
        TimestampOption(timestamp_ticks),
    ]
    link_layer_id = entry.attachment.mn_link_layer_id
    if any(link_layer_id):  # §6.9.1.1(7): absent when unknown or ALL_ZERO
        options.append(MobileNodeLinkLayerIdentifierOption(link_layer_id))
    return tuple(options)
