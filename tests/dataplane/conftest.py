"""Fixtures: the contract suite over every packet path of this machine."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dataplane.contract.bench import ACCESS_LINKS, ALICE, BOB, TUNNELS, Bench, ensure
from dataplane.contract.fake_bench import FakeBench
from dataplane.contract.kernel_bench import KernelBench
from dataplane.contract.vpp_bench import VppBench
from support.marks import needs_root
from support.namespaces import namespace_pair
from support.vpp_process import VppInstallation, find_vpp

vpp_installation = find_vpp()
needs_vpp = pytest.mark.skipif(
    not isinstance(vpp_installation, VppInstallation), reason=str(vpp_installation)
)
KERNEL = pytest.param("kernel", marks=[pytest.mark.netns, needs_root])
VPP = pytest.param("vpp", marks=[pytest.mark.vpp, needs_root, needs_vpp])


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
async def opened_vpp_bench() -> AsyncIterator[VppBench]:
    """With a VPP of its own, in namespaces of its own."""
    assert isinstance(vpp_installation, VppInstallation)
    # Not pytest's tmp_path: its length does not fit in the address of a Unix socket.
    with TemporaryDirectory(prefix="mag-vpp-") as folder, namespace_pair() as (gateway, world):
        bench = VppBench(gateway, world, vpp_installation, Path(folder))
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


@pytest.fixture
async def vpp_bench() -> AsyncIterator[VppBench]:
    """VPP's bench, open, with nothing bound."""
    async with opened_vpp_bench() as bench:
        yield bench


OPENED: Mapping[str, Callable[[], AbstractAsyncContextManager[Bench]]] = {
    "fake": opened_fake_bench,
    "kernel": opened_kernel_bench,
    "vpp": opened_vpp_bench,
}


@pytest.fixture(params=["fake", KERNEL, VPP])
async def bare_bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Each packet path, open, with nothing bound."""
    async with OPENED[request.param]() as bench:
        yield bench


@pytest.fixture
async def bench(bare_bench: Bench) -> Bench:
    """Two tunnels, two access links, Alice on the first and Bob on the second."""
    await ensure(bare_bench, *TUNNELS, *ACCESS_LINKS, ALICE, BOB)
    return bare_bench
