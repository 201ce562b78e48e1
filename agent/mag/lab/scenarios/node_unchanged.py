"""Verdicts that a mobile node noticed nothing (RFC 5213 §6.7), shared by scenarios."""

from collections.abc import Sequence
from functools import partial

from mag.lab.scenarios.steps import Findings, Step, StepFailed, Told
from mag.lab.world.mobile_node import NodeView


def node_verdicts(findings: Findings) -> Sequence[Step]:
    """What must be the same in all of findings.views."""
    return (
        Step("address_kept", partial(_judge_address, findings), is_verdict=True),
        Step("default_router_kept", partial(_judge_router, findings), is_verdict=True),
    )


async def _judge_address(findings: Findings) -> Told:
    """HNE-01: the very same address, not one that went and came back."""
    before, *after = (view.address for view in findings.views)
    if before is None or any(address != before for address in after):
        raise StepFailed(f"the node's address was {before}, then {_listed(findings.views[1:])}")
    return Told(f"{before.address} all the time")


async def _judge_router(findings: Findings) -> Told:
    """DR-02, DR-03: the same router, link-local address and MAC, wherever the node is."""
    before, *after = (view.default_router for view in findings.views)
    if before is None or any(router != before for router in after):
        raise StepFailed(f"the default router was {before}, then {_listed(findings.views[1:])}")
    return Told(f"{before.link_local_address} at {before.link_layer_address} in every cell")


def _listed(views: Sequence[NodeView]) -> str:
    return ", then ".join(str(view) for view in views)
