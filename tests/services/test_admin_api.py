"""The admin API over its real socket: answers, refusals, and who may open it."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from mag.services.admin_api import AdminApi, AdminSocketError
from mag.services.admin_client import AdminClient, AdminError
from mag.services.event_stream import WATCHER_BACKLOG, EventStream
from support.fake_adapters import until
from support.scripted_control import (
    BINDING_ROW,
    COUNTERS,
    DATAPLANE,
    METRICS,
    PEER_ROW,
    STATUS,
    ScriptedControl,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "mag.sock"


@pytest.fixture
def control() -> ScriptedControl:
    return ScriptedControl()


@pytest.fixture
async def api(control: ScriptedControl, path: Path) -> AsyncIterator[AdminApi]:
    api = AdminApi(control, path, 0o660)
    await api.open()
    yield api
    await api.close()


@pytest.fixture
async def client(api: AdminApi, path: Path) -> AsyncIterator[AdminClient]:
    async with AdminClient(path) as client:
        yield client


async def test_every_reading_comes_through(client: AdminClient) -> None:
    assert await client.status() == STATUS
    assert await client.bindings() == [BINDING_ROW]
    assert await client.peers() == [PEER_ROW]
    assert await client.dataplane() == DATAPLANE
    assert await client.counters() == COUNTERS


async def test_attach_passes_everything_on(client: AdminClient, control: ScriptedControl) -> None:
    await client.attach(
        "access1", "02:00:00:00:00:01", mn_id="a@b", handoff="between_gateways", wait_s=2.0
    )
    (request,) = control.requests
    assert request.model_dump(mode="json") == {
        "access_interface": "access1",
        "link_layer_address": "02:00:00:00:00:01",
        "mn_id": "a@b",
        "identity": None,
        "handoff": "between_gateways",
        "wait_s": 2.0,
    }


async def test_attach_under_two_names_is_refused(client: AdminClient) -> None:
    with pytest.raises(AdminError, match="mn_id or identity, not both"):
        await client.attach("access1", "02:00:00:00:00:01", mn_id="a@b", identity="c@d")


async def test_refusal_comes_back_in_the_gateways_words(client: AdminClient) -> None:
    with pytest.raises(AdminError, match=r"^no such binding$"):
        await client.detach(link_layer_address="02:00:00:00:00:99")
    assert await client.detach(link_layer_address="02:00:00:00:00:01") == [BINDING_ROW]
    assert await client.clear("mn1@example.net") == [BINDING_ROW]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "Invalid JSON"),
        (b'{"access_interface": "a"}', "link_layer_address: Field required"),
        (b'{"access_interface": "a", "link_layer_address": "b", "x": 1}', "x: Extra"),
        (b'{"access_interface": "a", "link_layer_address": "b", "wait_s": -1}', "wait_s"),
    ],
    ids=["no JSON", "missing", "unknown key", "out of range"],
)
async def test_bad_request_is_refused_with_the_key_that_is_wrong(
    api: AdminApi, path: Path, body: bytes, text: str
) -> None:
    connector = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession("http://gateway", connector=connector) as session,
        session.post("/v1/attachments", data=body) as response,
    ):
        assert response.status == 409
        assert text in (await response.json())["error"]


async def test_metrics_are_prometheus_text(api: AdminApi, path: Path) -> None:
    connector = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession("http://gateway", connector=connector) as session,
        session.get("/metrics") as response,
    ):
        assert response.headers["Content-Type"].startswith("text/plain")
        assert await response.text() == METRICS


async def test_unknown_path_is_a_json_error(api: AdminApi, path: Path) -> None:
    connector = aiohttp.UnixConnector(str(path))
    async with (
        aiohttp.ClientSession("http://gateway", connector=connector) as session,
        session.get("/v2") as response,
    ):
        assert (response.status, await response.json()) == (404, {"error": "Not Found"})


async def test_events_are_streamed_until_the_gateway_stops(
    api: AdminApi, client: AdminClient, control: ScriptedControl
) -> None:
    events = client.events()
    first = asyncio.ensure_future(anext(events))
    await until(lambda: control.stream.is_watched)
    control.stream.publish({"at": 1.0, "event": "binding_established"})
    assert await first == {"at": 1.0, "event": "binding_established"}
    await events.aclose()  # type: ignore[attr-defined]


async def test_slow_watcher_loses_the_oldest_and_is_told_how_many() -> None:
    stream = EventStream()
    watcher = stream.watch()
    first = asyncio.ensure_future(anext(watcher))
    await until(lambda: stream.is_watched)
    for number in range(WATCHER_BACKLOG + 10):
        stream.publish({"at": 0.0, "event": str(number)})
    assert await first == {"at": 0.0, "event": "events_lost", "count": 10}
    assert (await anext(watcher))["event"] == "10"
    await watcher.aclose()  # type: ignore[attr-defined]
    assert not stream.is_watched


# The socket


async def test_socket_has_the_configured_mode_and_goes_with_the_gateway(
    control: ScriptedControl, path: Path
) -> None:
    api = AdminApi(control, path, 0o600)
    await api.open()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await api.close()
    assert not path.exists()


async def test_socket_of_a_running_gateway_is_left_alone(
    api: AdminApi, client: AdminClient, control: ScriptedControl, path: Path
) -> None:
    second = AdminApi(control, path, 0o660)
    with pytest.raises(AdminSocketError, match="in use: another gateway is running"):
        await second.open()
    await second.close()
    assert await client.status() == STATUS


async def test_socket_that_a_dead_gateway_left_is_replaced(
    control: ScriptedControl, path: Path
) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    api = AdminApi(control, path, 0o660)
    await api.open()
    async with AdminClient(path) as client:
        assert await client.status() == STATUS
    await api.close()


async def test_path_that_is_no_socket_is_not_touched(control: ScriptedControl, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    api = AdminApi(control, path, 0o660)
    with pytest.raises(AdminSocketError, match="in use"):
        await api.open()
    await api.close()
    assert path.read_text() == "precious"


async def test_absent_gateway_is_told_in_one_line(tmp_path: Path) -> None:
    async with AdminClient(tmp_path / "none.sock") as client:
        with pytest.raises(AdminError, match=r"no gateway answers at .*none\.sock: No such file"):
            await client.status()
