"""What the core takes to bring nodes into service and to keep them there."""

import random
from collections.abc import Iterable, Iterator
from typing import Final

from mag.daemon.garbage import short_searches
from mag.protocol.events import AdvertisePrefixes, ForwardingWanted
from mag.protocol.lma_settings import LmaSettings
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import RegistrationState
from mag.protocol.settings import HeartbeatSettings, ProtocolSettings
from perf.control_plane.measurement import Measurement, cpu_seconds
from perf.control_plane.nodes import LMA_ADDRESS, PROXY_CARE_OF_ADDRESS, attachment, profile
from perf.control_plane.targets import ATTACHES_PER_S
from perf.control_plane.template_lma import TemplateLma

UTC: Final = 1.7641e9
AT_ANY_PACE: Final = LmaSettings(updates_per_s=1_000_000, update_burst=1_000_000)
"""What the core can, not what it may."""
AT_ONCE: Final = 100
"""Nodes that attach in one turn of the loop."""
ARRIVALS: Final = 1_000
"""Into which all bindings of the refresh load are divided."""
REFRESH_WINDOW_S: Final = 300.0


class Domain:
    """One core and its LMA; the packet path confirms whatever is wanted."""

    def __init__(self) -> None:
        settings = ProtocolSettings(
            proxy_care_of_address=PROXY_CARE_OF_ADDRESS,
            heartbeat=HeartbeatSettings(is_enabled=False),
        )
        lmas = {LMA_ADDRESS: AT_ANY_PACE}
        rng = random.Random(1)  # noqa: S311 - the same spread in every run
        self.core = MobileAccessGateway(settings, lmas, rng)
        self.lma = TemplateLma()
        self.updates = 0
        self.advertisements = 0

    def attach(self, numbers: Iterable[int], now: float) -> None:
        """Nodes arrive in one turn of the loop; they are served when this returns."""
        for number in numbers:
            self.core.attach(attachment(number), profile(number), now)
        self.turn(now)

    def turn(self, now: float) -> None:
        """What the daemon's pump does, until nothing is left to do."""
        core = self.core
        core.handle_timer(now)
        messages = core.messages_to_send(now, UTC + now)
        self._read_events(now)
        self.updates += len(messages)
        for message in messages:
            core.receive_message(self.lma.answer(message.data), LMA_ADDRESS, now)
        self._read_events(now)

    def _read_events(self, now: float) -> None:
        events = self.core.events()
        while events:
            for event in events:
                if isinstance(event, ForwardingWanted):
                    self.core.forwarding_ready(event.binding.binding_id, now)
                elif isinstance(event, AdvertisePrefixes):
                    self.advertisements += 1
            events = self.core.events()

    def served(self) -> int:
        """Bindings that are accepted and forwarded for."""
        return sum(
            entry.state is RegistrationState.ACTIVE and entry.is_forwarding
            for entry in self.core.binding_update_list
        )


def attach_all(nodes: int, now: float = 0.0) -> Domain:
    """A domain with that many nodes in service. Raises RuntimeError if one is not."""
    domain = Domain()
    for start in range(0, nodes, AT_ONCE):
        domain.attach(range(start, min(start + AT_ONCE, nodes)), now)
    if domain.served() != nodes:
        raise RuntimeError(f"{domain.served()} of {nodes} nodes have service")
    return domain


def measure_attach(nodes: int, repeats: int) -> Iterator[Measurement]:
    """Attach → PBU → PBA → active and advertised to; the LMA's time is in it.

    Garbage is searched for as in the agent, and the end of a domain is nobody's attachment.
    """
    domains: list[Domain] = []
    rates = []
    with short_searches():
        for _ in range(repeats):
            rates.append(nodes / cpu_seconds(lambda: domains.append(attach_all(nodes))))
            domains.clear()
    yield Measurement("attaches_per_s", "1/s", rates, ATTACHES_PER_S)


def measure_refresh(nodes: int) -> Iterator[Measurement]:
    """Bindings in their steady state: refreshes and advertisements of simulated minutes."""
    domain = Domain()
    lifetime_s = domain.core.settings.lifetime_s
    now = 0.0
    # Arrivals spread over a lifetime; what follows is then spread as evenly.
    together = max(1, nodes // ARRIVALS)
    for start in range(0, nodes, together):
        now = lifetime_s * start / nodes
        domain.attach(range(start, min(start + together, nodes)), now)
        _run_until(domain, now)
    updates, advertisements = domain.updates, domain.advertisements
    seconds = cpu_seconds(lambda: _run_until(domain, now + REFRESH_WINDOW_S))
    if domain.served() != nodes:
        raise RuntimeError(f"{domain.served()} of {nodes} nodes have service")
    updates = domain.updates - updates
    advertisements = domain.advertisements - advertisements
    yield Measurement("refreshes_per_s", "1/s", [updates / REFRESH_WINDOW_S])
    yield Measurement("advertisements_per_s", "1/s", [advertisements / REFRESH_WINDOW_S])
    yield Measurement("steady_state_cpu_share", "%", [100 * seconds / REFRESH_WINDOW_S])


def measure_refresh_all(nodes: int) -> Iterator[Measurement]:
    """Every binding refreshed as fast as the core can, as if all were due at once."""
    domain = attach_all(nodes)
    due = domain.core.settings.lifetime_s * domain.core.settings.refresh_fraction
    before = domain.updates
    seconds = cpu_seconds(lambda: domain.turn(due))
    yield Measurement("refreshes_at_once_per_s", "1/s", [(domain.updates - before) / seconds])


def _run_until(domain: Domain, end: float) -> None:
    while (deadline := domain.core.get_timer()) is not None and deadline <= end:
        domain.turn(deadline)
