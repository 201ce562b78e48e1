"""Fixtures: a real `mag run` between an LMA and nodes, in namespaces of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.gateway_process import GatewayProcess, gateway_process


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[GatewayProcess]:
    """Not started yet."""
    with gateway_process(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def gateway(bare: GatewayProcess) -> GatewayProcess:
    """It serves, and no node is there."""
    return bare.start_ready()
