"""hypothesis strategies for everything the codec can say."""

from ipaddress import IPv6Address, IPv6Network
from typing import Final

from hypothesis import strategies as st

from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.binding_error import BindingError
from mag.wire.binding_refresh_request import BindingRefreshRequest
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import (
    BindingAcknowledgementFlag,
    BindingUpdateFlag,
    HandoffIndicator,
    HeartbeatFlag,
    MobilityOptionType,
)
from mag.wire.mobility_header import MobilityMessage
from mag.wire.neighbor_discovery import (
    PrefixInformation,
    RecursiveDnsServers,
    RouterAdvertisement,
)
from mag.wire.options import (
    AccessTechnologyTypeOption,
    AlternateCareOfAddressOption,
    BindingRefreshAdviceOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
    RestartCounterOption,
    TimestampOption,
    UnknownOption,
    VendorSpecificOption,
)

_LINK_LOCAL: Final = int(IPv6Address("fe80::"))
_GLOBAL: Final = int(IPv6Address("2001:db8::"))
_KNOWN_TYPES: Final = frozenset(MobilityOptionType)


def octets(bits: int) -> st.SearchStrategy[int]:
    """Any unsigned number of that many bits."""
    return st.integers(0, 2**bits - 1)


addresses = octets(128).map(IPv6Address)
link_local_addresses = octets(64).map(lambda iid: IPv6Address(_LINK_LOCAL | iid))
global_addresses = octets(96).map(lambda rest: IPv6Address(_GLOBAL | rest))
networks = st.builds(
    lambda address, length: IPv6Network((address, length), strict=False),
    octets(128),
    st.integers(0, 128),
)
assigned_prefixes = st.builds(
    lambda address, length: IPv6Network((address, length), strict=False),
    global_addresses.map(int),
    st.integers(32, 128),
)
lifetimes_s = octets(16).map(lambda units: units * 4)
short_data = st.binary(max_size=40)

_vendor_options = st.builds(VendorSpecificOption, octets(32), octets(8), short_data)
_unknown_options = st.builds(
    UnknownOption, octets(8).filter(lambda value: value not in _KNOWN_TYPES), short_data
)


def _option_sets(*once: st.SearchStrategy[MobilityOption], prefixes, repeatable):
    """Some of the options of `once`, prefixes and repeatable options, in any order."""
    optional = st.tuples(*(st.one_of(st.none(), strategy) for strategy in once))
    return st.builds(
        lambda some, several, more: [o for o in some if o is not None] + several + more,
        optional,
        prefixes.map(list),
        st.lists(repeatable, max_size=3),
    ).flatmap(lambda options: st.permutations(options).map(tuple))


option_sets = _option_sets(
    st.builds(MobileNodeIdentifierOption, st.binary(max_size=60), octets(8)),
    octets(8).map(HandoffIndicatorOption),
    octets(8).map(AccessTechnologyTypeOption),
    st.builds(MobileNodeLinkLayerIdentifierOption, short_data),
    addresses.map(LinkLocalAddressOption),
    octets(64).map(TimestampOption),
    lifetimes_s.map(BindingRefreshAdviceOption),
    addresses.map(AlternateCareOfAddressOption),
    prefixes=st.lists(networks.map(HomeNetworkPrefixOption.of), max_size=3),
    repeatable=_vendor_options | _unknown_options,
)
"""What may stand in a message that no rule of sending applies to."""

_requested_prefixes = st.one_of(
    st.just([HomeNetworkPrefixOption.of(IPv6Network("::/0"))]),
    st.lists(assigned_prefixes.map(HomeNetworkPrefixOption.of), max_size=3),
)


def _update_option_sets(handoff_indicators: st.SearchStrategy[int]):
    """What a MAG may put into a Proxy Binding Update."""
    return _option_sets(
        st.builds(MobileNodeIdentifierOption, st.binary(min_size=1, max_size=60)),
        handoff_indicators.map(HandoffIndicatorOption),
        st.integers(1, 255).map(AccessTechnologyTypeOption),
        short_data.filter(any).map(MobileNodeLinkLayerIdentifierOption),
        st.one_of(st.just(IPv6Address("::")), link_local_addresses).map(LinkLocalAddressOption),
        octets(64).map(TimestampOption),
        global_addresses.map(AlternateCareOfAddressOption),
        prefixes=_requested_prefixes,
        repeatable=_vendor_options | _unknown_options,
    )


_update_flags = st.sets(st.sampled_from(list(BindingUpdateFlag))).map(
    lambda flags: BindingUpdateFlag(
        sum(flags | {BindingUpdateFlag.ACKNOWLEDGE, BindingUpdateFlag.PROXY_REGISTRATION})
    )
)
_acknowledgement_flags = st.sets(st.sampled_from(list(BindingAcknowledgementFlag))).map(
    lambda flags: BindingAcknowledgementFlag(
        sum(flags | {BindingAcknowledgementFlag.PROXY_REGISTRATION})
    )
)

registrations = st.builds(
    ProxyBindingUpdate,
    octets(16),
    lifetimes_s.filter(bool),
    _update_option_sets(st.integers(1, 255)),
    _update_flags,
)
deregistrations = st.builds(
    ProxyBindingUpdate,
    octets(16),
    st.just(0),
    _update_option_sets(st.just(HandoffIndicator.UNKNOWN)),
    _update_flags,
)
updates = registrations | deregistrations
acknowledgements = st.builds(
    ProxyBindingAcknowledgement,
    octets(8),
    octets(16),
    lifetimes_s,
    option_sets,
    _acknowledgement_flags,
)
messages: st.SearchStrategy[MobilityMessage] = st.one_of(
    updates,
    acknowledgements,
    st.builds(BindingError, octets(8), addresses),
    st.builds(BindingRefreshRequest, option_sets),
    st.builds(
        Heartbeat,
        octets(32),
        st.sets(st.sampled_from(list(HeartbeatFlag))).map(lambda flags: HeartbeatFlag(sum(flags))),
        st.just(()) | octets(32).map(lambda counter: (RestartCounterOption(counter),)),
    ),
)

prefix_informations = st.builds(
    lambda prefix, lifetimes, on_link, autonomous: PrefixInformation(
        prefix, max(lifetimes), min(lifetimes), on_link, autonomous
    ),
    networks,
    st.tuples(octets(32), octets(32)),
    st.booleans(),
    st.booleans(),
)
router_advertisements = st.builds(
    RouterAdvertisement,
    cur_hop_limit=octets(8),
    router_lifetime_s=octets(16),
    reachable_time_ms=octets(32),
    retrans_timer_ms=octets(32),
    prefixes=st.lists(prefix_informations, max_size=4).map(tuple),
    source_link_layer_address=st.none() | st.binary(min_size=6, max_size=6),
    mtu=st.none() | st.integers(1280, 2**32 - 1),
    managed=st.booleans(),
    other=st.booleans(),
    recursive_dns_servers=st.none()
    | st.builds(
        RecursiveDnsServers,
        octets(32),
        st.lists(addresses, min_size=1, max_size=3).map(tuple),
    ),
)
