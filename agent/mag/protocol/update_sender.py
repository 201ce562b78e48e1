"""Building Proxy Binding Updates at the moment they leave, and what is kept of each (§6.9.4)."""

from collections.abc import Callable, Mapping
from ipaddress import IPv6Address

from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.events import Event, ProxyBindingUpdateSent
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.number_series import NumberSeries
from mag.protocol.outgoing_message import OutgoingMessage
from mag.protocol.proxy_binding_update import build_proxy_binding_update
from mag.protocol.quirk_use import note_quirks
from mag.protocol.request import OutstandingRequest
from mag.protocol.service import snapshot
from mag.protocol.settings import MAX_UPDATE_RATE_PER_S, ProtocolSettings
from mag.protocol.unstored_changes import UnstoredChanges
from mag.wire import mobility_header


class UpdateSender:
    """Makes the message of a binding's current request."""

    def __init__(
        self,
        settings: ProtocolSettings,
        *,
        peers: Mapping[IPv6Address, LmaPeer],
        numbers: NumberSeries,
        unstored: UnstoredChanges,
        emit: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self._peers = peers
        self._numbers = numbers
        self._unstored = unstored
        self._emit = emit

    def reconfigure(self, settings: ProtocolSettings) -> None:
        """Use these from the next message on."""
        self._settings = settings

    def send(self, entry: BindingUpdateListEntry, now: float, utc: float) -> OutgoingMessage:
        """The entry's next PBU, numbered and timestamped at this moment.

        Raises ValueError for a request that fits into no message.
        """
        sequence, ticks = self._numbers.next(entry, utc)
        is_given = self._settings.has_link_local_addresses_from_lma
        router = entry.gateway_link_local_address if is_given else None
        peer = self._peers[entry.lma_address]
        update = build_proxy_binding_update(
            entry,
            peer.settings.quirks,
            sequence=sequence,
            timestamp_ticks=ticks,
            link_local_address=router,
            on_quirk=lambda quirk: note_quirks(peer, (quirk,), self._emit),
        )
        ours = self._settings.proxy_care_of_address
        data = mobility_header.encode(update, ours, entry.lma_address)
        if ticks is not None:
            self._numbers.reserve(sequence, ticks)
        elif self._numbers.reserve_of_session(entry, sequence):
            self._unstored.note(entry)
        self._note_sent(
            entry,
            peer,
            OutstandingRequest(sequence, ticks, now, entry.request, entry.attachment, router),
        )
        return OutgoingMessage(data, ours, entry.lma_address)

    def _note_sent(
        self, entry: BindingUpdateListEntry, peer: LmaPeer, outstanding: OutstandingRequest
    ) -> None:
        entry.attempts += 1
        if not entry.outstanding and entry.last_sequence is not None:
            entry.settled = (*entry.settled, entry.last_sequence)
        entry.last_sequence = outstanding.sequence
        kept = self._settings.max_outstanding_requests
        entry.outstanding = (*entry.outstanding, outstanding)[-kept:]
        entry.send_times = (*entry.send_times, outstanding.sent_at)[-MAX_UPDATE_RATE_PER_S:]
        kind = entry.request.kind
        peer.senders[outstanding.sequence] = entry.binding_id
        (peer.sent if entry.attempts == 1 else peer.retransmitted)[kind] += 1
        self._emit(
            ProxyBindingUpdateSent(snapshot(entry), kind, outstanding.sequence, entry.attempts)
        )
