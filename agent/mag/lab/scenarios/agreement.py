"""Whether gateways, LMA and packet paths have the same bindings, shared by scenarios."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.steps import Step, StepFailed, Told
from mag.lab.world import topology

Session = tuple[str, frozenset[str], str]
"""MN-Identifier, home network prefixes, Proxy-CoA."""


def agreement_step(lab: RunningLab, nodes: int) -> Step:
    """A verdict; nodes: how many are to be served."""
    return Step("gateways_and_lma_agree", partial(_judge, lab, nodes), is_verdict=True)


async def _judge(lab: RunningLab, nodes: int) -> Told:
    found = await disagreements(lab, nodes)
    if found:
        raise StepFailed("; ".join(found))
    return Told(
        f"{nodes} nodes: what the gateways forward is what the LMA has accepted, and what both "
        "packet paths hold"
    )


async def disagreements(lab: RunningLab, nodes: int) -> Sequence[str]:
    """In words; empty if forwarding is everywhere what was accepted, for `nodes` nodes."""
    found = []
    forwarded: set[Session] = set()
    for gateway in topology.GATEWAYS:
        rows = await lab.gateways[gateway.name].bindings()
        here = {
            _session(row, str(gateway.proxy_care_of_address)) for row in rows if _is_served(row)
        }
        forwarded |= here
        in_path = (await lab.gateways[gateway.name].dataplane())["mobile_nodes"]
        if in_path != len(here):
            found.append(f"{gateway.name} serves {len(here)} nodes, its packet path {in_path}")
    accepted = {
        _session(row, row["proxy_care_of_address"])
        for row in await lab.anchor.bindings()
        if not row["is_deregistered"]
    }
    if len({mn_id for mn_id, _, _ in forwarded}) != nodes:
        found.append(f"{len(forwarded)} bindings forwarded for {nodes} nodes")
    for words, session in (
        *(("forwarded but not accepted", each) for each in forwarded - accepted),
        *(("accepted but not forwarded", each) for each in accepted - forwarded),
    ):
        mn_id, prefixes, proxy_care_of_address = session
        found.append(f"{words}: {mn_id} {sorted(prefixes)} at {proxy_care_of_address}")
    routed = {str(prefix) for prefix in await lab.links.prefixes_into_tunnels()}
    wanted = {prefix for _, prefixes, _ in accepted for prefix in prefixes}
    if routed != wanted:
        found.append(f"the LMA routes {sorted(routed ^ wanted)} otherwise than it accepted")
    return found


def _is_served(row: dict[str, Any]) -> bool:
    return bool(row["is_forwarding"])


def _session(row: dict[str, Any], proxy_care_of_address: str) -> Session:
    return row["mn_id"], frozenset(row["home_network_prefixes"]), proxy_care_of_address
