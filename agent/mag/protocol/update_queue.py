"""Which Proxy Binding Updates wait to go out, and when they may (RFC 6275 §11.8, INT-08).

Two limits: of each session, so that no node makes us a nuisance; of each LMA, so that all of them
together are not. Nothing is lost to either, and numbers are given when a PBU leaves.
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address

from mag.protocol.binding_timers import BindingTimers
from mag.protocol.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.registration import BindingTimer
from mag.protocol.request import RequestKind
from mag.protocol.settings import MAX_UPDATE_RATE_PER_S


class UpdateQueue:
    """Bindings whose PBU is to go out, each once."""

    def __init__(
        self,
        binding_update_list: BindingUpdateList,
        peers: Mapping[IPv6Address, LmaPeer],
        timers: BindingTimers,
    ) -> None:
        self._list = binding_update_list
        self._peers = peers
        self._timers = timers

    def add(self, entry: BindingUpdateListEntry, now: float) -> None:
        """Queue the entry's PBU, or wait for the rate limit of its session.

        One that waits already keeps its place: what it will say is seen when it leaves.
        """
        if len(entry.send_times) == MAX_UPDATE_RATE_PER_S:
            permitted_at = entry.send_times[0] + 1.0
            if permitted_at > now:
                self._timers.set(entry, BindingTimer.PERMISSION_TO_SEND, permitted_at)
                return
        self._timers.cancel(entry, BindingTimer.PERMISSION_TO_SEND)
        self.permit(entry)

    def permit(self, entry: BindingUpdateListEntry) -> None:
        """The rate limit of its session lets the entry's PBU go; that of the LMA is next."""
        is_urgent = entry.request.kind is not RequestKind.REFRESH
        self._peers[entry.lma_address].updates.add(entry.binding_id, is_urgent=is_urgent)

    def remove(self, entry: BindingUpdateListEntry) -> None:
        """The entry's PBU is not to go out any more; one that does not wait is no error."""
        self._timers.cancel(entry, BindingTimer.PERMISSION_TO_SEND)
        self._peers[entry.lma_address].updates.remove(entry.binding_id)

    def take(self, now: float) -> Iterator[BindingUpdateListEntry]:
        """Those that may go now; each is out of the queue when it is given."""
        for peer in list(self._peers.values()):
            for binding_id in peer.updates.take(now):
                if entry := self._list.by_id(binding_id):
                    yield entry

    def get_timer(self) -> float | None:
        """When the next one may go; None if none has to wait."""
        deadlines = (peer.updates.get_timer() for peer in self._peers.values())
        return min((each for each in deadlines if each is not None), default=None)
