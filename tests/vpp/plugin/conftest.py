"""Fixtures: a VPP per module and number of workers, a gateway in it per test."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mag.lab.packet_path.vpp_installation import VppInstallation
from support.vpp_process import find_vpp
from vpp.plugin.gateway import Gateway
from vpp.plugin.vpp_process import VppProcess


@pytest.fixture(scope="session")
def installation() -> VppInstallation:
    """VPP and the plugin, or a skip that says what is missing."""
    found = find_vpp()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def _running_gateway(installation: VppInstallation, **options: int) -> Iterator[Gateway]:
    # a socket's path holds 107 octets: pytest's own directories may be longer
    with tempfile.TemporaryDirectory(prefix="mag-vpp-") as run:
        vpp = VppProcess(installation, Path(run), **options)
        try:
            vpp.start()
            gateway = Gateway(vpp)
            gateway.build()
            yield gateway
        finally:
            vpp.stop()


@pytest.fixture(scope="session")
def _gateway_without_workers(installation: VppInstallation) -> Iterator[Gateway]:
    yield from _running_gateway(installation, workers=0, max_bindings=1000)


@pytest.fixture
def one_worker_gateway(installation: VppInstallation) -> Iterator[Gateway]:
    """The gateway with a worker on a core of its own."""
    if (os.cpu_count() or 1) < 2:
        pytest.skip("a worker with a core of its own needs two cores")
    for gateway in _running_gateway(installation, workers=1, max_bindings=1000):
        gateway.enable()
        yield gateway


@pytest.fixture(scope="session")
def _gateway_with_two_workers(installation: VppInstallation) -> Iterator[Gateway]:
    if (os.cpu_count() or 1) < 3 and os.geteuid() != 0:
        pytest.skip("two workers need three cores, or root to pretend them")
    yield from _running_gateway(installation, workers=2, max_bindings=1000)


@pytest.fixture
def gateway(_gateway_without_workers: Gateway) -> Iterator[Gateway]:
    """The gateway, enabled, without bindings; all packets on the main thread."""
    _gateway_without_workers.enable()
    yield _gateway_without_workers
    _gateway_without_workers.disable()


@pytest.fixture(params=[0, 2], ids=["main thread", "two workers"])
def any_gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """The gateway without and with workers."""
    name = "_gateway_with_two_workers" if request.param else "_gateway_without_workers"
    found: Gateway = request.getfixturevalue(name)
    found.enable()
    yield found
    found.disable()


@pytest.fixture
def two_worker_gateway(_gateway_with_two_workers: Gateway) -> Iterator[Gateway]:
    """The gateway with two workers and hand-off between them."""
    _gateway_with_two_workers.enable(hand_off=True)
    yield _gateway_with_two_workers
    _gateway_with_two_workers.disable()


@pytest.fixture(scope="module")
def large_gateway(installation: VppInstallation) -> Iterator[Gateway]:
    """Room for 100,000 bindings."""
    for gateway in _running_gateway(installation, workers=0, max_bindings=100_000):
        gateway.enable()
        yield gateway
        gateway.disable()
