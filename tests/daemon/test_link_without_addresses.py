"""Attachments on an access link without link-layer addresses (RFC 5213 §9.3)."""

from collections.abc import AsyncIterator

import pytest

from daemon.conftest import running
from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from mag.protocol.events import ProbeNode
from mag.protocol.service import snapshot
from mag.services.gateway_control import AttachRequest, ControlError
from mag.wire.ethernet import NO_LINK_LAYER_ADDRESS, format_link_layer_address
from mag.wire.neighbor_discovery import RouterAdvertisement
from mag.wire.neighbor_solicitation import NeighborSolicitation
from support.fake_adapters import CONFIGURATION, NODE_ADDRESS, FakeWorld, configuration
from support.waiting import eventually

LINK = "access1"
NONE = format_link_layer_address(NO_LINK_LAYER_ADDRESS)


@pytest.fixture
def world() -> FakeWorld:
    text = CONFIGURATION.replace(b"ieee_802_11", b"ppp, mn_id: mn1@example.net")
    return FakeWorld(configuration(text))


@pytest.fixture
async def gateway(world: FakeWorld) -> AsyncIterator[Gateway]:
    async with running(world) as gateway:
        yield gateway


@pytest.mark.requirement("CFG-09")
async def test_whatever_comes_from_it_is_of_the_node_whose_link_it_is(
    gateway: Gateway, world: FakeWorld
) -> None:
    world.ports[LINK].frame(NO_LINK_LAYER_ADDRESS)
    packet, _ = (await eventually(lambda: world.ports[LINK].sent))[0]
    assert RouterAdvertisement.decode(packet).source_link_layer_address is None
    (entry,) = gateway.core.binding_update_list
    assert entry.mn_id == b"mn1@example.net"


@pytest.mark.requirement("CFG-09")
async def test_access_network_may_report_it(gateway: Gateway, control: Control) -> None:
    request = AttachRequest(access_interface=LINK, link_layer_address=NONE, wait_s=5)
    row = await control.attach(request)
    assert (row["mn_id"], row["state"]) == ("mn1@example.net", "active")


@pytest.mark.requirement("CFG-09")
@pytest.mark.parametrize(
    ("mn_id", "address"),
    [(None, "02:00:00:00:00:01"), ("mn2@example.net", NONE)],
)
async def test_nobody_else_can_be_there(control: Control, mn_id: str | None, address: str) -> None:
    request = AttachRequest(access_interface=LINK, link_layer_address=address, mn_id=mn_id)
    with pytest.raises(ControlError, match=f"{LINK} is the link of mn1@example.net alone"):
        await control.attach(request)


@pytest.mark.requirement("CFG-09")
async def test_question_whether_the_node_is_there_tells_no_address_of_ours(
    gateway: Gateway, world: FakeWorld
) -> None:
    port = world.ports[LINK]
    port.frame(NO_LINK_LAYER_ADDRESS)
    await eventually(lambda: port.sent)
    port.sent.clear()
    (entry,) = gateway.core.binding_update_list
    gateway.presence.ask(ProbeNode(snapshot(entry), NODE_ADDRESS, attempt=1))
    ((packet, _),) = port.sent
    assert NeighborSolicitation.decode(packet).source_link_layer_address is None
