"""One gateway put together: the core, its adapters, and what each event sets in motion."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import asdict, replace
from functools import partial
from ipaddress import IPv6Address
from typing import Any, get_args

from mag.config.domain import domain_digest, domain_variables
from mag.config.model import AccessLinkSection, Configuration, ShutdownPolicy
from mag.daemon.advertiser import Advertiser
from mag.daemon.attachments import Attachments
from mag.daemon.clock_watch import ClockState, ClockWatch
from mag.daemon.forwarding import Forwarding
from mag.daemon.gateway_log import GatewayLog
from mag.daemon.histories import Histories
from mag.daemon.link_reset import LinkReset
from mag.daemon.link_watch import LinkWatch
from mag.daemon.node_waker import NodeWaker
from mag.daemon.packet_path_watch import PacketPathWatch
from mag.daemon.presence import IdleTime, PresenceProber
from mag.daemon.pump import Pump
from mag.daemon.resumption import Resumption
from mag.dataplane.base import (
    AccessLink,
    Dataplane,
    Disturbance,
    Ensure,
    MobileNodeForwarding,
)
from mag.dataplane.reconciler import Outcome, Reconciler
from mag.frozen import frozen
from mag.protocol.events import (
    AdvertisePrefixes,
    Binding,
    BindingLost,
    DetectDuplicateAddress,
    Event,
    ForwardingInstalled,
    ForwardingUnwanted,
    ForwardingWanted,
    PeerRemoved,
    ProbeNode,
    ProxyBindingAcknowledgementReceived,
    TunnelUnwanted,
    TunnelWanted,
    WithdrawPrefixes,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import LossReason
from mag.protocol.stored_state import StoredState
from mag.services.access_link import AccessLinkPort
from mag.services.event_log import Level, LogEntry
from mag.services.journal.base import Journal, NoJournal
from mag.services.link_monitor import LinkState
from mag.services.log_setup import EntryWriter, write_by_structlog
from mag.services.metrics import Metrics, Sources
from mag.services.mobility_transport import MobilityTransport
from mag.services.policy_store import PolicyStore
from mag.services.system_clock import ClockReading, read_system_clock
from mag.steps import in_steps


@frozen
class Adapters:
    """The outer world of one gateway."""

    transport: MobilityTransport
    dataplane: Dataplane
    policy: PolicyStore
    ports: Mapping[str, AccessLinkPort]
    """By access interface."""
    make_port: Callable[[str, AccessLinkSection], AccessLinkPort]
    """For a new access link."""
    link_states: Callable[[Collection[str]], AsyncIterator[LinkState]]
    """Tells the state of each named interface, then every change."""
    keep_connected: (
        Callable[
            [Callable[[], Awaitable[object]], Callable[[LogEntry], None]], Coroutine[Any, Any, None]
        ]
        | None
    ) = None
    """For a packet path that may go and come back: restores it and tells of it, with what it is
    called with."""
    read_clock: Callable[[], ClockReading] = read_system_clock
    disturbances: Callable[[], AsyncGenerator[Disturbance, None]] | None = None
    """For a packet path that tells what something else does to it; one that does not is looked at
    now and then only."""
    idle_s: IdleTime | None = None
    """For a packet path that keeps to itself what nodes answer: when it heard them last."""


class Gateway:
    """Everything that runs between start and stop."""

    def __init__(
        self,
        configuration: Configuration,
        core: MobileAccessGateway,
        adapters: Adapters,
        tasks: asyncio.TaskGroup,
        *,
        journal: Journal | None = None,
        earlier: StoredState | None = None,
        write_entry: EntryWriter = write_by_structlog,
    ) -> None:
        """tasks: takes the gateway's background work, which `close` ends.

        journal: None forgets. earlier: what the journal had of an earlier run. write_entry: to
        the log.
        """
        self.configuration = configuration
        self.core = core
        self.dataplane = adapters.dataplane
        self.transport = adapters.transport
        self.started_at = time.time()
        self.histories = Histories()
        self.reloads: Counter[str] = Counter()
        """Taken and refused, of the configuration file."""
        self.lma_names = {lma.address: name for name, lma in configuration.lmas.items()}
        self.ports = dict(adapters.ports)
        self.links = dict(configuration.access_links)
        """Those that take nodes; one that is being given up has its port only."""
        self.policy = adapters.policy
        self.make_port = adapters.make_port
        self._keep_connected = adapters.keep_connected
        self._tasks = tasks
        self._background: list[asyncio.Task[None]] = []
        self.on_binding_lost: Callable[[Binding, LossReason], None] = lambda binding, reason: None
        """Told of every binding that has gone."""
        self.tunnel_mtus = {
            lma.address: lma.tunnel_mtu_octets for lma in configuration.lmas.values()
        }
        self._list_is_empty = asyncio.Event()
        self.is_open = asyncio.Event()
        """Set once it serves."""
        self._has_dataplane = False
        """Only then is there anything of ours in the packet path to take away."""
        self._earlier = earlier
        """Until it has been gone on with; it is as large as what comes of it."""
        self._had_bindings = earlier is not None and bool(earlier.bindings)
        self.journal: Journal = journal or NoJournal()
        self.pump = Pump(core, adapters.transport, self.journal, self._dispatch)
        self.resumption = Resumption(
            core=core, pump=self.pump, policy=adapters.policy, links=self.links
        )
        self.log = GatewayLog(
            configuration.log,
            lma_names=self.lma_names,
            now=self.pump.now,
            write_entry=write_entry,
        )
        self.reconciler = Reconciler(adapters.dataplane)
        self.forwarding = Forwarding(
            self.reconciler,
            proxy_care_of_address=configuration.proxy_care_of_address,
            access_link_local_address=core.settings.access_link_local_address,
            tunnel_mtus=self.tunnel_mtus,
            on_ready=self._forwarding_ready,
            rebuild=adapters.dataplane.rebuild,
            written=self.journal.written,
            note=self.log.note,
        )
        self.packet_path_watch = PacketPathWatch(
            losses=self.reconciler.losses,
            disturbances=adapters.disturbances,
            interval_s=lambda: self.configuration.dataplane.verify_interval_s,
            doubt=self.forwarding.doubt,
            note=self.log.note,
        )
        self.attachments = Attachments(
            core=core,
            pump=self.pump,
            policy=adapters.policy,
            ports=self.ports,
            links=self.links,
            log=self.log,
            on_refusal=self.histories.refused,
            tasks=tasks,
        )
        self.waker = NodeWaker(
            core=core, attachments=self.attachments, ports=self.ports, links=self.links
        )
        self.link_watch = LinkWatch(
            adapters.link_states,
            ports=self.ports,
            attachments=self.attachments,
            waker=self.waker,
            doubt=self.forwarding.doubt,
            note=self.log.note,
            tasks=tasks,
        )
        self.advertiser = Advertiser(
            settings=lambda: core.settings,
            tunnel_mtus=self.tunnel_mtus,
            access_mtu_octets=self.link_watch.mtu_octets,
            ports=self.ports,
            lma_names=self.lma_names,
            log=self.log,
        )
        self.link_reset = LinkReset(
            links=self.links,
            is_up=self.link_watch.is_up,
            set_up=self._set_link_up,
            note=self.log.note,
        )
        self.presence = PresenceProber(
            core=core,
            pump=self.pump,
            ports=self.ports,
            idle_s=adapters.idle_s,
            tasks=tasks,
        )
        self.clock = ClockWatch(
            adapters.read_clock, configuration.protocol, note=self.log.note, tell=self._clock_is
        )
        self.metrics = Metrics(
            Sources(
                gateway=core,
                transport=adapters.transport,
                journal=self.journal,
                lma_names=self.lma_names,
                ports=self.ports,
                attachments_refused=self.attachments.refused,
                attachments_waiting=lambda: self.attachments.waiting,
                dataplane_failures=self.forwarding.failures,
                dataplane_losses=self.packet_path_watch.noticed,
                dataplane_restored=self.forwarding.restored,
                reloads=self.reloads,
                clock=lambda: (self.clock.state is ClockState.IN_STEP, self.clock.reading),
                is_draining=lambda: self.attachments.is_draining,
                domain_digest=domain_digest(domain_variables(configuration)),
            )
        )
        self._effects = self._effects_of_events()

    async def open(self) -> None:
        """Take up service.

        Raises ClockError, DataplaneError, TransportError or AccessLinkError; `close` undoes what
        was done.
        """
        self.clock.demand()
        await self.dataplane.open()
        self._has_dataplane = True
        for what in (await self.dataplane.status()).missing:
            self.log.note(LogEntry("dataplane_incomplete", Level.WARNING, {"what": what}))
        for name in self.ports:
            self.forwarding.want_link(self.access_link(name, self.links[name]))
        self.transport.open(self._receive_message, self._receive_error)
        await self._restore()
        await self._take_over_packet_path()
        for port in self.ports.values():
            port.open(self.attachments.signal)
        async for entry in in_steps(list(self.core.binding_update_list)):
            self.attachments.known(entry.attachment)
        for interface in self.ports:
            self.waker.wake(interface)
        self.core.begin(self.pump.now())
        self.pump.wake()
        watch = self.packet_path_watch
        self._background = [
            self._tasks.create_task(work)
            for work in (
                self.forwarding.run(),
                watch.listen(),
                watch.answer(),
                watch.look_now_and_then(),
            )
        ]
        self.link_watch.open()
        self.clock.open()
        if self._keep_connected is not None:
            restoring = self._keep_connected(self._resync, self.log.note)
            self._background.append(self._tasks.create_task(restoring))
        self.is_open.set()

    async def _restore(self) -> None:
        """Go on with the bindings of an earlier run."""
        if self._earlier is None:
            return
        counts = await self.resumption.resume(self._earlier)
        if self._had_bindings:
            self.log.note(LogEntry("bindings_restored", Level.INFO, asdict(counts)))
        self._earlier = None

    async def _take_over_packet_path(self) -> None:
        """What is there and equal stays as it is, what is missing is added, the rest removed.

        Raises DataplaneError for what all bindings share; a binding is tried again later.
        """
        outcomes = await self.reconciler.resync()
        for outcome in outcomes:
            is_binding = isinstance(outcome.operation.record, MobileNodeForwarding)
            if outcome.error is not None and not is_binding:
                raise outcome.error
        changes = _changes(outcomes)
        if any(changes.values()):
            self.log.note(LogEntry("packet_path_changed", Level.WARNING, changes))

    async def _resync(self) -> None:
        """Make the packet path as it is wanted; what an earlier run of ours left there goes.

        Raises DataplaneError, the first of those that remain.
        """
        for outcome in await self.reconciler.resync():
            if outcome.error is not None:
                raise outcome.error

    async def close(self) -> None:
        """End all service and take away everything of ours, in bounded time.

        Or, as configured and also if the start failed, leave forwarding as it is for the next one.
        """
        shutdown = self.configuration.shutdown
        is_kept = self._is_kept()
        self.attachments.close()
        async with contextlib.AsyncExitStack() as whatever_happens:
            whatever_happens.callback(self.log.stream.close)
            remove = self._has_dataplane and not is_kept
            whatever_happens.push_async_callback(self.dataplane.close, remove=remove)
            whatever_happens.callback(self.transport.close)
            whatever_happens.push_async_callback(self.journal.close)
            whatever_happens.callback(self.pump.close)
            whatever_happens.callback(self.clock.close)
            whatever_happens.callback(self.presence.close)
            whatever_happens.callback(self.link_reset.close)
            whatever_happens.callback(self.waker.close)
            for port in self.ports.values():
                whatever_happens.callback(port.close)
            whatever_happens.callback(self.link_watch.close)
            for task in self._background:
                whatever_happens.callback(task.cancel)
            if not is_kept:
                await self._end_all_bindings(shutdown.timeout_s)

    def _is_kept(self) -> bool:
        """Whether sessions go on without us."""
        if self.is_open.is_set():
            return self.configuration.shutdown.policy is ShutdownPolicy.KEEP
        return self._had_bindings

    # Inputs

    def _receive_message(self, data: bytes, source: IPv6Address) -> None:
        self.resumption.feed(partial(self.core.receive_message, data, source))

    def _receive_error(
        self, error: tuple[int, int], quoted: bytes, destination: IPv6Address
    ) -> None:
        self.resumption.feed(partial(self.core.receive_error, error, quoted, destination))

    def _clock_is(self, in_step: bool) -> None:
        self.core.clock_is(in_step=in_step, now=self.pump.now())
        self.pump.wake()

    def _forwarding_ready(self, binding_id: int) -> None:
        self.core.forwarding_ready(binding_id, self.pump.now())
        self.pump.wake()

    def access_link(self, interface: str, section: AccessLinkSection) -> AccessLink:
        """What the packet path is to have on an interface."""
        settings = self.core.settings
        return AccessLink(
            interface,
            settings.access_link_local_address,
            section.gateway_link_layer_address(settings.fixed_mag_link_layer_address),
        )

    def forget_link(self, interface: str) -> None:
        """Serve nobody on an access link any more; its sessions have ended."""
        self.ports.pop(interface).close()
        self.link_watch.forget(interface)
        self.forwarding.unwant_link(interface)
        self.log.note(LogEntry("access_link_removed", Level.INFO, {"access_interface": interface}))

    def _set_link_up(self, interface: str, is_up: bool) -> None:
        link = self.access_link(interface, self.links[interface])
        if not is_up:
            link = replace(link, gateway_link_local_address=IPv6Address("::"), is_up=False)
        self.forwarding.want_link(link)

    # Effects

    def _dispatch(self, event: Event) -> None:
        self.log.tell_of(event)
        for effect in self._effects[type(event)]:
            effect(event)

    def _effects_of_events(self) -> Mapping[type[Event], Sequence[Callable[[Any], None]]]:
        """What each kind of event sets in motion, in this order.

        Looked up, not asked for one after the other: each attachment is half a dozen events.
        """
        effects: dict[type[Event], list[Callable[[Any], None]]] = {
            kind: [] for kind in get_args(Event)
        }
        for kind in Histories.KINDS:
            effects[kind].append(lambda event: self.histories.take(event, time.time()))
        for kind in LinkReset.KINDS:
            effects[kind].append(self.link_reset.take)
        own: Mapping[type[Event], Callable[[Any], None]] = {
            TunnelWanted: lambda event: self.forwarding.want_tunnel(event.lma_address),
            TunnelUnwanted: lambda event: self.forwarding.unwant_tunnel(event.lma_address),
            ForwardingWanted: lambda event: self.forwarding.want_binding(event.binding),
            ForwardingUnwanted: lambda event: self.forwarding.unwant_binding(event.binding),
            ForwardingInstalled: self._forwarding_installed,
            AdvertisePrefixes: self.advertiser.advertise,
            WithdrawPrefixes: self.advertiser.withdraw,
            ProbeNode: self.presence.ask,
            DetectDuplicateAddress: self.presence.ask,
            BindingLost: self._binding_lost,
            ProxyBindingAcknowledgementReceived: self._acknowledged,
            PeerRemoved: self._peer_removed,
        }
        for kind, effect in own.items():
            effects[kind].append(effect)
        return effects

    def _forwarding_installed(self, event: ForwardingInstalled) -> None:
        self.metrics.setup_seconds.observe(event.setup_s)
        self.attachments.settled(event.binding.binding_id)

    def _acknowledged(self, event: ProxyBindingAcknowledgementReceived) -> None:
        lma = self.lma_name(event.binding.lma_address)
        self.metrics.acknowledged(lma, event.round_trip_s)

    def _peer_removed(self, event: PeerRemoved) -> None:
        self.lma_names.pop(event.lma_address, None)
        self.tunnel_mtus.pop(event.lma_address, None)
        self.transport.reach(self.core.peers)

    def lma_name(self, address: IPv6Address) -> str:
        """As configured, else the address."""
        return self.lma_names.get(address) or str(address)

    def _binding_lost(self, event: BindingLost) -> None:
        binding, reason = event.binding, event.reason
        link, address = binding.access_interface, binding.mn_link_layer_id
        if self.core.binding_update_list.by_link(link, address) is None:
            self.attachments.lost(link, address)
            if reason is LossReason.DETACHED:
                self.waker.forget(link, address)
            elif not self.link_reset.is_down(link):  # else it is asked when its link is up again
                self.waker.wake(link, address)
        self.attachments.settled(binding.binding_id)
        self.on_binding_lost(binding, reason)
        if not len(self.core.binding_update_list):
            self._list_is_empty.set()

    async def _end_all_bindings(self, timeout_s: float) -> None:
        """De-register every node; what the LMAs have not answered in time is ended without them.

        Those that an LMA could not even be asked to end stay with it, and in the journal.
        """
        self._clear_all()
        bindings = self.core.binding_update_list
        if len(bindings):
            self._list_is_empty.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._list_is_empty.wait()
        self._clear_all()
        if len(bindings):
            left = {"bindings": len(bindings), "goes_on": "with the next start"}
            if self.journal.status() is None:
                left["goes_on"] = "never: their LMAs keep them until their lifetimes end"
            self.log.note(LogEntry("deregistrations_left", Level.WARNING, left))
        self.core.finish(self.pump.now())
        self.pump.run()

    def _clear_all(self) -> None:
        for entry in list(self.core.binding_update_list):
            self.core.clear(entry.binding_id, self.pump.now())
        self.pump.run()


def _changes(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How far the packet path was from what is wanted, in bindings."""
    changed = [
        outcome.operation
        for outcome in outcomes
        if isinstance(outcome.operation.record, MobileNodeForwarding)
    ]
    added = sum(isinstance(operation, Ensure) for operation in changed)
    return {"bindings_added": added, "bindings_removed": len(changed) - added}
