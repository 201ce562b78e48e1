"""Scenario `reload`: a gateway takes other files under live traffic of a node they do not concern.

The file of one gateway is edited in place, as an operator does, and taken with `mag reload`.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import yaml

from mag.lab.gateway_config import gateway_config_file
from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.attach import attach_steps, reaches
from mag.lab.scenarios.node_unchanged import node_verdicts
from mag.lab.scenarios.steps import Findings, ScenarioScript, Step, StepFailed, Told
from mag.lab.scenarios.with_crowd import crowd_at_will_steps, crowd_mn_ids
from mag.lab.scenarios.with_traffic import traffic_steps, traffic_verdicts
from mag.lab.world import topology
from mag.services.admin_client import AdminError

_TIMEOUT_S: Final = 10.0
_SPARE_LMA_ADDRESS: Final = "2001:db8:c0::2"
"""Nobody answers there; an LMA that is configured before it is built."""
_VALID_LIFETIME_S: Final = 7200

_Edit = Callable[[dict[str, Any]], object]


def _steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    node, neighbour, _ = topology.MOBILE_NODES
    reloads = _Reloads(lab, findings, node, neighbour)
    meanwhile = (
        Step(f"{neighbour.name}_removed", reloads.remove_neighbour),
        Step("faulty_file_refused", reloads.break_file),
        Step(f"lma_and_{neighbour.name}_added", reloads.add_lma_and_neighbour),
        Step("other_lifetimes_told", reloads.change_lifetimes),
    )
    return (
        *attach_steps(lab, findings),
        *crowd_at_will_steps(lab, findings),
        *traffic_steps(lab, findings, node, meanwhile, with_crowd=lab.plan.crowd > 0),
        *node_verdicts(findings),
        *traffic_verdicts(findings),
        Step(
            f"{neighbour.name}_reaches_correspondent_again",
            partial(reaches, lab, neighbour),
            is_verdict=True,
        ),
    )


RELOAD: Final = ScenarioScript(
    "reload",
    "a gateway takes other configurations under live traffic; who is not concerned loses nothing",
    _steps,
    takes_crowd=True,
)


class _Reloads:
    def __init__(
        self,
        lab: RunningLab,
        findings: Findings,
        node: topology.MobileNode,
        neighbour: topology.MobileNode,
    ) -> None:
        """node: has the traffic and is never concerned; neighbour: goes and comes back."""
        self._lab = lab
        self._findings = findings
        self._node = node
        self._neighbour = neighbour
        self._gateway = topology.gateway_of(node.cell).name
        self._entry: Any = None
        """The neighbour's, in the policy."""

    async def remove_neighbour(self) -> Told:
        def remove(document: dict[str, Any]) -> None:
            self._entry = document["policy"]["nodes"].pop(self._neighbour.mn_id)

        since = time.time()
        await self._take(remove, {self._neighbour.mn_id: ["ended"]})
        await self._wait("binding_lost", self._neighbour, since)
        name = self._neighbour.name
        return self._told(f"{name} left the policy: de-registered and told so", since)

    async def break_file(self) -> Told:
        client = self._lab.gateways[self._gateway]
        before = await client.configuration()
        file = gateway_config_file(self._gateway)
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("lmas:", "lmass:"), encoding="utf-8")
        try:
            await client.reload()
        except AdminError as error:
            reason = str(error).splitlines()[0]
        else:
            raise StepFailed("the gateway took a file with a fault")
        finally:
            file.write_text(text, encoding="utf-8")
        if await client.configuration() != before:
            raise StepFailed("the gateway refused the file and yet took something of it")
        return Told(f"a file with a fault was refused as a whole: {reason}")

    async def add_lma_and_neighbour(self) -> Told:
        def add(document: dict[str, Any]) -> None:
            document["lmas"]["spare"] = {"address": _SPARE_LMA_ADDRESS}
            document["policy"]["nodes"][self._neighbour.mn_id] = self._entry

        since = time.time()
        await self._take(add, {})
        await self._wait("router_advertisement_sent", self._neighbour, since)
        name = self._neighbour.name
        return self._told(f"an LMA more, and {name} again: asked to speak up and served", since)

    async def change_lifetimes(self) -> Told:
        def change(document: dict[str, Any]) -> None:
            lifetimes = {
                "valid_lifetime_s": _VALID_LIFETIME_S,
                "preferred_lifetime_s": _VALID_LIFETIME_S,
            }
            document["router_advertisement"] = lifetimes
            document["protocol"] = {"lifetime_s": 1200}

        since = time.time()
        touched = ["other_lifetime", "advertised_again"]
        here = (self._node.mn_id, self._neighbour.mn_id, *crowd_mn_ids(self._lab))
        await self._take(change, dict.fromkeys(here, touched))
        await self._wait("router_advertisement_sent", self._node, since)
        self._findings.views.append(await self._lab.links.view_of(self._node.name))
        sentence = f"prefixes of {_VALID_LIFETIME_S} s, told at once; shorter bindings, later"
        return Told(sentence, self._lab.feed.events(self._node.mn_id, since), since)

    async def _take(self, edit: _Edit, expected: dict[str, list[str]]) -> None:
        """Edit the file, look at the plan, have it taken, and compare."""
        client = self._lab.gateways[self._gateway]
        file = gateway_config_file(self._gateway)
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        edit(document)
        text = yaml.safe_dump(document, sort_keys=False)
        file.write_text(text, encoding="utf-8")
        planned = await client.plan(text.encode(), str(file))
        taken = await client.reload()
        for what, answer in (("plan", planned), ("reload", taken)):
            effects = {row["mn_id"]: list(row["effects"]) for row in answer["sessions"]}
            if effects != expected:
                raise StepFailed(f"the {what} touches {effects}, not {expected}")

    async def _wait(self, name: str, node: topology.MobileNode, since: float) -> None:
        await self._lab.feed.wait_for(
            lambda event: event.is_of(self._gateway, name, node.mn_id) and event.at >= since,
            _TIMEOUT_S,
            f"{self._gateway}: no {name} for {node.name}{self._lab.logs()}",
        )

    def _told(self, sentence: str, since: float) -> Told:
        return Told(sentence, self._lab.feed.events(self._neighbour.mn_id, since), since)
