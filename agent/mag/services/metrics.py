"""Names, labels and readings for Prometheus; read at scrape time, no label of a subscriber."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from ipaddress import IPv6Address

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mag.dataplane.base import BindingCounters, DataplaneCounters, DataplaneStatus
from mag.frozen import frozen
from mag.protocol.lma_peer import PeerState
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import RegistrationState
from mag.services.access_link import AccessLinkPort
from mag.services.journal.base import Journal
from mag.services.mobility_transport import MobilityTransport
from mag.services.system_clock import ClockReading

_LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)


@frozen
class Sources:
    """Where readings come from."""

    gateway: MobileAccessGateway
    transport: MobilityTransport
    journal: Journal
    lma_names: Mapping[IPv6Address, str]
    ports: Mapping[str, AccessLinkPort]
    attachments_refused: Tally[str]
    attachments_waiting: Callable[[], int]
    """Nodes that nobody has looked at yet."""
    dataplane_failures: Tally[str]
    """Failed operations on the packet path, by operation."""
    dataplane_losses: Tally[str]
    """What something else did to it, by how that was noticed."""
    dataplane_restored: Tally[str]
    """What had to be put back, by kind."""
    reloads: Tally[str]
    """Of the configuration, by result."""
    clock: Callable[[], tuple[bool, ClockReading]]
    """Whether it is in step, and what was read of it."""
    is_draining: Callable[[], bool]
    """Whether nodes are given up and no others taken."""
    domain_digest: str
    """Of what must be equal in the domain, and takes a restart to change (RFC 5213 §9.3)."""


@frozen
class Readings:
    """What has been read for one scrape."""

    dataplane: DataplaneCounters = field(default_factory=DataplaneCounters)
    status: DataplaneStatus = field(
        default_factory=lambda: DataplaneStatus(name="", version="", is_up=False)
    )
    bindings: Mapping[tuple[IPv6Address, RegistrationState], int] = field(default_factory=dict)
    """How many there are with each LMA in each state."""
    traffic: BindingCounters = field(default_factory=BindingCounters)
    """Of all of them together."""


def discarded_on_access_links(ports: Mapping[str, AccessLinkPort]) -> Tally[str]:
    """Invalid frames of nodes, over all access links, by reason."""
    return sum((port.discarded for port in ports.values()), start=Tally())


class Metrics:
    """All metrics of one gateway."""

    def __init__(self, sources: Sources) -> None:
        self._registry = CollectorRegistry()
        self._collector = _Collector(sources)
        self._registry.register(self._collector)
        self.setup_seconds = Histogram(
            "mag_setup_seconds",
            "From the attach event until the node's packets are forwarded",
            buckets=_LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._pba_round_trip_seconds = Histogram(
            "mag_pba_round_trip_seconds",
            "From a PBU to the PBA that answers it",
            ["lma"],
            buckets=_LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._round_trips_of: dict[str, Histogram] = {}

    def acknowledged(self, lma: str, round_trip_s: float) -> None:
        """A PBA of this LMA has answered a PBU."""
        if (histogram := self._round_trips_of.get(lma)) is None:
            histogram = self._round_trips_of[lma] = self._pba_round_trip_seconds.labels(lma)
        histogram.observe(round_trip_s)

    def render(self, readings: Readings) -> bytes:
        """The exposition text."""
        self._collector.readings = readings
        return generate_latest(self._registry)


class _Collector(Collector):
    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.readings = Readings()

    def collect(self) -> Iterable[Metric]:
        yield self._bindings()
        yield from self._signalling()
        yield from self._liveness()
        yield from self._faults()
        yield from self._forwarding()
        yield from self._operation()
        yield from self._journal()

    def _bindings(self) -> Metric:
        family = GaugeMetricFamily("mag_bindings", "Bindings by state", labels=["lma", "state"])
        for (address, state), count in self.readings.bindings.items():
            family.add_metric([self._lma(address), state.value], count)
        return family

    def _signalling(self) -> Iterable[Metric]:
        sent = CounterMetricFamily(
            "mag_pbu_sent", "PBUs, first transmissions", labels=["lma", "kind"]
        )
        again = CounterMetricFamily(
            "mag_pbu_retransmitted", "PBUs sent again", labels=["lma", "kind"]
        )
        answered = CounterMetricFamily(
            "mag_pba_received", "PBAs that answered a PBU", labels=["lma", "kind", "status"]
        )
        quirks = CounterMetricFamily(
            "mag_lma_quirks_applied", "Messages treated specially", labels=["lma", "quirk"]
        )
        waiting = GaugeMetricFamily(
            "mag_pbu_waiting", "PBUs that the pace of their LMA keeps waiting", labels=["lma"]
        )
        errors = CounterMetricFamily(
            "mag_lma_network_errors",
            "ICMPv6 errors that came back for what was sent",
            labels=["lma", "type", "code"],
        )
        for peer in self._sources.gateway.peers.values():
            lma = self._lma(peer.address)
            for error, count in peer.network_errors.items():
                errors.add_metric([lma, *map(str, error)], count)
            waiting.add_metric([lma], len(peer.updates))
            for quirk, count in peer.quirks_applied.items():
                quirks.add_metric([lma, quirk], count)
            for kind, count in peer.sent.items():
                sent.add_metric([lma, kind.value], count)
            for kind, count in peer.retransmitted.items():
                again.add_metric([lma, kind.value], count)
            for (kind, status), count in peer.answered.items():
                answered.add_metric([lma, kind.value, str(status)], count)
        yield from (sent, again, waiting, answered, quirks, errors)

    def _liveness(self) -> Iterable[Metric]:
        up = GaugeMetricFamily(
            "mag_lma_up", "1: answers heartbeats, 0: no longer; absent: never did", labels=["lma"]
        )
        restarts = CounterMetricFamily("mag_lma_restarts", "Restarts noticed", labels=["lma"])
        for peer in self._sources.gateway.peers.values():
            lma = self._lma(peer.address)
            if peer.liveness.state is not PeerState.UNKNOWN:
                up.add_metric([lma], int(peer.liveness.state is PeerState.REACHABLE))
            restarts.add_metric([lma], peer.liveness.restarts_seen)
        yield from (up, restarts)

    def _operation(self) -> Iterable[Metric]:
        is_in_step, reading = self._sources.clock()
        yield GaugeMetricFamily(
            "mag_clock_in_step", "1: timestamps can be trusted", value=int(is_in_step)
        )
        if reading.is_synchronized is not None:
            yield GaugeMetricFamily(
                "mag_clock_estimated_error_seconds",
                "As adjtimex says",
                value=reading.estimated_error_s,
            )
            yield GaugeMetricFamily(
                "mag_clock_maximum_error_seconds", "As adjtimex says", value=reading.maximum_error_s
            )
        yield _tally("mag_reloads", "Reloads of the configuration", "result", self._sources.reloads)
        domain = GaugeMetricFamily(
            "mag_domain_info",
            "1; the digest is the same on all gateways of a domain",
            labels=["digest"],
        )
        domain.add_metric([self._sources.domain_digest], 1)
        yield domain
        yield GaugeMetricFamily(
            "mag_draining",
            "1: nodes are given up and no others taken",
            value=int(self._sources.is_draining()),
        )

    def _journal(self) -> Iterable[Metric]:
        journal = self._sources.journal
        if (status := journal.status()) is None:
            return
        yield _tally("mag_journal_failures", "Writes that failed", "reason", journal.failures)
        yield _single("mag_journal_transactions", "Writes to the journal", status.transactions)
        yield _single("mag_journal_rows", "Bindings written or deleted", status.rows)
        for name, text, value in (
            ("up", "1: what changes is written, 0: a restart may forget", not status.trouble),
            ("octets", "Size of the journal", status.octets),
            ("behind_seconds", "Age of the oldest change that is not written", status.behind_s),
            ("last_write_timestamp_seconds", "When it was written", status.last_written_at or 0),
        ):
            yield GaugeMetricFamily(f"mag_journal_{name}", text, value=float(value))

    def _faults(self) -> Iterable[Metric]:
        sources = self._sources
        yield _tally(
            "mag_discarded",
            "Mobility Headers without effect",
            "reason",
            sources.gateway.discarded + sources.transport.discarded,
        )
        yield _tally(
            "mag_access_discarded",
            "Invalid frames on access links",
            "reason",
            discarded_on_access_links(sources.ports),
        )
        yield _tally(
            "mag_attachments_refused",
            "Nodes without service",
            "reason",
            sources.attachments_refused,
        )
        yield GaugeMetricFamily(
            "mag_attachments_waiting",
            "Nodes that have asked for service and wait for their turn",
            value=sources.attachments_waiting(),
        )
        yield _tally(
            "mag_dataplane_failures",
            "Failed operations on the packet path",
            "operation",
            sources.dataplane_failures,
        )
        yield _tally(
            "mag_dataplane_losses_noticed",
            "Times that something else had taken of ours from the packet path",
            "noticed",
            sources.dataplane_losses,
        )
        yield _tally(
            "mag_dataplane_restored",
            "What was not in the packet path as it had been left, and was put back",
            "object",
            sources.dataplane_restored,
        )
        yield _tally(
            "mag_dataplane_faults",
            "What went wrong between the packet path and the agent",
            "fault",
            self.readings.dataplane.faults,
        )
        yield _single(
            "mag_gateway_address_collisions",
            "Nodes that had the link-local address which the LMA gave to the gateway",
            sources.gateway.address_collisions,
        )
        transport = sources.transport
        yield _single("mag_transport_received", "Mobility Headers received", transport.received)
        yield _single("mag_transport_lost", "Mobility Headers lost before us", transport.lost)
        yield _single("mag_transport_send_failures", "Refused by our host", transport.send_failures)

    def _forwarding(self) -> Iterable[Metric]:
        status, traffic = self.readings.status, self.readings.traffic
        is_up = int(status.is_up)
        yield GaugeMetricFamily("mag_dataplane_up", "1: the packet path is there", value=is_up)
        yield _single("mag_dataplane_lost", "Times that it went", status.times_lost)
        yield _tally(
            "mag_dropped_packets", "Dropped packets", "reason", self.readings.dataplane.drops
        )
        # Gauges: what a binding has counted goes when the binding goes.
        packets = GaugeMetricFamily(
            "mag_bindings_packets", "Packets of the bindings there are", labels=["direction"]
        )
        octets = GaugeMetricFamily(
            "mag_bindings_octets", "Inner octets of the bindings there are", labels=["direction"]
        )
        packets.add_metric(["uplink"], traffic.uplink_packets)
        packets.add_metric(["downlink"], traffic.downlink_packets)
        octets.add_metric(["uplink"], traffic.uplink_octets)
        octets.add_metric(["downlink"], traffic.downlink_octets)
        yield from (packets, octets)

    def _lma(self, address: IPv6Address) -> str:
        return self._sources.lma_names.get(address, str(address))


def _tally(name: str, text: str, label: str, tally: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, count in tally.items():
        family.add_metric([str(key)], count)
    return family


def _single(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(name, text, value=value)
