"""Which Proxy Binding Updates wait to go out, and when they may (RFC 6275 §11.8)."""

from mag.protocol.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from mag.protocol.registration import BindingTimer
from mag.protocol.settings import MAX_UPDATE_RATE_PER_S
from mag.protocol.timer_queue import TimerQueue


class UpdateQueue:
    """Bindings whose PBU is to go out, in order, each once."""

    def __init__(
        self, binding_update_list: BindingUpdateList, timers: TimerQueue[tuple[int, BindingTimer]]
    ) -> None:
        self._list = binding_update_list
        self._timers = timers
        self._waiting: dict[int, None] = {}

    def add(self, entry: BindingUpdateListEntry, now: float) -> None:
        """Queue the entry's PBU, or wait for the rate limit of its session (INT-08)."""
        if len(entry.send_times) == MAX_UPDATE_RATE_PER_S:
            permitted_at = entry.send_times[0] + 1.0
            if permitted_at > now:
                key = (entry.binding_id, BindingTimer.PERMISSION_TO_SEND)
                self._timers.set(key, permitted_at)
                return
        self.permit(entry)

    def permit(self, entry: BindingUpdateListEntry) -> None:
        """The rate limit of its session lets the entry's PBU go."""
        self._waiting[entry.binding_id] = None

    def remove(self, entry: BindingUpdateListEntry) -> None:
        """The entry's PBU is not to go out any more; one that does not wait is no error."""
        self._timers.cancel((entry.binding_id, BindingTimer.PERMISSION_TO_SEND))
        self._waiting.pop(entry.binding_id, None)

    def take(self) -> list[BindingUpdateListEntry]:
        """Those whose turn it is; they are no longer in the queue."""
        waiting, self._waiting = self._waiting, {}
        entries = map(self._list.by_id, waiting)
        return [entry for entry in entries if entry is not None]
