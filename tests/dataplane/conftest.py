"""Fixtures: the contract suite over every packet path of this machine."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dataplane.contract.bench import ACCESS_LINKS, ALICE, BOB, TUNNELS, Bench, ensure
from dataplane.contract.fake_bench import FakeBench
from dataplane.contract.kernel_bench import KernelBench, namespace_pair

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
KERNEL = pytest.param("kernel", marks=[pytest.mark.netns, needs_root])


@asynccontextmanager
async def opened_kernel_bench() -> AsyncIterator[KernelBench]:
    """In namespaces of its own, which go with it."""
    with namespace_pair() as (gateway, world):
        bench = KernelBench(gateway, world)
        try:
            await bench.dataplane.open()
            yield bench
        finally:
            await bench.dataplane.close(remove=False)
            bench.close()


@asynccontextmanager
async def opened_fake_bench() -> AsyncIterator[FakeBench]:
    """In memory."""
    bench = FakeBench()
    await bench.dataplane.open()
    yield bench
    await bench.dataplane.close(remove=True)


@pytest.fixture
async def kernel_bench() -> AsyncIterator[KernelBench]:
    """The kernel's bench, open, with nothing bound."""
    async with opened_kernel_bench() as bench:
        yield bench


@pytest.fixture(params=["fake", KERNEL])
async def bare_bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each packet path, open, with nothing bound."""
    opened = opened_kernel_bench if request.param == "kernel" else opened_fake_bench
    async with opened() as bench:
        yield bench


@pytest.fixture
async def bench(bare_bench: Bench) -> Bench:
    """Two tunnels, two access links, Alice on the first and Bob on the second."""
    await ensure(bare_bench, *TUNNELS, *ACCESS_LINKS, ALICE, BOB)
    return bare_bench
