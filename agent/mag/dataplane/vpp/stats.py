"""Counters from VPP's stats segment: shared memory, read without asking VPP."""

import asyncio
import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from vpp_papi.vpp_stats import VPPStats

from mag.dataplane.base import DROP_REASONS, DataplaneError

DEFAULT_STATS_SOCKET: Final = "/run/vpp/stats.sock"
READ_TIMEOUT_S: Final = 2.0

UPLINK_NODES: Final = ("mag-uplink-ip6", "mag-uplink-multicast-ip6")
DOWNLINK_NODES: Final = ("mag-downlink-ip6", "mag-downlink-hand-off-ip6", "mag-mobility-ip6")
PLUGIN_NODES: Final = UPLINK_NODES + DOWNLINK_NODES

_COUNTERS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "unknown_source": ("unknown_source", "wrong_access_link", "wrong_link_layer_address"),
    **{reason: (reason,) for reason in DROP_REASONS if reason != "unknown_source"},
}
"""By reason of ours, the plugin's own, which are finer."""
PUNT_NODES: Final = ("ip6-udp-punt-socket", "ip6-icmp-punt-socket", "ip6-proto-punt-socket")
PUNT_LOSS: Final = "Socket TX error"


class StatsSegment:
    """The stats segment of one VPP; after its restart, `open` again."""

    def __init__(self, stats_socket: str = DEFAULT_STATS_SOCKET) -> None:
        self._path = stats_socket
        self._stats: Any = None

    def open(self) -> None:
        """Map the segment. Raises DataplaneError."""
        self.close()
        if not Path(self._path).exists():
            reason = "there is no such socket: VPP does not run, or its statseg is elsewhere"
            raise DataplaneError("read counters", reason, target=self._path)
        stats = VPPStats(self._path)
        with self._reading():
            stats.connect()
        self._stats = stats

    def close(self) -> None:
        """Let go of the segment."""
        if self._stats is not None:
            self._stats.disconnect()
            self._stats = None

    async def drops(self) -> dict[str, int]:
        """Packets by reason of DROP_REASONS since VPP started. Raises DataplaneError."""
        return {
            reason: await self.errors(PLUGIN_NODES, names) for reason, names in _COUNTERS_OF.items()
        }

    async def punt_losses(self) -> int:
        """Punted packets that found the agent's socket full. Raises DataplaneError."""
        return await self.errors(PUNT_NODES, (PUNT_LOSS,))

    async def errors(self, nodes: Collection[str], names: Collection[str]) -> int:
        """Sum of these error counters over these graph nodes and all workers.

        Counters that VPP does not have count 0. Raises DataplaneError.
        """
        # In a thread: the reader spins while VPP writes, for ever if VPP died in between.
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                return await asyncio.to_thread(self._sum, nodes, names)
        except TimeoutError:
            raise DataplaneError("read counters", "no answer", target=self._path) from None

    def _sum(self, nodes: Collection[str], names: Collection[str]) -> int:
        if self._stats is None:
            raise DataplaneError("read counters", "not open", target=self._path)
        with self._reading():
            return sum(
                self._stats.get_err_counter(path)
                for node in nodes
                for name in names
                if (path := f"/err/{node}/{name}") in self._directory()
            )

    def _directory(self) -> Collection[str]:
        if self._stats.last_epoch != self._stats.epoch:
            self._stats.refresh()
        directory: Collection[str] = self._stats.directory
        return directory

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, IndexError) as error:
            # No descriptor came: VPP did not accept the connection in time.
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise DataplaneError("read counters", reason, target=self._path) from error
