import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from support.fake_adapters import CONFIGURATION, FakeWorld


@asynccontextmanager
async def running(world: FakeWorld) -> AsyncIterator[Gateway]:
    """A gateway in service; ended as SIGTERM ends it."""
    async with asyncio.TaskGroup() as tasks:
        lmas = world.configuration.lma_settings()
        settings = world.configuration.protocol_settings()
        core = MobileAccessGateway(settings, lmas, random.Random(1))
        gateway = Gateway(world.configuration, core, world.adapters(), tasks)
        try:
            await gateway.open()
            yield gateway
        finally:
            await gateway.close()


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
async def gateway(world: FakeWorld) -> AsyncIterator[Gateway]:
    async with running(world) as gateway:
        yield gateway


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The configuration file of the gateway, as it was when it was started."""
    path = tmp_path / "mag.yaml"
    path.write_bytes(CONFIGURATION)
    return path


@pytest.fixture
def control(gateway: Gateway, file: Path) -> Control:
    return Control(gateway, file)
