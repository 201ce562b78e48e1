"""The lab's first process: tries a scenario, tells about it, holds the lab if asked to."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import Sequence
from typing import Final

from rich.console import Console

from mag.frozen import frozen
from mag.lab.document import is_ok, lab_document
from mag.lab.held import answer_seekers
from mag.lab.packet_path.base import GatewayPacketPath
from mag.lab.plan import LabPlan
from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.steps import Findings, ScenarioScript, Step, StepResult, Told, tried
from mag.lab.timeline import Timeline
from mag.lab.world import topology

ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@frozen
class LabName:
    """The lab's name and the socket that holds it."""

    name: str
    holder: socket.socket


class ScenarioRun:
    """One scenario from its first step to the lab's end."""

    def __init__(
        self,
        scenario: ScenarioScript,
        lab_name: LabName,
        *,
        packet_path: GatewayPacketPath,
        prints_document: bool,
        holds: bool,
        capture: int | None,
        seed: int,
        plan: LabPlan,
    ) -> None:
        """capture: open descriptor of a file for a pcapng, if one is wanted. seed: of chance."""
        self._scenario = scenario
        self._lab_name = lab_name
        self._packet_path = packet_path
        self._prints_document = prints_document
        self._holds = holds
        self._capture = capture
        self._seed = seed
        self._plan = plan
        # The document has standard output for itself.
        self._console = Console(stderr=prints_document, highlight=False)
        self._is_held = False
        self._hold_is_over = asyncio.Event()

    def run(self) -> int:
        """The exit status: 0 if every step held, 1 if not, 128 + N when signal N ended it."""
        return asyncio.run(self._until_ended())

    async def _until_ended(self) -> int:
        task = asyncio.current_task()
        ended_by: list[int] = []

        def end(number: int) -> None:
            ended_by.append(number)
            if self._is_held:
                self._hold_is_over.set()
            elif task is not None:
                task.cancel()

        for number in ENDING_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, end, number)
        # Blocked since before this process was made, so that none was missed.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
        try:
            return await self._show()
        except asyncio.CancelledError:
            return 128 + ended_by[0]

    async def _show(self) -> int:
        timeline = Timeline(self._console)
        timeline.open(self._scenario, self._lab_name.name)
        findings = Findings()
        results: list[StepResult] = []
        async with RunningLab(
            self._packet_path, self._capture, plan=self._plan, seed=self._seed
        ) as lab:
            async for result in tried(self._steps(lab, findings)):
                timeline.step(result)
                results.append(result)
            timeline.close(results, findings)
            self._print_document(results, findings)
            if self._holds and lab.is_built:
                await self._hold()
        return 0 if is_ok(results) else 1

    def _steps(self, lab: RunningLab, findings: Findings) -> Sequence[Step]:
        steps = list(self._scenario.steps(lab, findings))
        if not self._holds:
            steps += _closing_steps(lab)
            if self._capture is not None:
                steps.append(_capture_step(lab))
        return steps

    def _print_document(self, results: Sequence[StepResult], findings: Findings) -> None:
        if self._prints_document:
            name, dataplane = self._scenario.name, self._packet_path.name
            document = lab_document(name, dataplane, results, findings)
            print(json.dumps(document), flush=True)

    async def _hold(self) -> None:
        name, holder = self._lab_name.name, self._lab_name.holder
        server = await answer_seekers(name, holder, time.time())
        self._is_held = True
        hints = (
            f"mag lab exec mn1 ping -c 3 {topology.CORRESPONDENT_SIDE.ip}",
            "mag show bindings",
            *self._packet_path.hints(),
        )
        self._console.print(f"The lab {name} stays until Ctrl-C. In another terminal:")
        for hint in hints:
            self._console.print(f"  {hint}", soft_wrap=True)
        async with server:
            await self._hold_is_over.wait()


def _closing_steps(lab: RunningLab) -> Sequence[Step]:
    packet_path = lab.packet_path

    async def stop_gateways() -> Told:
        await lab.stop_gateways()
        return Told(f"both gateways ended and left {packet_path.words_when_clean}")

    async def stop_anchor() -> Told:
        await lab.stop_anchor()
        return Told("the LMA ended and left no rule and no route behind")

    async def stop_packet_path() -> Told:
        await packet_path.stop()
        return Told(f"{packet_path.words} ended")

    steps = [
        Step("gateways_stopped", stop_gateways, is_verdict=True),
        Step("anchor_stopped", stop_anchor, is_verdict=True),
    ]
    if packet_path.bypasses_kernel:
        steps.append(Step("packet_path_stopped", stop_packet_path, is_verdict=True))
    return steps


def _capture_step(lab: RunningLab) -> Step:
    async def stop_capture() -> Told:
        await lab.stop_capture()
        return Told("every packet is in the capture file")

    return Step("capture_written", stop_capture, is_verdict=True)
