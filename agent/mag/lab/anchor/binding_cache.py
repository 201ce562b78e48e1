"""The LMA's Binding Cache (RFC 5213 §5.1)."""

from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network

from mag.frozen import frozen


@frozen
class BindingCacheEntry:
    """One mobility session."""

    session: int
    """Ours, never reused."""
    mn_id: bytes
    home_network_prefixes: tuple[IPv6Network, ...]
    proxy_care_of_address: IPv6Address
    access_technology_type: int
    mn_link_layer_id: bytes
    lifetime_s: int
    link_local_address: IPv6Address
    """The gateway's on the node's link; `::` where the domain has a fixed one."""
    sequence: int
    """Of the last accepted request."""
    timestamp_ticks: int | None
    """Of the last accepted request; None in the sequence number scheme."""
    is_deregistered: bool = False
    """Accepted de-registration; deleted after MinDelayBeforeBCEDelete (§5.3.5)."""


class BindingCache:
    """Entries by session, by mobile node and by prefix."""

    def __init__(self) -> None:
        self._entries: dict[int, BindingCacheEntry] = {}
        self._sessions_of_node: dict[bytes, list[int]] = {}
        self._session_of_prefix: dict[IPv6Network, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[BindingCacheEntry]:
        return iter(self._entries.values())

    def put(self, entry: BindingCacheEntry) -> None:
        """Add an entry, or replace the one of the same session."""
        if entry.session in self._entries:
            self.remove(entry.session)
        self._entries[entry.session] = entry
        self._sessions_of_node.setdefault(entry.mn_id, []).append(entry.session)
        for prefix in entry.home_network_prefixes:
            self._session_of_prefix[prefix] = entry.session

    def remove(self, session: int) -> BindingCacheEntry:
        """Take an entry out; KeyError if there is none."""
        entry = self._entries.pop(session)
        sessions = self._sessions_of_node[entry.mn_id]
        sessions.remove(session)
        if not sessions:
            del self._sessions_of_node[entry.mn_id]
        for prefix in entry.home_network_prefixes:
            del self._session_of_prefix[prefix]
        return entry

    def get(self, session: int) -> BindingCacheEntry:
        """The entry of a session; KeyError if there is none."""
        return self._entries[session]

    def of_node(self, mn_id: bytes) -> tuple[BindingCacheEntry, ...]:
        """All sessions of a mobile node, oldest first."""
        return tuple(self._entries[s] for s in self._sessions_of_node.get(mn_id, ()))

    def with_prefix(self, prefix: IPv6Network) -> BindingCacheEntry | None:
        """The session that has this home network prefix."""
        session = self._session_of_prefix.get(prefix)
        return None if session is None else self._entries[session]
