"""Scenario `faults`: a seeded storm of misbehaviour, then calm: every binding is right or gone.

The LMA refuses, loses, delays, falsifies and restarts; nodes move all the while. Afterwards it
relents, an operator clears what is held, and everybody has to agree again. The seed decides what is
done in which order; which message meets it depends on the machine's pace too.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv6Network
from typing import Final

from mag.lab.anchor.faults import (
    Alter,
    Delay,
    Duplicate,
    Fault,
    Garble,
    Grant,
    Lose,
    MessageKind,
    Misdeed,
    Omit,
    Part,
    Reject,
    Reorder,
    Way,
    Where,
)
from mag.lab.anchor.unsolicited import (
    Telegram,
    Unsolicited,
    UnsolicitedAcknowledgement,
    UnsolicitedBindingError,
    UnsolicitedHeartbeat,
    UnsolicitedOctets,
    UnsolicitedRefreshRequest,
)
from mag.lab.plan import LabPlan
from mag.lab.running_lab import RunningLab
from mag.lab.scenarios.agreement import agreement_step, disagreements
from mag.lab.scenarios.attach import attach_steps
from mag.lab.scenarios.handover import report_as_access_points_do
from mag.lab.scenarios.reaching import until_echo
from mag.lab.scenarios.steps import Findings, ScenarioScript, Step, StepFailed, Told
from mag.lab.world import topology
from mag.lab.world.mobile_node import address_in
from mag.services.admin_client import AdminError
from mag.wire.iana import FIRST_REJECTING_STATUS, BindingStatus

_STORM_S: Final = 8.0
_PAUSE_S: Final = (0.02, 0.15)
_RESTARTS_AT: Final = (0.4, 0.8)
"""Parts of the storm after which the LMA forgets everything."""
_MOVES: Final = 0.12
_TELEGRAMS: Final = 0.1
_CLEARINGS: Final = 0.15
_CALM_TIMEOUT_S: Final = 40.0
_LOOK_EVERY_S: Final = 0.2
_ECHO_TIMEOUT_S: Final = 10.0
# Lifetimes so short that what nobody refreshes is over within the calm.
_PROTOCOL: Final = {
    "lifetime_s": 8,
    "refresh_fraction": 0.2,
    "initial_bindack_timeout_s": 0.1,
    "max_bindack_timeout_s": 0.5,
}
_REFUSALS: Final = tuple(each for each in BindingStatus if each >= FIRST_REJECTING_STATUS)
_ALTERABLE: Final = tuple(
    part for part in Part if part not in (Part.HOME_NETWORK_PREFIX, Part.PROXY_FLAG)
)
_OMISSIBLE: Final = tuple(part for part in Part if part is not Part.SEQUENCE)
# Few prefixes: a kernel makes 16 addresses on an interface and keeps those withdrawn for two hours
# (RFC 4862 §5.5.3), so that a node could not use the prefix that it has in the end.
GRANTS: Final = (
    Grant(lifetime_s=0),
    Grant(lifetime_s=262140),
    Grant(prefixes=()),
    Grant(prefixes=(IPv6Network("::/0"),)),
    Grant(prefixes=(IPv6Network("fe80::/64"),)),
    Grant(prefixes=(IPv6Network("2001:db8:666::/48"),)),
    Grant(prefixes=tuple(IPv6Network(f"2001:db8:666:{n:x}::/64") for n in range(5))),
    Grant(refresh_interval_s=4),
)


def _steps(lab: RunningLab, findings: Findings) -> Sequence[Step]:
    storm = _Storm(lab)
    return (
        *attach_steps(lab, findings),
        Step("storm_over", storm.rage),
        Step("calm_restored", storm.calm_down),
        agreement_step(lab, len(topology.MOBILE_NODES)),
        Step("gateways_alive", partial(_judge_gateways, lab), is_verdict=True),
        *(
            Step(f"{node.name}_reaches_correspondent_again", partial(storm.reaches, node))
            for node in topology.MOBILE_NODES
        ),
    )


FAULTS: Final = ScenarioScript(
    "faults",
    "a seeded storm of LMA misbehaviour while nodes move; afterwards every binding is right",
    _steps,
    LabPlan(protocol=_PROTOCOL),
)


class _Storm:
    def __init__(self, lab: RunningLab) -> None:
        self._lab = lab
        self._rng = random.Random(lab.seed)
        self._cells = {node.name: node.cell for node in topology.MOBILE_NODES}
        self._done: Counter[str] = Counter()
        self._cleared = 0

    async def rage(self) -> Told:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        restarts = [begun + part * _STORM_S for part in _RESTARTS_AT]
        while loop.time() < begun + _STORM_S:
            if restarts and loop.time() >= restarts[0]:
                restarts.pop(0)
                await self._lab.anchor.restart()
                self._done["restart"] += 1
            await self._one_more()
            await asyncio.sleep(self._rng.uniform(*_PAUSE_S))
        applied = sum(row["applied"] for row in await self._lab.anchor.faults())
        what = ", ".join(f"{name} {count}" for name, count in self._done.most_common())
        return Told(
            f"seed {self._lab.seed}: {what}; faults met {applied} messages, "
            f"an operator cleared {self._cleared} holds amid it"
        )

    async def calm_down(self) -> Told:
        """The LMA relents; an operator clears what waits for one; the rest is nobody's doing."""
        await self._lab.anchor.relent()
        begun = time.monotonic()
        cleared = 0
        while True:
            cleared += await self._clear_what_is_held()
            found = await disagreements(self._lab, len(topology.MOBILE_NODES))
            found = (*found, *await self._misplaced())
            if not found:
                spent_s = time.monotonic() - begun
                return Told(f"all agree after {spent_s:.1f} s; an operator cleared {cleared} holds")
            if time.monotonic() > begun + _CALM_TIMEOUT_S:
                raise StepFailed(f"seed {self._lab.seed}: {'; '.join(found)}{self._lab.logs()}")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def reaches(self, node: topology.MobileNode) -> Told:
        gateway = topology.gateway_of(self._cells[node.name])
        row = await self._lab.binding_of(gateway.name, node.mn_id)
        if row is None:
            raise StepFailed(f"{node.name} has no binding at {gateway.name}")
        prefix = IPv6Network(row["home_network_prefixes"][0])
        source = address_in(prefix, node)
        await until_echo(self._lab, node, _ECHO_TIMEOUT_S, source)
        return Told(f"{node.name} has {source} in {gateway.cell}, and traffic")

    # The storm

    async def _one_more(self) -> None:
        chance = self._rng.random()
        node = self._rng.choice(topology.MOBILE_NODES)
        if chance < _MOVES:
            await self._move(node)
        elif chance < _MOVES + _TELEGRAMS:
            await self._send_unasked(node)
        elif chance < _MOVES + _TELEGRAMS + _CLEARINGS:
            self._cleared += await self._clear_what_is_held()
        else:
            await self._misbehave(node)

    async def _misbehave(self, node: topology.MobileNode) -> None:
        misdeed = self._rng.choice(_MISDEEDS)(self._rng)
        kind = self._rng.choice((None, MessageKind.REFRESH, MessageKind.REGISTRATION))
        where = Where(mn_id=node.mn_id.encode(), kind=kind)
        await self._lab.anchor.misbehave(Fault(misdeed, where, times=self._rng.randint(1, 3)))
        self._done[misdeed.name] += 1

    async def _move(self, node: topology.MobileNode) -> None:
        """Reported by the access network; a gateway may well refuse what is reported to it."""
        old = topology.gateway_of(self._cells[node.name])
        new = next(gateway for gateway in topology.GATEWAYS if gateway is not old)
        await self._lab.links.move_radio(node.name, new.cell)
        self._cells[node.name] = new.cell
        with contextlib.suppress(AdminError):
            await report_as_access_points_do(self._lab, node, old, new)
        self._done["move"] += 1

    async def _send_unasked(self, node: topology.MobileNode) -> None:
        gateway = self._rng.choice(topology.GATEWAYS)
        messages: Sequence[Unsolicited] = (
            UnsolicitedAcknowledgement(node.mn_id.encode(), self._rng.randrange(256)),
            UnsolicitedBindingError(self._rng.randrange(1, 3)),
            UnsolicitedHeartbeat(is_request=True),
            UnsolicitedRefreshRequest(),
            UnsolicitedOctets(self._rng.randbytes(self._rng.randint(1, 80)).hex()),
        )
        message = self._rng.choice(messages)
        await self._lab.anchor.send(Telegram(gateway.proxy_care_of_address, message))
        self._done["unasked"] += 1

    # The calm

    async def _clear_what_is_held(self) -> int:
        cleared = 0
        for gateway in topology.GATEWAYS:
            client = self._lab.gateways[gateway.name]
            for row in await client.bindings():
                if row["state"] in ("held", "silent"):
                    with contextlib.suppress(AdminError):  # it may have ended by itself
                        await client.clear(row["mn_id"])
                        cleared += 1
        return cleared

    async def _misplaced(self) -> Sequence[str]:
        """Nodes that are not served where they are."""
        found = []
        for node in topology.MOBILE_NODES:
            gateway = topology.gateway_of(self._cells[node.name]).name
            row = await self._lab.binding_of(gateway, node.mn_id)
            if row is None or not row["is_forwarding"]:
                found.append(f"{node.name} is in the cell of {gateway} and not served there")
        return found


