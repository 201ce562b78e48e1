"""`mag lab`: starts the private namespaces, tries a scenario in them, tells, and goes.

Two processes: the one that was called stays outside, waits and passes signals on; the first one
inside does everything else. When either ends, nothing is left.
"""

import contextlib
import os
import random
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from mag.lab.errors import LabError
from mag.lab.held import exec_in_lab, take_name
from mag.lab.options import LabOptions, PacketPath, Scenario
from mag.lab.packet_path.base import GatewayPacketPath
from mag.lab.packet_path.kernel import KernelPacketPath
from mag.lab.packet_path.vpp import VppPacketPath
from mag.lab.packet_path.vpp_installation import find_vpp
from mag.lab.plan import LabPlan
from mag.lab.scenario_run import ENDING_SIGNALS, LabName, ScenarioRun
from mag.lab.scenarios.agent_restart import AGENT_RESTART
from mag.lab.scenarios.attach import ATTACH
from mag.lab.scenarios.dataplane_restart import DATAPLANE_RESTART
from mag.lab.scenarios.faults import FAULTS
from mag.lab.scenarios.handover import HANDOVER
from mag.lab.scenarios.lma_addresses import LMA_ADDRESSES
from mag.lab.scenarios.lma_restart import LMA_RESTART
from mag.lab.scenarios.reject import REJECT
from mag.lab.scenarios.reload import RELOAD
from mag.lab.scenarios.steps import ScenarioScript
from mag.lab.scenarios.storm import STORM
from mag.lab.world import topology
from mag.lab.world.private_namespaces import start_in_private_namespaces

__all__ = ["exec_in_lab", "run_lab"]

_SCRIPTS: Final[Mapping[Scenario, ScenarioScript]] = {
    Scenario.ATTACH: ATTACH,
    Scenario.HANDOVER: HANDOVER,
    Scenario.LMA_ADDRESSES: LMA_ADDRESSES,
    Scenario.DATAPLANE_RESTART: DATAPLANE_RESTART,
    Scenario.REJECT: REJECT,
    Scenario.FAULTS: FAULTS,
    Scenario.STORM: STORM,
    Scenario.LMA_RESTART: LMA_RESTART,
    Scenario.RELOAD: RELOAD,
    Scenario.AGENT_RESTART: AGENT_RESTART,
}
_SEEDS: Final = 1_000_000
_PATIENCE_S: Final = 3.0
"""After a signal; then what is still there is killed."""


def run_lab(options: LabOptions) -> int:
    """Run a scenario; 0 if every step held, 1 if not, 128 + N if signal N ended it early.

    Standard error gets one line when the lab cannot be started.
    """
    try:
        _require_root()
        packet_path = _packet_path(options)
        plan = _plan(options)
        with _opened(options.pcap) as capture:
            name, holder = take_name()
            with holder:
                return _run_and_wait(options, packet_path, plan, LabName(name, holder), capture)
    except LabError as error:
        print(f"mag lab: {error}", file=sys.stderr)
        return 1


def _require_root() -> None:
    if os.geteuid() != 0:
        raise LabError("needs root: it makes network namespaces (try sudo)")


def _packet_path(options: LabOptions) -> GatewayPacketPath:
    if options.dataplane is PacketPath.VPP:
        return VppPacketPath(find_vpp())
    if options.scenario is Scenario.DATAPLANE_RESTART:
        raise LabError(
            f"scenario {options.scenario} kills the packet path, which with the kernel would be "
            "this machine: add --dataplane vpp"
        )
    return KernelPacketPath()


def _plan(options: LabOptions) -> LabPlan:
    script = _SCRIPTS[options.scenario]
    if options.nodes is None:
        return script.plan
    if not script.takes_crowd:
        raise LabError(f"scenario {options.scenario} has the nodes it has: leave --nodes out")
    return replace(script.plan, crowd=options.nodes - len(topology.MOBILE_NODES))


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[int | None]:
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LabError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _any_seed() -> int:
    return random.SystemRandom().randrange(_SEEDS)


def _run_and_wait(
    options: LabOptions,
    packet_path: GatewayPacketPath,
    plan: LabPlan,
    lab_name: LabName,
    capture: int | None,
) -> int:
    def first_process() -> int:
        run = ScenarioRun(
            _SCRIPTS[options.scenario],
            lab_name,
            packet_path=packet_path,
            prints_document=options.as_json,
            holds=options.hold,
            capture=capture,
            seed=_any_seed() if options.seed is None else options.seed,
            plan=plan,
        )
        return run.run()

    # Until both processes are ready to take one, a signal waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        pid = start_in_private_namespaces(first_process)
        return _wait(pid)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


def _wait(pid: int) -> int:
    """Pass signals on to the lab's first process until it has ended; returns its exit status."""
    passed_on: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        passed_on.append(number)
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S)
        os.kill(pid, number)

    def lose_patience(_number: int, _frame: object) -> None:
        os.kill(pid, signal.SIGKILL)

    handlers = dict.fromkeys(ENDING_SIGNALS, pass_on) | {signal.SIGALRM: lose_patience}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
    try:
        _, status = os.waitpid(pid, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    return 128 + passed_on[0] if passed_on else 128 - code
