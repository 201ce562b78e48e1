"""Scenario `storm`: a hundred nodes switch on at one moment.

They are interfaces of one kernel (macvlan over one radio): each does what a node's kernel does
(duplicate address detection, MLD, Router Solicitations, SLAAC) without a namespace of its own,
which would take longer to build than the storm lasts.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv6Address
from typing import Final

from mag.lab.plan import LabPlan
from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.agreement import agreement_step
from mag.lab.scenarios.attach import domain_steps
from mag.lab.scenarios.steps import Findings, ScenarioScript, Step, StepFailed, Told
from mag.lab.scenarios.with_crowd import crowd_configured_step, crowd_gateway, crowd_steps
from mag.lab.world import topology
from mag.lab.world.reachability import echo_round_trip_s

CROWD: Final = 100
_ECHO_TIMEOUT_S: Final = 2.0
_ECHO_ATTEMPTS: Final = 3


def _steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    return (
        *domain_steps(lab),
        *crowd_steps(lab, findings),
        Step("no_update_lost_for_good", partial(_judge_updates, lab), is_verdict=True),
        agreement_step(lab, lab.plan.crowd),
        crowd_configured_step(lab),
        Step("crowd_reaches_correspondent", partial(_reaches, lab)),
    )


STORM: Final = ScenarioScript(
    "storm", f"{CROWD} mobile nodes switch on at one moment", _steps, LabPlan(crowd=CROWD)
)


async def _judge_updates(lab: RunningLab) -> Told:
    """Every node was accepted; what was lost on the way was sent again."""
    client = lab.gateways[crowd_gateway(lab).name]
    (peer,) = await client.peers()
    tally = peer["requests"]["registration"]
    accepted = tally["answered"].get("ACCEPTED (0)", 0)
    lost = (await client.counters())["signalling"]["lost_before_us"]
    sentence = (
        f"{tally['sent']} Proxy Binding Updates, {tally['retransmitted']} of them sent again, "
        f"{accepted} accepted, {lost} answers lost before the gateway"
    )
    if accepted < lab.plan.crowd:
        raise StepFailed(sentence)
    return Told(sentence)


async def _reaches(lab: RunningLab) -> Told:
    addresses = await lab.links.crowd_addresses()
    started = time.monotonic()
    answers = await asyncio.gather(*(_echo(*each) for each in addresses.items()))
    missing = [name for name, answer in zip(addresses, answers, strict=True) if answer is None]
    if missing:
        raise StepFailed(f"no echo for {len(missing)} nodes: {', '.join(missing)}{lab.logs()}")
    spent_ms = (time.monotonic() - started) * 1000
    return Told(f"{len(answers)} nodes exchange packets with the correspondent", ms=spent_ms)


async def _echo(interface: str, source: IPv6Address) -> float | None:
    """A kernel limits how many echoes it answers at once: a few attempts."""
    for _ in range(_ECHO_ATTEMPTS):
        spent_s = await echo_round_trip_s(
            topology.CROWD,
            source,
            topology.CORRESPONDENT_SIDE.ip,
            _ECHO_TIMEOUT_S,
            interface=interface,
        )
        if spent_s is not None:
            return spent_s
    return None
