"""The lab while it runs: what scenarios do things with and ask things of."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from mag.daemon.run import ExitCode
from mag.lab.anchor.control_client import AnchorControlClient
from mag.lab.errors import LabError
from mag.lab.event_feed import EventFeed, LabEvent
from mag.lab.gateway_config import (
    gateway_config_file,
    write_anchor_config,
    write_gateway_config,
)
from mag.lab.held import anchor_socket, gateway_socket
from mag.lab.packet_path.base import GatewayPacketPath
from mag.lab.plan import USUAL, LabPlan
from mag.lab.world import topology
from mag.lab.world.links import Links, built_links
from mag.lab.world.mobile_node import NodeView
from mag.lab.world.node_process import NodeProcess, start_python
from mag.services.admin_client import AdminClient, AdminError
from mag.services.gateway_control import Document

POLL_INTERVAL_S: Final = 0.005
_START_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 30.0
"""Twice what a gateway gives itself (`shutdown.timeout_s`, CLEAN_UP_S): a busy machine takes
seconds to end an interpreter."""
_SUPERVISORS_PAUSE_S: Final = 0.2
_CAPTURE_STOP_TIMEOUT_S: Final = 1.0


class RunningLab:
    """Links, processes and events of one lab; an async context manager."""

    def __init__(
        self,
        packet_path: GatewayPacketPath,
        capture: int | None = None,
        *,
        plan: LabPlan = USUAL,
        seed: int = 0,
    ) -> None:
        """capture: descriptor of a file that takes a pcapng of all links. seed: of all chance."""
        self.packet_path = packet_path
        self.plan = plan
        self.seed = seed
        self._capture_file = capture
        self._capture: NodeProcess | None = None
        self._stack = AsyncExitStack()
        self.feed = EventFeed()
        self.gateways: dict[str, AdminClient] = {}
        self._gateway_processes: dict[str, NodeProcess] = {}
        self._anchor: NodeProcess | None = None
        self._anchor_control: AnchorControlClient | None = None
        self._links: Links | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.feed.close()
        await self._stack.aclose()
        await self.stop_capture()

    @property
    def is_built(self) -> bool:
        """Whether there is anything to look at."""
        return self._links is not None

    @property
    def links(self) -> Links:
        """The links; LabError before build_links."""
        if self._links is None:
            raise LabError("the links are not built")
        return self._links

    async def build_links(self) -> None:
        """Make all namespaces and links."""
        self._links = await self._stack.enter_async_context(
            built_links(
                gateways_bypass_kernel=self.packet_path.bypasses_kernel,
                crowd=topology.crowd(self.plan.crowd),
            )
        )
        if self._capture_file is not None:
            await self._start_capture(self._capture_file)

    async def _start_capture(self, file: int) -> None:
        arguments = ("-m", "mag.lab.capture", str(file), *topology.CAPTURED_INTERFACES)
        self._capture = start_python(topology.CORE, "capture", arguments, passed=(file,))
        await self._capture.next_line(_START_TIMEOUT_S)

    async def stop_capture(self) -> None:
        """Write out what was caught; LabError when not all of it could be."""
        capture, self._capture = self._capture, None
        if capture is not None and await capture.stop(_CAPTURE_STOP_TIMEOUT_S) != 0:
            raise LabError(f"the capture broke off{capture.log_tail()}")

    @property
    def anchor(self) -> AnchorControlClient:
        """The LMA's control socket; LabError before start_anchor."""
        if self._anchor_control is None:
            raise LabError("the LMA is not started")
        return self._anchor_control

    async def start_anchor(self) -> None:
        """Start the reference LMA and wait until it serves."""
        name = topology.LOCAL_MOBILITY_ANCHOR
        told = {"--config": write_anchor_config(self.plan), "--control": anchor_socket()}
        options = (str(each) for pair in {**told, "--seed": self.seed}.items() for each in pair)
        self._anchor = start_python(name, name, ("-m", "mag", "lab", "lma", *options))
        # Its first line says that it serves; the feed takes those that follow.
        await self._anchor.next_line(_START_TIMEOUT_S)
        self.feed.follow_anchor(name, self._anchor)
        control = AnchorControlClient(anchor_socket())
        self._anchor_control = await self._stack.enter_async_context(control)

    async def start_packet_path(self) -> str:
        """Start what the gateways forward with; in words, what runs."""
        return await self.packet_path.start(self.links)

    async def start_gateways(self) -> None:
        """Start both gateways and wait until they serve."""
        for gateway in topology.GATEWAYS:
            write_gateway_config(gateway, self.packet_path, self.plan)
            self._start_gateway(gateway.name)
        for name in self._gateway_processes:
            await self._until_it_serves(name)

    async def kill_gateway(self, name: str) -> None:
        """End a gateway's agent without a chance to do anything more (SIGKILL)."""
        await self._gateway_processes[name].kill(_STOP_TIMEOUT_S)

    async def start_gateway_again(self, name: str) -> None:
        """Start the agent of a gateway that was killed, until it serves.

        One that finds its packet path not ready ends, and is started again, as a supervisor does.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            self._start_gateway(name)
            try:
                return await self._until_it_serves(name)
            except LabError:
                status = self._gateway_processes[name].exit_status
                if status != ExitCode.CANNOT_START or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_SUPERVISORS_PAUSE_S)

    def gateway_log(self, name: str) -> list[Document]:
        """What a gateway's agent has logged since its last start."""
        return [json.loads(line) for line in self._gateway_processes[name].log_lines()]

    def _start_gateway(self, name: str) -> None:
        arguments = ("-m", "mag", "run", str(gateway_config_file(name)))
        process = start_python(name, name, arguments, reads_output=False)
        self._gateway_processes[name] = process

    async def _until_it_serves(self, name: str) -> None:
        client = await self._stack.enter_async_context(AdminClient(gateway_socket(name)))
        self.gateways[name] = client
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not await _status(client):
            self._check_starting(name, deadline)
            await asyncio.sleep(POLL_INTERVAL_S)
        self.feed.follow_gateway(name, client)
        # The request for the stream goes out before the next one: nothing is missed.
        await asyncio.sleep(0)
        while not (await _status(client)).get("is_serving"):
            self._check_starting(name, deadline)
            await asyncio.sleep(POLL_INTERVAL_S)

    def _check_starting(self, name: str, deadline: float) -> None:
        process = self._gateway_processes[name]
        if process.exit_status is not None:
            raise LabError(f"{name} has ended{process.log_tail()}")
        if time.monotonic() > deadline:
            raise LabError(f"{name} is not ready in {_START_TIMEOUT_S:g} s{process.log_tail()}")

    async def stop_gateways(self) -> None:
        """End both in order (SIGTERM); LabError when one fails or leaves something behind."""
        stopping = (process.stop(_STOP_TIMEOUT_S) for process in self._gateway_processes.values())
        statuses = await asyncio.gather(*stopping)
        for process, status in zip(self._gateway_processes.values(), statuses, strict=True):
            if status != 0:
                raise LabError(f"{process.name} ended with status {status}{process.log_tail()}")
            await self._check_nothing_left(process.name)

    async def stop_anchor(self) -> None:
        """End the LMA in order (SIGTERM); LabError when it fails or leaves something behind."""
        if self._anchor is None:
            return
        status = await self._anchor.stop(_STOP_TIMEOUT_S)
        if status != 0:
            raise LabError(f"the LMA ended with status {status}{self._anchor.log_tail()}")
        await self._check_nothing_left(self._anchor.name)

    async def _check_nothing_left(self, node: str) -> None:
        in_kernel = await self.links.foreign_forwarding(node)
        if in_kernel:
            raise LabError(f"{node} left behind in its kernel: {', '.join(in_kernel)}")
        elsewhere = await self.packet_path.left_behind(node)
        if elsewhere:
            raise LabError(f"{node} left behind: {', '.join(elsewhere)}")

    async def view_when(
        self, node: str, timeout_s: float, *, is_ready: Callable[[NodeView], bool], what: str
    ) -> NodeView:
        """A mobile node's view as soon as it satisfies `is_ready`; LabError names `what`."""
        deadline = time.monotonic() + timeout_s
        while not is_ready(view := await self.links.view_of(node)):
            if time.monotonic() > deadline:
                raise LabError(f"{what} not within {timeout_s:g} s: {view}{self.logs()}")
            await asyncio.sleep(POLL_INTERVAL_S)
        return view

    async def said(
        self, source: str, name: str, mn_id: str, since: float, timeout_s: float
    ) -> LabEvent:
        """The first event of that name about a node since a moment; LabError if none comes."""
        return await self.feed.wait_for(
            lambda event: event.is_of(source, name, mn_id) and event.at >= since,
            timeout_s,
            f"{source}: no {name} for {mn_id}{self.logs()}",
        )

    async def binding_of(self, gateway: str, mn_id: str) -> Document | None:
        """A node's row in `mag show bindings` of a gateway; None: it has none."""
        rows = await self.gateways[gateway].bindings()
        return next((row for row in rows if row["mn_id"] == mn_id), None)

    def logs(self) -> str:
        """The ends of all daemons' logs, to stand below an error."""
        processes = [*self._gateway_processes.values()]
        if self._anchor is not None:
            processes.append(self._anchor)
        daemons = "".join(f"\n  {each.name} said:{each.log_tail()}" for each in processes)
        return daemons + self.packet_path.logs()


async def _status(client: AdminClient) -> Document:
    """Empty while nobody answers."""
    try:
        return await client.status()
    except AdminError:
        return {}
