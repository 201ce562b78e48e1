"""Where home network prefixes come from, and who may have which (RFC 5213 §5.3.2)."""

from collections import deque
from collections.abc import Iterator
from ipaddress import IPv6Network
from typing import Final

from mag.lab.anchor.binding_cache import BindingCache
from mag.lab.anchor.registration_request import RegistrationRequest
from mag.lab.anchor.settings import AnchorSettings
from mag.wire.iana import BindingStatus

HOME_NETWORK_PREFIX_LENGTH: Final = 64


class PrefixPool:
    """Hands out the /64s of a prefix in order; what came back is used again last of all."""

    def __init__(self, pool: IPv6Network) -> None:
        self._pool = pool
        self._fresh = pool.subnets(new_prefix=HOME_NETWORK_PREFIX_LENGTH)
        self._taken: set[IPv6Network] = set()
        self._returned: deque[IPv6Network] = deque()

    def take(self) -> IPv6Network | None:
        """A prefix that nobody has; None when there is none."""
        prefix = next(self._unused(), None)
        if prefix is not None:
            self._taken.add(prefix)
        return prefix

    def _unused(self) -> Iterator[IPv6Network]:
        # Both may hold prefixes that somebody has claimed by name since.
        yield from (prefix for prefix in self._fresh if prefix not in self._taken)
        while self._returned:
            prefix = self._returned.popleft()
            if prefix not in self._taken:
                yield prefix

    def claim(self, prefix: IPv6Network) -> bool:
        """Take this very prefix; False when it is not of this pool or somebody has it."""
        is_ours = prefix.prefixlen == HOME_NETWORK_PREFIX_LENGTH and prefix.subnet_of(self._pool)
        if not is_ours or prefix in self._taken:
            return False
        self._taken.add(prefix)
        return True

    def give_back(self, prefix: IPv6Network) -> None:
        """Make a prefix available again; one that is not of this pool is no error."""
        if prefix in self._taken:
            self._taken.remove(prefix)
            self._returned.append(prefix)


class PrefixAssignment:
    """Prefixes for new sessions: the node's own, those it had, or one of the pool."""

    def __init__(self, settings: AnchorSettings) -> None:
        self._settings = settings
        self._pool = PrefixPool(settings.prefix_pool)

    def assign(
        self, request: RegistrationRequest, cache: BindingCache
    ) -> tuple[IPv6Network, ...] | BindingStatus:
        """The prefixes of a new session, from now on taken; or the status that refuses one."""
        own = self._settings.own_prefixes(request.mn_id)
        wanted = request.home_network_prefixes
        if wanted:
            return self._claimed(wanted, own)
        if own:
            in_use = any(cache.with_prefix(prefix) for prefix in own)
            return BindingStatus.INSUFFICIENT_RESOURCES if in_use else own
        prefix = self._pool.take()
        return BindingStatus.INSUFFICIENT_RESOURCES if prefix is None else (prefix,)

    def release(self, prefixes: tuple[IPv6Network, ...]) -> None:
        """A session is over."""
        for prefix in prefixes:
            self._pool.give_back(prefix)

    def _claimed(
        self, wanted: tuple[IPv6Network, ...], own: tuple[IPv6Network, ...]
    ) -> tuple[IPv6Network, ...] | BindingStatus:
        """Prefixes that the gateway names: the node's own, or of the pool and free."""
        claimed: list[IPv6Network] = []
        for prefix in wanted:
            if prefix not in own and not self._pool.claim(prefix):
                self.release(tuple(claimed))
                return BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX
            claimed.append(prefix)
        return wanted
