"""Answers the admin API from the running gateway."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import asdict
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from mag import __version__
from mag.config.domain import domain_digest, domain_variables
from mag.config.model import AttachTrigger
from mag.config.plain import plain, to_yaml
from mag.daemon.drain import Drain
from mag.daemon.explainer import Explainer
from mag.daemon.gateway import Gateway
from mag.daemon.held_bindings import clear_held
from mag.daemon.reload import Reload
from mag.dataplane.base import (
    DROP_REASONS,
    BindingCounters,
    DataplaneCounters,
    DataplaneError,
    DataplaneStatus,
    ForwardingState,
)
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.lma_peer import LmaPeer
from mag.protocol.network_errors import name_of
from mag.protocol.request import RequestKind
from mag.services.event_log import text_of_mn_id
from mag.services.gateway_control import (
    AttachRequest,
    ClearHeldRequest,
    ControlError,
    Document,
    DrainRequest,
    NodeSelector,
    NotFoundError,
)
from mag.services.metrics import Readings, discarded_on_access_links
from mag.steps import in_steps
from mag.wire.ethernet import format_link_layer_address, parse_link_layer_address
from mag.wire.iana import status_name

COUNTERS_VALID_S: Final = 1.0


class Control:
    """Reads and steers one gateway; see GatewayControl."""

    def __init__(self, gateway: Gateway, file: Path) -> None:
        """file: the configuration that the gateway was started with."""
        self._gateway = gateway
        self.reloading = Reload(gateway, file)
        self._drain = Drain(gateway)
        self._counters = DataplaneCounters()
        self._counters_until = 0.0

    def status(self) -> Document:
        """Identity, version, uptime and how many bindings there are."""
        gateway = self._gateway
        variables = domain_variables(gateway.configuration)
        return {
            "identity": gateway.configuration.identity,
            "version": __version__,
            "dataplane": gateway.configuration.dataplane.kind,
            "proxy_care_of_address": str(gateway.configuration.proxy_care_of_address),
            "uptime_s": round(time.time() - gateway.started_at, 1),
            "is_serving": gateway.is_open.is_set(),
            "bindings": len(gateway.core.binding_update_list),
            "drain": self._drain.status(),
            "reloads": dict(gateway.reloads),
            "clock": {"state": gateway.clock.state.value, **asdict(gateway.clock.reading)},
            "domain": {"digest": domain_digest(variables), "variables": variables},
            "journal": self._journal(),
        }

    def _journal(self) -> Document | None:
        journal = self._gateway.journal
        if (status := journal.status()) is None:
            return None
        last = status.last_written_at
        return {
            "path": status.path,
            "trouble": status.trouble,
            "behind_s": round(status.behind_s, 3),
            "last_written_s": None if last is None else round(time.time() - last, 1),
            "octets": status.octets,
            "transactions": status.transactions,
            "rows": status.rows,
            "failures": dict(journal.failures),
        }

    async def serving(self) -> None:
        """Wait until the gateway has taken up service."""
        await self._gateway.is_open.wait()

    def configuration(self, *, with_defaults: bool) -> Document:
        """What the gateway runs with, as values and as a file."""
        running = self._gateway.configuration
        return {
            "configuration": plain(running, with_defaults=with_defaults),
            "yaml": to_yaml(running, with_defaults=with_defaults),
        }

    async def plan(self, octets: bytes, source: str) -> Document:
        """What taking this configuration would change."""
        return await self.reloading.plan(octets, source)

    async def reload(self) -> Document:
        """Take the gateway's own file again."""
        return await self.reloading.reload()

    async def drain(self, request: DrainRequest) -> Document:
        """Give up all nodes at this pace."""
        return await self._drain.begin(request.rate_per_s)

    async def undrain(self) -> Document:
        """Keep what is left, and take nodes again."""
        return await self._drain.cancel()

    async def bindings(self) -> list[Document]:
        """A row for each Binding Update List entry."""
        counters = await self._read_counters()
        return await self._all_rows(counters)

    def peers(self) -> list[Document]:
        """A row for each LMA."""
        return [self._peer_row(peer) for peer in self._gateway.core.peers.values()]

    async def explain(self, node: str) -> Document:
        """Why a node has or has not service, and what was tried."""
        return await Explainer(self._gateway).explain(node)

    async def dataplane(self) -> Document:
        """The packet path, its limitations, and what of ours is in it."""
        try:
            status = await self._gateway.dataplane.status()
            found = await self._gateway.dataplane.dump() if status.is_up else ForwardingState()
        except DataplaneError as error:
            raise ControlError(str(error)) from None
        return {
            "name": status.name,
            "version": status.version,
            "limitations": list(status.limitations),
            "missing": list(status.missing),
            "is_up": status.is_up,
            "fault": status.fault,
            "times_lost": status.times_lost,
            "losses_noticed": dict(self._gateway.packet_path_watch.noticed),
            "restored": dict(self._gateway.forwarding.restored),
            "tunnels": [
                {
                    "lma": self._lma(tunnel.lma_address),
                    "lma_address": str(tunnel.lma_address),
                    "proxy_care_of_address": str(tunnel.proxy_care_of_address),
                    "mtu_octets": tunnel.mtu_octets,
                }
                for tunnel in found.lma_tunnels.values()
            ],
            "access_links": sorted(found.access_links),
            "mobile_nodes": len(found.mobile_nodes),
        }

    async def counters(self) -> Document:
        """Signalling, discarded messages, drops."""
        gateway = self._gateway
        dataplane = await self._read_counters()
        transport = gateway.transport
        return {
            "signalling": {
                "received": transport.received,
                "lost_before_us": transport.lost,
                "send_failures": transport.send_failures,
                "peers": self.peers(),
            },
            "discarded": dict(gateway.core.discarded + transport.discarded),
            "access": {
                "discarded": dict(discarded_on_access_links(gateway.ports)),
                "attachments_refused": dict(gateway.attachments.refused),
            },
            "dataplane": {
                "drops": {reason: dataplane.drops.get(reason, 0) for reason in DROP_REASONS},
                "failures": dict(gateway.forwarding.failures),
                "faults": dict(dataplane.faults),
            },
            "bindings": await self._all_rows(dataplane),
        }

    async def metrics(self) -> bytes:
        """The same for Prometheus."""
        try:
            status = await self._gateway.dataplane.status()
        except DataplaneError as error:
            kind = self._gateway.configuration.dataplane.kind
            status = DataplaneStatus(kind, version="", is_up=False, fault=str(error))
        counters = await self._read_counters()
        entries = list(self._gateway.core.binding_update_list)
        tally = Counter([(entry.lma_address, entry.state) async for entry in in_steps(entries)])
        traffic = await _sum(counters.bindings.values())
        return self._gateway.metrics.render(Readings(counters, status, tally, traffic))

    async def attach(self, request: AttachRequest) -> Document:
        """Attach a node on the word of the access network."""
        attachments = self._gateway.attachments
        link = self._gateway.configuration.access_links.get(request.access_interface)
        if link is not None and AttachTrigger.ADMIN not in link.attach_triggers:
            raise ControlError(f"attach_triggers of {request.access_interface} leave out admin")
        address = _address(request.link_layer_address)
        name, mn_id = request.mn_id or request.identity, None
        if name is not None:
            is_mn_id = request.mn_id is not None
            mn_id = await attachments.resolve(name, address, is_mn_id=is_mn_id)
        binding_id = await attachments.attach(
            request.access_interface,
            address,
            trigger=AttachTrigger.ADMIN,
            mn_id=mn_id,
            handoff_hint=request.handoff,
        )
        if request.wait_s is not None:
            await attachments.wait_until_served(binding_id, request.wait_s)
        entry = self._gateway.core.binding_update_list.by_id(binding_id)
        if entry is None:
            raise ControlError("the binding has ended already")
        return self._row(entry, BindingCounters())

    def detach(self, selector: NodeSelector) -> list[Document]:
        """End the bindings of a node that has left."""
        return self._end(selector, is_on_link=False)

    def clear(self, selector: NodeSelector) -> list[Document]:
        """End bindings as an operator, holds included."""
        return self._end(selector, is_on_link=True)

    def clear_held(self, request: ClearHeldRequest) -> Document:
        """Lift holds at a pace."""
        return clear_held(self._gateway, request)

    def events(self) -> AsyncIterator[Document]:
        """Everything that happens from now on."""
        return self._gateway.log.stream.watch()

    def _end(self, selector: NodeSelector, *, is_on_link: bool) -> list[Document]:
        entries = self._select(selector)
        core, pump = self._gateway.core, self._gateway.pump
        for entry in entries:
            (core.clear if is_on_link else core.detach)(entry.binding_id, pump.now())
        pump.wake()
        return [self._row(entry, BindingCounters()) for entry in entries]

    def _select(self, selector: NodeSelector) -> list[BindingUpdateListEntry]:
        if selector.mn_id is None and selector.link_layer_address is None:
            raise ControlError("say which node: mn_id or link_layer_address")
        bindings = self._gateway.core.binding_update_list
        candidates: Iterable[BindingUpdateListEntry] = bindings
        if selector.mn_id is not None:
            candidates = bindings.by_mn_id(selector.mn_id.encode())
        address = selector.link_layer_address and _address(selector.link_layer_address)
        chosen = [
            entry
            for entry in candidates
            if (not address or entry.attachment.mn_link_layer_id == address)
            and selector.access_interface in (None, entry.attachment.access_interface)
        ]
        if not chosen:
            raise NotFoundError("no such binding")
        return chosen

    async def _read_counters(self) -> DataplaneCounters:
        """What the packet path has counted; nothing while it cannot be read.

        Reading takes the packet path's time, which attaching nodes need: once a second will do.
        """
        now = self._gateway.pump.now()
        if now >= self._counters_until:
            self._counters_until = now + COUNTERS_VALID_S
            try:
                self._counters = await self._gateway.dataplane.counters()
            except DataplaneError:
                self._counters = DataplaneCounters()
        return self._counters

    async def _all_rows(self, counters: DataplaneCounters) -> list[Document]:
        nothing = BindingCounters()
        return [
            self._row(entry, counters.bindings.get(entry.binding_id, nothing))
            async for entry in in_steps(list(self._gateway.core.binding_update_list))
        ]

    def _row(self, entry: BindingUpdateListEntry, counters: BindingCounters) -> Document:
        now = self._gateway.pump.now()
        remaining_s = entry.expires_at - now if entry.is_serving else 0.0
        router = entry.gateway_link_local_address
        return {
            "binding_id": entry.binding_id,
            "mn_id": text_of_mn_id(entry.mn_id),
            "state": entry.state.value,
            "is_forwarding": entry.is_forwarding,
            "access_interface": entry.attachment.access_interface,
            "link_layer_address": format_link_layer_address(entry.attachment.mn_link_layer_id),
            "access_technology_type": entry.attachment.access_technology_type.name.lower(),
            "lma": self._lma(entry.lma_address),
            "lma_address": str(entry.lma_address),
            "home_network_prefixes": [str(prefix) for prefix in entry.home_network_prefixes],
            "gateway_link_local_address": None if router.is_unspecified else str(router),
            "local_routing": entry.profile.local_routing,
            "lifetime_s": entry.lifetime_s,
            "remaining_s": round(max(0.0, remaining_s), 1),
            "age_s": round(now - entry.attached_at, 1),
            "handoff_indicator": entry.request.handoff_indicator.name.lower(),
            "attempts": entry.attempts,
            "last_status": None if entry.last_status is None else status_name(entry.last_status),
            "hold_reason": entry.hold and entry.hold.reason,
            **asdict(counters),
        }

    def _peer_row(self, peer: LmaPeer) -> Document:
        now = self._gateway.pump.now()
        heard_s = peer.last_heard_at and now - peer.last_heard_at
        return {
            "lma": self._lma(peer.address),
            "lma_address": str(peer.address),
            "serving_bindings": peer.serving_bindings,
            "last_heard_s": heard_s and round(heard_s, 1),
            "waiting_updates": len(peer.updates),
            "held_s": round(peer.updates.held_s(now), 1),
            "network_errors": {
                name_of(error): count for error, count in peer.network_errors.items()
            },
            "quirks_applied": dict(peer.quirks_applied),
            "heartbeat": {
                "state": peer.liveness.state.value,
                "sent": peer.liveness.sent,
                "answered": peer.liveness.answered,
                "missed_in_a_row": peer.liveness.missed,
                "is_refused": peer.liveness.is_refused,
                "restart_counter": peer.liveness.restart_counter,
                "restarts_seen": peer.liveness.restarts_seen,
            },
            "requests": {
                kind.value: {
                    "sent": peer.sent[kind],
                    "retransmitted": peer.retransmitted[kind],
                    "answered": {
                        status_name(status): count
                        for (answered_kind, status), count in peer.answered.items()
                        if answered_kind is kind
                    },
                }
                for kind in RequestKind
            },
        }

    def _lma(self, address: IPv6Address) -> str:
        return self._gateway.lma_names.get(address, str(address))


async def _sum(counters: Collection[BindingCounters]) -> BindingCounters:
    total = [0, 0, 0, 0]
    async for each in in_steps(list(counters)):
        total[0] += each.uplink_packets
        total[1] += each.uplink_octets
        total[2] += each.downlink_packets
        total[3] += each.downlink_octets
    return BindingCounters(*total)


def _address(text: str) -> bytes:
    try:
        address = parse_link_layer_address(text)
    except ValueError as error:
        raise ControlError(f"link_layer_address: {error}") from None
    if address[0] & 1:
        raise ControlError(f"link_layer_address: {text} is not one node's")
    return address
