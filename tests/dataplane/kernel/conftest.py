"""Fixtures: the kernel's bench with two nodes bound, and before its packet path is opened."""

from collections.abc import AsyncIterator

import pytest

from dataplane.contract.bench import ACCESS_LINKS, ALICE, BOB, TUNNELS, ensure
from dataplane.contract.kernel_bench import KernelBench
from support.namespaces import namespace_pair


@pytest.fixture
async def bound(kernel_bench: KernelBench) -> KernelBench:
    await ensure(kernel_bench, *TUNNELS, *ACCESS_LINKS, ALICE, BOB)
    return kernel_bench


@pytest.fixture
async def untouched() -> AsyncIterator[KernelBench]:
    """A bench whose packet path has not been opened."""
    with namespace_pair() as (gateway, world):
        bench = KernelBench(gateway, world)
        try:
            yield bench
        finally:
            await bench.dataplane.close(remove=False)
            bench.close()
