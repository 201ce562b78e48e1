"""Running test bodies where the lab runs, and a domain for the anchor's core."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lab.anchor_domain import Domain, settings
from mag.lab.anchor.core import LocalMobilityAnchor
from mag.lab.world.private_namespaces import start_in_private_namespaces


@pytest.fixture
def domain() -> Domain:
    return Domain(LocalMobilityAnchor(settings()))


@pytest.fixture
def in_private_namespaces() -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Calls a coroutine function as process 1 of private namespaces; returns its JSON value."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return _in_private_namespaces


def _in_private_namespaces(work: Callable[[], Awaitable[Any]]) -> Any:
    reads, writes = os.pipe()

    def main() -> int:
        os.close(reads)
        result = json.dumps(asyncio.run(work()))
        with os.fdopen(writes, "w") as pipe:
            pipe.write(result)
        return 0

    pid = start_in_private_namespaces(main)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the body failed: see standard error"
    return json.loads(text)
