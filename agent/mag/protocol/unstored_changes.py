"""Which bindings have something new that must outlast the gateway."""

from mag.protocol.binding_update_list import BindingUpdateList, BindingUpdateListEntry
from mag.protocol.stored_binding import StoredBinding, stored


class UnstoredChanges:
    """Bindings that changed since they were last handed out to be stored, each once."""

    def __init__(self, binding_update_list: BindingUpdateList) -> None:
        self._list = binding_update_list
        self._ids: dict[int, None] = {}

    def note(self, entry: BindingUpdateListEntry) -> None:
        """What is stored of this entry is no longer how it is."""
        self._ids[entry.binding_id] = None

    def take(self, now: float, utc: float) -> dict[int, StoredBinding | None]:
        """Those noted since the last call, by binding id; None: gone."""
        ids, self._ids = self._ids, {}
        bindings: dict[int, StoredBinding | None] = {}
        for binding_id in ids:
            entry = self._list.by_id(binding_id)
            bindings[binding_id] = None if entry is None else stored(entry, now, utc)
        return bindings
