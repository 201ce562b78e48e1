"""Judging a Proxy Binding Acknowledgement against what was asked (RFC 5213 §6.9.1.2)."""

from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from mag.frozen import frozen
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.events import DiscardReason
from mag.protocol.lma_settings import LmaQuirks
from mag.protocol.ordering import TICKS_PER_S
from mag.protocol.policy_profile import MAX_HOME_NETWORK_PREFIXES
from mag.protocol.request import OutstandingRequest
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.iana import BindingStatus
from mag.wire.options import (
    AccessTechnologyTypeOption,
    BindingRefreshAdviceOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    TimestampOption,
)

Faults = tuple[str, ...]
"""What is wrong with a reply: the name of the field of LmaQuirks that allows for it, or CHANGED."""
TIMESTAMP_VALIDITY_WINDOW_TICKS: Final = int(0.3 * TICKS_PER_S)
"""TimestampValidityWindow (RFC 5213 §9.1), by which an LMA lets clocks differ."""
CHANGED: Final = "changed"
"""Another value than was sent; no quirk allows for that."""
_SUBNET_ROUTER_ANYCAST: Final = IPv6Address("fe80::")


@frozen
class Grant:
    """What an accepting PBA gives, held against what may be taken from it."""

    home_network_prefixes: tuple[IPv6Network, ...]
    lifetime_s: int
    """Never more than was asked for (interpretation INT-19)."""
    refresh_interval_s: int | None
    """The LMA's advice to refresh earlier (RFC 6275 §6.2.4)."""
    link_local_address: IPv6Address | None = None
    """Ours on the node's link, where we have asked for it; `::` and None: the LMA has none."""

    @property
    def defect(self) -> str | None:
        """Why this is no registration although the status accepts; None if it is one."""
        if self.lifetime_s == 0:
            return "the LMA granted no lifetime"
        if not self.home_network_prefixes:
            return "the LMA granted no home network prefix"
        if len(self.home_network_prefixes) > MAX_HOME_NETWORK_PREFIXES:
            # A refresh has to name them all in one message (§6.9.1.3).
            return f"the LMA granted more than {MAX_HOME_NETWORK_PREFIXES} prefixes"
        for prefix in self.home_network_prefixes:
            if not _can_be_home_network_prefix(prefix):
                return f"the LMA granted {prefix}, which cannot be a home network prefix"
        ours = self.link_local_address
        if ours is not None and not (ours.is_unspecified or _can_be_link_local_address(ours)):
            return f"the LMA gave {ours}, which cannot be a link-local address"
        return None


def find_request(
    acknowledgement: ProxyBindingAcknowledgement, entries: Iterable[BindingUpdateListEntry]
) -> tuple[BindingUpdateListEntry, OutstandingRequest] | None:
    """The request that the sequence number answers, newest first (RFC 5213 §6.9.1.2(5))."""
    for entry in entries:
        for request in reversed(entry.outstanding):
            if request.sequence == acknowledgement.sequence:
                return entry, request
    return None


def is_proven_answer(
    acknowledgement: ProxyBindingAcknowledgement, request: OutstandingRequest
) -> bool:
    """Whether a PBA with the request's number but not its MN-Identifier is its answer all the same.

    Its timestamp or its link-layer identifier prove it; the number alone is too easily met.
    """
    timestamp = acknowledgement.first(TimestampOption)
    link_layer = acknowledgement.first(MobileNodeLinkLayerIdentifierOption)
    return (timestamp is not None and timestamp.ticks == request.timestamp_ticks) or (
        link_layer is not None and link_layer.identifier == request.attachment.mn_link_layer_id
    )


def find_out_of_window(
    acknowledgement: ProxyBindingAcknowledgement,
    entries: Iterable[BindingUpdateListEntry],
    quirks: LmaQuirks,
) -> tuple[BindingUpdateListEntry, OutstandingRequest] | None:
    """The request that a status 135 answers: its number is the LMA's last (INT-05).

    What it echoes tells which session of the node it is about.
    """
    if acknowledgement.status != BindingStatus.SEQUENCE_NUMBER_OUT_OF_WINDOW:
        return None
    for entry in entries:
        if entry.outstanding:
            request = entry.outstanding[-1]
            if are_excused(echo_faults(acknowledgement, entry, request), quirks):
                return entry, request
    return None


def timestamp_faults(
    acknowledgement: ProxyBindingAcknowledgement, request: OutstandingRequest
) -> Faults:
    """An accepting PBA returns our timestamp; a rejecting one may bring the LMA's (INT-06)."""
    if not acknowledgement.is_accepted or request.timestamp_ticks is None:
        return ()
    option = acknowledgement.first(TimestampOption)
    if option is None:
        return ("no_timestamp_echo",)
    return () if option.ticks == request.timestamp_ticks else (CHANGED,)


