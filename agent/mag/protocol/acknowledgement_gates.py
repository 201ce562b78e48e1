"""Which Proxy Binding Acknowledgements count, and for which request (RFC 5213 §6.9.1.2)."""

from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final

from mag.protocol.acknowledgement import (
    are_excused,
    discard_reason_without_match,
    echo_faults,
    find_out_of_window,
    find_request,
    is_proven_answer,
    timestamp_faults,
    without_padding,
)
from mag.protocol.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from mag.protocol.events import DiscardReason, Event, OptionReportedMissing
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.quirk_use import note_quirks
from mag.protocol.replies import Replies
from mag.protocol.request import OutstandingRequest
from mag.protocol.service import snapshot
from mag.protocol.status_reaction import MISSING_OPTION_STATUSES
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.iana import status_name
from mag.wire.options import MobileNodeIdentifierOption

NOT_ECHOED: Final = "the LMA's reply did not echo the options of the request"


class AcknowledgementGates:
    """Holds each PBA against what was asked; what passes is handed on."""

    def __init__(
        self,
        binding_update_list: BindingUpdateList,
        replies: Replies,
        *,
        is_by_timestamp: bool,
        emit: Callable[[Event], None],
        discard: Callable[[DiscardReason, IPv6Address], None],
    ) -> None:
        """discard: called with why a PBA does not count, and who sent it."""
        self._list = binding_update_list
        self._replies = replies
        self._is_by_timestamp = is_by_timestamp
        self._emit = emit
        self._discard = discard

    def receive(
        self, acknowledgement: ProxyBindingAcknowledgement, peer: LmaPeer, now: float
    ) -> None:
        """The gates of §6.9.1.2 in their order; whatever passes none of them is discarded."""
        if not acknowledgement.is_proxy:
            self._discard(DiscardReason.NOT_PROXY, peer.address)
            return
        quirks = peer.settings.quirks
        entries = self._entries_named(acknowledgement, peer)
        if not self._is_by_timestamp and (
            refused := find_out_of_window(acknowledgement, entries, quirks)
        ):
            self._replies.go_on_from(*refused, acknowledgement.sequence, now)
            return
        found = find_request(acknowledgement, entries) or self._sender_of(acknowledgement, peer)
        if found is None:
            self._discard(discard_reason_without_match(acknowledgement, entries), peer.address)
            return
        late = timestamp_faults(acknowledgement, found[1])
        if not are_excused(late, quirks):
            self._discard(DiscardReason.TIMESTAMP_MISMATCHED, peer.address)
            return
        faults = echo_faults(acknowledgement, *found)
        is_option_missed = acknowledgement.status in MISSING_OPTION_STATUSES
        if is_option_missed:  # the LMA misses what every PBU has (INT-04)
            self._emit(OptionReportedMissing(snapshot(found[0]), acknowledgement.status))
        if are_excused(faults, quirks):
            note_quirks(peer, (*late, *faults), self._emit)
            self._replies.complete(*found, acknowledgement, now)
        elif is_option_missed:
            self._discard(DiscardReason.OPTION_REPORTED_MISSING, peer.address)
            self._replies.silence(found[0], status_name(acknowledgement.status), now)
        else:
            self._discard(DiscardReason.ECHO_MISMATCHED, peer.address)
            self._replies.silence(found[0], NOT_ECHOED, now)

    def _entries_named(
        self, acknowledgement: ProxyBindingAcknowledgement, peer: LmaPeer
    ) -> tuple[BindingUpdateListEntry, ...]:
        """The bindings with this LMA of the node that the PBA names."""
        option = acknowledgement.first(MobileNodeIdentifierOption)
        if option is None:
            return ()
        named = self._list.by_mn_id(option.identifier)
        if not named and peer.settings.quirks.padded_mn_identifier:
            named = self._list.by_mn_id(without_padding(option.identifier))
        return tuple(entry for entry in named if entry.lma_address == peer.address)

    def _sender_of(
        self, acknowledgement: ProxyBindingAcknowledgement, peer: LmaPeer
    ) -> tuple[BindingUpdateListEntry, OutstandingRequest] | None:
        """The request that a PBA answers although it names another node, or none (§6.9.1.2(6))."""
        entry = self._list.by_id(peer.senders.get(acknowledgement.sequence, 0))
        found = find_request(acknowledgement, (entry,)) if entry is not None else None
        return found if found and is_proven_answer(acknowledgement, found[1]) else None