def _pick_delay(rng: random.Random) -> Misdeed:
    return Delay(rng.choice((0.01, 0.15, 0.6)), spread_s=0.3)


_MISDEEDS: Final[Sequence[Callable[[random.Random], Misdeed]]] = (
    lambda rng: Reject(rng.choice(_REFUSALS)),
    lambda rng: Lose(rng.choice(tuple(Way))),
    _pick_delay,
    lambda rng: Duplicate(rng.randint(1, 5)),
    lambda _: Reorder(),
    lambda rng: Alter(rng.choice(_ALTERABLE)),
    lambda rng: Omit(rng.choice(_OMISSIBLE)),
    lambda rng: rng.choice(GRANTS),
    lambda rng: Garble(fix_checksum=rng.random() < 0.7),  # noqa: PLR2004 - mostly past it
)


async def _judge_gateways(lab: RunningLab) -> Told:
    """Nothing a peer sends may stop a gateway."""
    words = []
    for gateway in topology.GATEWAYS:
        client = lab.gateways[gateway.name]
        uptime_s = (await client.status())["uptime_s"]
        discarded = (await client.counters())["discarded"]
        reasons = len(discarded)
        words.append(
            f"{gateway.name} up for {uptime_s:.0f} s, {sum(discarded.values())} messages discarded "
            f"for {reasons} reasons"
        )
    return Told("; ".join(words))
