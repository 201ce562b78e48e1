"""A number of lives, one after the other, each but the last ended by SIGKILL."""

import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kills.life import live
from kills.outside import GatewayFailed, Outside, Violation

EARLY = 0.3
"""Part of the kills that strike a gateway which has not come to rest since its start."""
EARLIEST = 20
LATEST = 60
"""Requests to the world, since the start or since the rest."""
SILENCE_S = 60.0
NOTHING_TO_DO = ("commit", "committed")
"""The world looks on."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it."""

    kills: int
    verified: int
    """How often a gateway came to rest, with forwarding == bindings == what the LMA accepted."""
    updates: int
    """Proxy Binding Updates, no number and no timestamp of which was used twice."""


def run(kills: int, seed: int, path: Path, fault: str = "") -> Report:
    """path: of the journal. Raises Violation or GatewayFailed, with the seed and the life of it."""
    rng = random.Random(seed)
    outside = Outside(rng)
    for number in range(kills + 1):
        outside.begin_life()
        strike = None if number == kills else _Strike.drawn(rng)
        life = partial(live, path=path, seed=f"{seed}/{number}", start=number + 1, fault=fault)
        try:
            _one_life(outside, life, strike)
        except (Violation, GatewayFailed) as found:
            raise type(found)(f"seed {seed}, life {number + 1}: {found}") from None
    return Report(kills, outside.verified, outside.updates)


@dataclass(slots=True)
class _Strike:
    """Where the kill strikes."""

    is_early: bool
    """Counted from the start, else from the gateway's coming to rest."""
    left: int
    """Requests until then."""
    is_before: bool
    """The last of them is not carried out."""

    @classmethod
    def drawn(cls, rng: random.Random) -> "_Strike":
        is_early = rng.random() < EARLY
        left = rng.randint(1, EARLIEST if is_early else LATEST)
        return cls(is_early, left, rng.random() < 0.5)


def _one_life(outside: Outside, life: Callable[[Connection], None], strike: _Strike | None) -> None:
    ours, its = Pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            life(its)
        finally:
            os._exit(0)
    its.close()
    try:
        _serve(outside, ours, strike)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        ours.close()


def _serve(outside: Outside, connection: Connection, strike: _Strike | None) -> None:
    """Until the kill is due, or the process has ended."""
    counts = strike is not None and strike.is_early
    while True:
        if not connection.poll(SILENCE_S):
            raise GatewayFailed(f"the gateway does nothing for {SILENCE_S:g} s")
        try:
            what, arguments = connection.recv()
        except EOFError:
            raise GatewayFailed("the gateway ended by itself") from None
        if strike is not None and counts:
            strike.left -= 1
            if strike.left == 0 and strike.is_before:
                return
        answer = _carried_out(outside, what, arguments, is_last=strike is None)
        if strike is not None and counts and strike.left == 0:
            return
        if what == "left":
            return
        counts = counts or what == "at_rest"
        connection.send(answer)


def _carried_out(outside: Outside, what: str, arguments: tuple[Any, ...], *, is_last: bool) -> Any:
    if what == "failed":
        raise GatewayFailed(f"the gateway failed: {arguments[0]}")
    if what == "at_rest":
        outside.compare(*arguments)
        return is_last
    if what == "left":
        if arguments[0] or outside.sessions:
            raise Violation(f"stopped in order, and {outside.sessions} is left")
        return None
    return None if what in NOTHING_TO_DO else getattr(outside, what)(*arguments)
