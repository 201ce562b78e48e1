"""Steps about a crowd of light-weight nodes, shared by scenarios."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from mag.lab.running_lab import POLL_INTERVAL_S, RunningLab
from mag.lab.scenarios.steps import CrowdService, Findings, Step, StepFailed, Told
from mag.lab.world import topology

_SERVICE_TIMEOUT_S: Final = 60.0
_CONFIGURE_TIMEOUT_S: Final = 30.0


def crowd_steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    """All nodes of the plan's crowd switch on at one moment and are served."""
    return (
        Step("crowd_switched_on", partial(_switch_on, lab, findings)),
        Step("crowd_served", partial(_served, lab, findings)),
    )


def crowd_at_will_steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    """As crowd_steps, until each has its address; nothing where the plan has no crowd."""
    if not lab.plan.crowd:
        return ()
    return *crowd_steps(lab, findings), crowd_configured_step(lab)


def crowd_configured_step(lab: RunningLab) -> Step:
    """Each node of the crowd has made its address."""
    return Step("crowd_configured", partial(_configured, lab))


def crowd_gateway(lab: RunningLab) -> topology.Gateway:
    """The gateway that serves the crowd."""
    return topology.gateway_of(topology.crowd(lab.plan.crowd)[0].cell)


def crowd_mn_ids(lab: RunningLab) -> tuple[str, ...]:
    """Of all its nodes."""
    return tuple(node.mn_id for node in topology.crowd(lab.plan.crowd))


async def _switch_on(lab: RunningLab, findings: Findings) -> Told:
    findings.switched_on_at = time.time()
    await lab.links.switch_on_crowd()
    return Told(
        f"{lab.plan.crowd} nodes got their carrier at one moment; each kernel interface checks its "
        "own address, joins its groups and looks for a router"
    )


async def _served(lab: RunningLab, findings: Findings) -> Told:
    gateway, mn_ids = crowd_gateway(lab).name, crowd_mn_ids(lab)
    since = findings.switched_on_at
    advertised = await lab.feed.first_of_each(
        gateway, "router_advertisement_sent", mn_ids, since, _SERVICE_TIMEOUT_S
    )
    installed = await lab.feed.first_of_each(
        gateway, "forwarding_installed", mn_ids, since, _SERVICE_TIMEOUT_S
    )
    crowd = CrowdService(
        nodes=len(mn_ids),
        served_ms=tuple(sorted((event.at - since) * 1000 for event in advertised.values())),
        setup_ms=tuple(sorted(float(event.facts["setup_ms"]) for event in installed.values())),
    )
    findings.crowd = crowd
    half, p50, p99 = (
        crowd.quantile(crowd.served_ms, 0.5),
        crowd.quantile(crowd.setup_ms, 0.5),
        crowd.quantile(crowd.setup_ms, 0.99),
    )
    return Told(
        f"{crowd.nodes} nodes served by {gateway}: the first after {crowd.served_ms[0]:.0f} ms, "
        f"half after {half:.0f} ms, all after {crowd.served_ms[-1]:.0f} ms; "
        f"attach to forwarding {p50:.1f} ms in the middle, {p99:.1f} ms for 99 %",
        ms=crowd.served_ms[-1],
    )


async def _configured(lab: RunningLab) -> Told:
    deadline = time.monotonic() + _CONFIGURE_TIMEOUT_S
    while len(addresses := await lab.links.crowd_addresses()) < lab.plan.crowd:
        if time.monotonic() > deadline:
            raise StepFailed(f"{len(addresses)} of {lab.plan.crowd} nodes have an address")
        await asyncio.sleep(POLL_INTERVAL_S)
    prefixes = {int(address) >> 64 for address in addresses.values()}
    if len(prefixes) != lab.plan.crowd:
        raise StepFailed(f"{lab.plan.crowd} nodes have {len(prefixes)} different prefixes")
    return Told(f"{len(addresses)} nodes have made an address each, no two of the same prefix")