def shows_clocks_in_step(
    acknowledgement: ProxyBindingAcknowledgement, request: OutstandingRequest
) -> bool:
    """Whether a reply that blames our clock brings a time that is ours all the same.

    A timestamp is refused like that, too, when it equals one of another gateway (INT-07).
    """
    option = acknowledgement.first(TimestampOption)
    if option is None or request.timestamp_ticks is None:
        return False
    return abs(option.ticks - request.timestamp_ticks) <= TIMESTAMP_VALIDITY_WINDOW_TICKS


def echo_faults(
    acknowledgement: ProxyBindingAcknowledgement,
    entry: BindingUpdateListEntry,
    request: OutstandingRequest,
) -> Faults:
    """Which of identifier, handoff, access technology and link-layer id did not come back."""
    identifier = acknowledgement.first(MobileNodeIdentifierOption)
    handoff = acknowledgement.first(HandoffIndicatorOption)
    technology = acknowledgement.first(AccessTechnologyTypeOption)
    link_layer = acknowledgement.first(MobileNodeLinkLayerIdentifierOption)
    sent_link_layer_id = request.attachment.mn_link_layer_id
    if not any(sent_link_layer_id):  # §6.9.1.1(7): then it was not sent
        sent_link_layer_id = b""
    faults: list[str] = []
    if identifier is None:
        faults.append(CHANGED)
    elif identifier.identifier != entry.mn_id:
        is_padded = without_padding(identifier.identifier) == entry.mn_id
        faults.append("padded_mn_identifier" if is_padded else CHANGED)
    if handoff is None:
        faults.append("no_handoff_indicator_echo")
    elif handoff.handoff_indicator != request.request.handoff_indicator:
        faults.append(CHANGED)
    if technology is None:
        faults.append("no_access_technology_type_echo")
    elif technology.access_technology_type != request.attachment.access_technology_type:
        faults.append(CHANGED)
    if link_layer is None:
        if sent_link_layer_id:
            faults.append("no_link_layer_identifier_echo")
    elif link_layer.identifier != sent_link_layer_id:
        faults.append(CHANGED)
    return tuple(faults)


def are_excused(faults: Faults, quirks: LmaQuirks) -> bool:
    """Whether the LMA's quirks allow for every one of them."""
    return all(getattr(quirks, fault, False) for fault in faults)


def without_padding(identifier: bytes) -> bytes:
    """The identifier without zero octets behind it; a Network Access Identifier has none."""
    return identifier.rstrip(b"\0")


def read_grant(acknowledgement: ProxyBindingAcknowledgement, request: OutstandingRequest) -> Grant:
    """What an accepting PBA gives for this request."""
    advice = acknowledgement.first(BindingRefreshAdviceOption)
    link_local = acknowledgement.first(LinkLocalAddressOption)
    is_asked_for = request.link_local_address is not None
    options = dict.fromkeys(acknowledgement.all(HomeNetworkPrefixOption))
    return Grant(
        home_network_prefixes=tuple(option.prefix for option in options),
        # Of two that are equal that of the request: all bindings share it.
        lifetime_s=min(request.request.lifetime_s, acknowledgement.lifetime_s),
        refresh_interval_s=advice.refresh_interval_s if advice else None,
        link_local_address=link_local.address if link_local and is_asked_for else None,
    )


def discard_reason_without_match(
    acknowledgement: ProxyBindingAcknowledgement, entries: tuple[BindingUpdateListEntry, ...]
) -> DiscardReason:
    """Why a PBA that answers nothing answers nothing."""
    identifier = acknowledgement.first(MobileNodeIdentifierOption)
    if identifier is None or not identifier.identifier:
        return DiscardReason.MISSING_MN_IDENTIFIER
    if not entries:
        return DiscardReason.NO_BINDING
    if any(entry.is_settled(acknowledgement.sequence) for entry in entries):
        return DiscardReason.LATE
    return DiscardReason.UNMATCHED


def _can_be_home_network_prefix(prefix: IPv6Network) -> bool:
    """A prefix whose traffic may be routed to a node: unicast, routable, not everything."""
    address = prefix.network_address
    return prefix.prefixlen > 0 and not (
        address.is_multicast
        or address.is_link_local
        or address.is_loopback
        or address.is_unspecified
    )


def _can_be_link_local_address(address: IPv6Address) -> bool:
    """Of fe80::/10, and not its Subnet-Router anycast address (RFC 4291 §2.5.6, §2.6.1)."""
    return address.is_link_local and address != _SUBNET_ROUTER_ANYCAST
