"""A gateway with one binding, behind a real admin API, for tests of what asks it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from mag.services.admin_api import AdminApi
from mag.services.event_stream import EventStream
from mag.services.gateway_control import (
    AttachRequest,
    ClearHeldRequest,
    ControlError,
    Document,
    DrainRequest,
    NodeSelector,
    NotFoundError,
)

STATUS: Document = {
    "identity": "mag1",
    "version": "0.1.0",
    "dataplane": "kernel",
    "proxy_care_of_address": "2001:db8:0:a::1",
    "uptime_s": 12.5,
    "is_serving": True,
    "bindings": 1,
    "drain": {"is_active": False, "sessions": 0, "remaining": 0},
    "clock": {
        "state": "in_step",
        "is_synchronized": True,
        "estimated_error_s": 0.0012,
        "maximum_error_s": 0.05,
        "reason": "",
    },
    "domain": {
        "digest": "0123456789ab",
        "variables": {
            "timestamp_based_approach_in_use": True,
            "mobile_node_generated_timestamp_in_use": False,
            "fixed_mag_link_local_address": "fe80::200:5eff:fe00:5213",
            "fixed_mag_link_layer_address": "00:00:5e:00:52:13",
        },
    },
    "journal": {
        "path": "/var/lib/mag/journal.db",
        "trouble": "",
        "behind_s": 0.0,
        "last_written_s": 3.0,
        "octets": 36864,
        "transactions": 2,
        "rows": 3,
        "failures": {"late": 1},
    },
}
BINDING_ROW: Document = {
    "mn_id": "mn1@example.net",
    "state": "active",
    "is_forwarding": True,
    "access_interface": "access1",
    "link_layer_address": "02:00:00:00:00:01",
    "lma": "lma1",
    "home_network_prefixes": ["2001:db8:100:1::/64"],
    "gateway_link_local_address": "fe80::200:5eff:fe00:5213",
    "local_routing": False,
    "lifetime_s": 3600,
    "remaining_s": 3500.0,
    "uplink_packets": 11,
    "downlink_packets": 22,
}
PEER_ROW: Document = {
    "lma": "lma1",
    "lma_address": "2001:db8:0:b::1",
    "serving_bindings": 1,
    "waiting_updates": 7,
    "held_s": 21.4,
    "network_errors": {"parameter_problem (1)": 2},
    "last_heard_s": None,
    "heartbeat": {"state": "reachable", "is_refused": False, "restarts_seen": 2},
    "requests": {
        "registration": {"sent": 3, "retransmitted": 2, "answered": {"ACCEPTED (0)": 1}},
    },
}
EXPLANATION: Document = {
    "query": "",
    "mn_id": "mn1@example.net",
    "has_service": False,
    "reason": "held",
    "sentence": "mn1@example.net has no service: lma1 did not accept it.",
    "lifted_by": "mag clear binding mn1@example.net",
    "bindings": [],
    "outcomes": [
        {
            "what": "rejected",
            "detail": "PROXY_REG_NOT_ENABLED (152)",
            "first_ago_s": 9.0,
            "last_ago_s": 3.0,
            "count": 2,
        }
    ],
}
DATAPLANE: Document = {
    "name": "fake",
    "version": "1",
    "limitations": ["cannot fly"],
    "missing": ["without wings: no gliding"],
    "is_up": False,
    "fault": "it fell asleep",
    "times_lost": 2,
    "losses_noticed": {"heard": 1},
    "restored": {"bindings": 3},
    "tunnels": [
        {
            "lma": "lma1",
            "lma_address": "2001:db8:0:b::1",
            "proxy_care_of_address": "2001:db8:0:a::1",
            "mtu_octets": 1460,
        }
    ],
    "access_links": ["access1"],
    "mobile_nodes": 1,
}
COUNTERS: Document = {
    "signalling": {"received": 5, "lost_before_us": 0, "send_failures": 0, "peers": [PEER_ROW]},
    "discarded": {"bad_checksum": 4},
    "access": {"discarded": {"bad_hop_limit": 2}, "attachments_refused": {"no_service": 3}},
    "dataplane": {
        "drops": {"unknown_source": 7},
        "failures": {"set tunnel": 1},
        "faults": {"punted_packets_lost": 9},
    },
    "bindings": [BINDING_ROW],
}
METRICS = "mag_bindings 1.0\n"


CONFIGURATION: Document = {
    "configuration": {"identity": "mag1"},
    "yaml": "identity: mag1\n",
}
CONFIGURATION_WITH_DEFAULTS: Document = {
    "configuration": {"identity": "mag1", "log": {"level": "info"}},
    "yaml": "identity: mag1\nlog:\n  level: info  # default\n",
}
PLAN: Document = {
    "can_apply": True,
    "changes": [
        {
            "path": "lmas.lma2",
            "kind": "created",
            "old": None,
            "new": {"address": "2001:db8::2"},
            "takes_effect": "at once",
            "obstacle": None,
        },
        {
            "path": "policy.nodes.mn1@example.net.lifetime_s",
            "kind": "changed",
            "old": None,
            "new": 400,
            "takes_effect": "with the next refresh",
            "obstacle": None,
        },
    ],
    "bindings": 3,
    "effects": {"other_lifetime": 1},
    "sessions": [
        {
            "mn_id": "mn1@example.net",
            "access_interface": "access1",
            "link_layer_address": "02:00:00:00:00:01",
            "lma": "lma1",
            "effects": {"other_lifetime": "3600 to 400 s with the next refresh"},
        }
    ],
    "sessions_left_off": 0,
}


class ScriptedControl:
    """Implements GatewayControl."""

    def __init__(self) -> None:
        self.plan_document = PLAN
        self.planned: list[tuple[bytes, str]] = []
        self.drained_at: list[float] = []
        self.remaining = 0
        self.stream = EventStream()
        self.requests: list[AttachRequest] = []

    def status(self) -> Document:
        """A session of a drain ends between two looks."""
        self.remaining = max(0, self.remaining - 1)
        return {**STATUS, "drain": self._drain()}

    async def serving(self) -> None:
        """It always does."""

    def configuration(self, *, with_defaults: bool) -> Document:
        return CONFIGURATION_WITH_DEFAULTS if with_defaults else CONFIGURATION

    async def plan(self, octets: bytes, source: str) -> Document:
        self.planned.append((octets, source))
        return self.plan_document

    async def reload(self) -> Document:
        if not self.plan_document["can_apply"]:
            raise ControlError("nothing is changed: a restart is needed")
        return self.plan_document

    async def drain(self, request: DrainRequest) -> Document:
        self.drained_at.append(request.rate_per_s)
        self.remaining = 2
        return self._drain()

    async def undrain(self) -> Document:
        if not self.drained_at:
            raise ControlError("the gateway is not being drained")
        return self._drain()

    def _drain(self) -> Document:
        is_active = bool(self.drained_at)
        sessions = 2 if is_active else 0
        return {"is_active": is_active, "sessions": sessions, "remaining": self.remaining}

    async def bindings(self) -> list[Document]:
        return [BINDING_ROW]

    def peers(self) -> list[Document]:
        return [PEER_ROW]

    async def explain(self, node: str) -> Document:
        return {**EXPLANATION, "query": node}

    async def dataplane(self) -> Document:
        return DATAPLANE

    async def counters(self) -> Document:
        return COUNTERS

    async def metrics(self) -> bytes:
        return METRICS.encode()

    async def attach(self, request: AttachRequest) -> Document:
        self.requests.append(request)
        return BINDING_ROW

    def detach(self, selector: NodeSelector) -> list[Document]:
        if selector.link_layer_address != BINDING_ROW["link_layer_address"]:
            raise NotFoundError("no such binding")
        return [BINDING_ROW]

    def clear(self, selector: NodeSelector) -> list[Document]:
        if selector.mn_id != BINDING_ROW["mn_id"]:
            raise ControlError("say which node")
        return [BINDING_ROW]

    def clear_held(self, request: ClearHeldRequest) -> Document:
        if request.lma not in (None, "lma1"):
            raise ControlError(f"no LMA is called {request.lma}; there are: lma1")
        return {"bindings": 300, "nodes": 250, "rate_per_s": request.rate_per_s}

    def events(self) -> AsyncIterator[Document]:
        return self.stream.watch()


@contextmanager
def served(control: ScriptedControl, path: Path) -> Iterator[None]:
    """The control behind its admin API, in a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    api = AdminApi(control, path, 0o600)
    loop.run_until_complete(api.open())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(api.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
