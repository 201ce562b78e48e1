"""Scenario `attach`: three nodes switch on and get their home link from the gateways."""

import time
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv6Address
from typing import Final

from mag.lab.anchor.forwarding import tunnel_interface
from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.steps import Findings, ScenarioScript, Step, StepFailed, Told
from mag.lab.scenarios.with_traffic import traffic_steps, traffic_verdicts
from mag.lab.world import topology
from mag.lab.world.mobile_node import NodeAddress, NodeView
from mag.lab.world.reachability import echo_round_trip_s

_ATTACH_TIMEOUT_S: Final = 10.0
_CONFIGURE_TIMEOUT_S: Final = 10.0
_ECHO_TIMEOUT_S: Final = 2.0


def domain_steps(lab: RunningLab) -> Sequence[Step]:
    """Everything up to two gateways and an LMA that wait for nodes."""
    return (
        Step("links_built", partial(_build_links, lab)),
        Step("anchor_ready", partial(_start_anchor, lab)),
        *_packet_path_steps(lab),
        Step("gateways_ready", partial(_start_gateways, lab)),
    )


def attach_steps(
    lab: RunningLab,
    findings: Findings,
    nodes: Sequence[topology.MobileNode] = topology.MOBILE_NODES,
) -> Sequence[Step]:
    """Everything up to these nodes, usually all three, that reach the correspondent."""
    return (
        *domain_steps(lab),
        Step("nodes_switched_on", partial(_switch_on, lab, findings, nodes)),
        *(Step(f"{node.name}_attached", partial(_attached, lab, findings, node)) for node in nodes),
        *(Step(f"{node.name}_configured", partial(configured, lab, node)) for node in nodes),
        *(
            Step(f"{node.name}_reaches_correspondent", partial(reaches, lab, node))
            for node in nodes
        ),
    )


def _steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    return (
        *attach_steps(lab, findings),
        *traffic_steps(lab, findings, topology.MOBILE_NODES[0]),
        *traffic_verdicts(findings),
    )


ATTACH: Final = ScenarioScript(
    "attach", "three mobile nodes switch on and get their home link from the gateways", _steps
)


async def _build_links(lab: RunningLab) -> Told:
    await lab.build_links()
    cells = " and ".join(gateway.cell for gateway in topology.GATEWAYS)
    return Told(f"{len(topology.NODES)} namespaces, radio cells {cells}, core segment")


async def _start_anchor(lab: RunningLab) -> Told:
    await lab.start_anchor()
    return Told(f"reference LMA serves {topology.PREFIX_POOL} at {topology.LMA_ADDRESS}")


def _packet_path_steps(lab: RunningLab) -> Sequence[Step]:
    """What is a process of its own runs before the gateways do."""
    if not lab.packet_path.bypasses_kernel:
        return ()
    return (Step("packet_path_ready", partial(_start_packet_path, lab)),)


async def _start_packet_path(lab: RunningLab) -> Told:
    return Told(await lab.start_packet_path())


async def _start_gateways(lab: RunningLab) -> Told:
    await lab.start_gateways()
    names = " and ".join(gateway.name for gateway in topology.GATEWAYS)
    return Told(f"{names} run: `mag run` on {lab.packet_path.words}")


async def _switch_on(
    lab: RunningLab, findings: Findings, nodes: Sequence[topology.MobileNode]
) -> Told:
    findings.switched_on_at = time.time()
    for node in nodes:
        await lab.links.switch_on(node.name)
    where = ", ".join(f"{node.name} in {node.cell}" for node in nodes)
    return Told(f"radios on: {where}; nobody told the gateways")


async def _attached(lab: RunningLab, findings: Findings, node: topology.MobileNode) -> Told:
    gateway = topology.gateway_of(node.cell).name
    advertised = await lab.feed.wait_for(
        lambda event: event.is_of(gateway, "router_advertisement_sent", node.mn_id),
        _ATTACH_TIMEOUT_S,
        f"{gateway} has not advertised a home network to {node.name}{lab.logs()}",
    )
    events = lab.feed.events(node.mn_id, findings.switched_on_at, advertised.at)
    since = events[0].at
    sentence = f"{node.name} noticed, registered, forwarded and advertised to by {gateway}"
    return Told(sentence, events, since, ms=(advertised.at - since) * 1000)


async def configured(lab: RunningLab, node: topology.MobileNode) -> Told:
    """The node has made an address, and knows its router and MTU, as it was told."""
    view = await lab.view_when(
        node.name,
        _CONFIGURE_TIMEOUT_S,
        is_ready=lambda view: view.address is not None and view.default_router is not None,
        what=f"{node.name} has no address and default router of its own",
    )
    address = _checked(node, view, lab.plan.fixed_router)
    return Told(
        f"{node.name} made {address.address} (its own check for duplicates takes 1 s), default "
        f"router {view.default_router and view.default_router.link_local_address}, "
        f"MTU {view.mtu}"
    )


def _checked(
    node: topology.MobileNode, view: NodeView, fixed_router: IPv6Address | None
) -> NodeAddress:
    """What RFC 5213 §6.9.2, §6.9.3 and §6.9.5 promise the node."""
    if view.address is None or not view.address.prefix.subnet_of(topology.PREFIX_POOL):
        raise StepFailed(f"{node.name}'s address {view.address} is not of {topology.PREFIX_POOL}")
    router = view.default_router
    if router is None or fixed_router not in (None, router.link_local_address):
        raise StepFailed(f"{node.name}'s default router is {router}")
    if view.mtu != topology.TUNNEL_MTU:
        raise StepFailed(f"{node.name}'s MTU is {view.mtu}, the tunnel's {topology.TUNNEL_MTU}")
    return view.address


async def reaches(lab: RunningLab, node: topology.MobileNode) -> Told:
    """The echo comes back, and back through the LMA's tunnel to this node's gateway."""
    view = await lab.links.view_of(node.name)
    if view.address is None:
        raise StepFailed(f"{node.name} has lost its address")
    before = await _tunnelled(lab)
    spent_s = await echo_round_trip_s(
        node.name, view.address.address, topology.CORRESPONDENT_SIDE.ip, _ECHO_TIMEOUT_S
    )
    if spent_s is None:
        raise StepFailed(
            f"no echo from {topology.CORRESPONDENT_SIDE.ip} to {node.name}{lab.logs()}"
        )
    if await _tunnelled(lab) == before:
        raise StepFailed(f"the echo reached {node.name}, but not through the tunnel")
    return Told(f"{node.name} and the correspondent exchange packets, {spent_s * 1000:.1f} ms")


async def _tunnelled(lab: RunningLab) -> int:
    """Packets that the LMA has sent into its tunnels."""
    anchor = topology.LOCAL_MOBILITY_ANCHOR
    sent = 0
    for number in range(len(topology.GATEWAYS)):
        _, into_tunnel = await lab.links.packets_through(anchor, tunnel_interface(number))
        sent += into_tunnel
    return sent
