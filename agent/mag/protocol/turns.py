"""Spreads what is to be done with many bindings over time, at a pace that their LMAs can bear."""

from collections import Counter
from collections.abc import Mapping
from ipaddress import IPv6Address

from mag.protocol.lma_peer import LmaPeer


class Turns:
    """One after the other with each LMA, as many a second as it takes (INT-08)."""

    def __init__(self, peers: Mapping[IPv6Address, LmaPeer]) -> None:
        self._peers = peers
        self._taken: Counter[IPv6Address] = Counter()

    def next_s(self, lma_address: IPv6Address) -> float:
        """How many seconds from now the next binding with this LMA has its turn."""
        number = self._taken[lma_address]
        self._taken[lma_address] += 1
        return number / self._peers[lma_address].settings.updates_per_s
