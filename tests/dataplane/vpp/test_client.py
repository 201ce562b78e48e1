"""The client of the binary API, against a VPP that the test plays."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dataplane.vpp.fake_vpp import FakeVpp, fake_vpp
from mag.dataplane.base import DataplaneError
from mag.dataplane.vpp.client import VppClient, keep_connected
from mag.dataplane.vpp.errors import (
    VppIncompatibleError,
    VppLostError,
    VppRefusedError,
    VppTimeoutError,
    VppUnreachableError,
)
from support.fake_adapters import until

NO_SUCH_ENTRY = -6
TIMEOUT_S = 0.05


@pytest.fixture
async def vpp() -> AsyncIterator[FakeVpp]:
    async with fake_vpp() as started:
        yield started


@pytest.fixture
async def client(vpp: FakeVpp) -> AsyncIterator[VppClient]:
    connected = VppClient(vpp.path)
    await connected.connect()
    yield connected
    await connected.close()


async def test_no_socket_is_told_in_one_line() -> None:
    with TemporaryDirectory() as folder:
        client = VppClient(f"{folder}/api.sock")
        with pytest.raises(VppUnreachableError, match="there is no such socket") as refusal:
            await client.connect()
    assert "\n" not in str(refusal.value)


async def test_socket_that_nobody_serves_is_told(vpp: FakeVpp) -> None:
    await vpp.stop()
    assert Path(vpp.path).exists()
    with pytest.raises(VppUnreachableError, match="nobody listens"):
        await VppClient(vpp.path).connect()


async def test_other_messages_are_refused_before_anything_is_asked(vpp: FakeVpp) -> None:
    """VPP of another release: it is told, and VPP is left alone."""
    vpp.messages["ip_table_add_del"] = "deadbeef"
    client = VppClient(vpp.path)
    with pytest.raises(VppIncompatibleError, match="ip_table_add_del is different"):
        await client.connect()
    assert vpp.asked == ["introduction"]
    assert not client.is_connected


async def test_reply_comes_to_its_caller(client: VppClient) -> None:
    replies = await asyncio.gather(*(client.call("probe", value=value) for value in range(200)))
    assert [reply.retval for reply in replies] == list(range(200))


async def test_negative_return_value_is_an_error_with_its_name(client: VppClient) -> None:
    with pytest.raises(VppRefusedError, match=r"probe lma1: no such entry \(-6\)") as refusal:
        await client.call("probe", target="lma1", value=NO_SUCH_ENTRY & 0xFFFFFFFF)
    assert refusal.value.return_value == NO_SUCH_ENTRY


async def test_return_value_that_means_settled_is_no_error(client: VppClient) -> None:
    reply = await client.call("probe", settled=(NO_SUCH_ENTRY,), value=NO_SUCH_ENTRY & 0xFFFFFFFF)
    assert reply.retval == NO_SUCH_ENTRY


async def test_field_that_the_message_has_not_is_our_mistake(client: VppClient) -> None:
    with pytest.raises(TypeError, match="probe has no field colour"):
        await client.call("probe", value=1, colour=2)


async def test_dump_brings_all_details(client: VppClient) -> None:
    assert [entry.value for entry in await client.dump("probe_dump")] == [1, 2]


async def test_event_reaches_its_handler_and_calls_go_on(vpp: FakeVpp, client: VppClient) -> None:
    """vpp-papi 2.4.2 reads nothing more after the first event."""
    values: list[int] = []
    client.on_event("probe_event", lambda event: values.append(event.value))
    vpp.tell_event(7)
    assert (await client.call("probe", value=3)).retval == 3
    vpp.tell_event(8)
    assert (await client.call("probe", value=4)).retval == 4
    assert values == [7, 8]


async def test_handler_that_fails_does_not_end_the_connection(
    vpp: FakeVpp, client: VppClient
) -> None:
    failures: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: failures.append(str(context["exception"]))
    )
    client.on_event("probe_event", lambda _: 1 // 0)
    vpp.tell_event(7)
    assert (await client.call("probe", value=3)).retval == 3
    assert failures == ["integer division or modulo by zero"]


async def test_silence_ends_in_a_timeout_and_the_late_answer_is_nobodys(vpp: FakeVpp) -> None:
    client = VppClient(vpp.path, timeout_s=TIMEOUT_S)
    await client.connect()
    vpp.is_silent = True
    with pytest.raises(VppTimeoutError, match=r"no answer within 0\.05 s"):
        await client.call("probe", value=1)
    vpp.is_silent = False
    vpp.held.pop()()
    assert (await client.call("probe", value=2)).retval == 2
    assert client.unexpected == 1
    await client.close()
    assert client.unexpected == 1


async def test_silent_handshake_ends_in_a_timeout(vpp: FakeVpp) -> None:
    vpp.is_silent = True
    with pytest.raises(VppTimeoutError):
        await VppClient(vpp.path, timeout_s=TIMEOUT_S).connect()


async def test_end_of_vpp_fails_the_calls_under_way(vpp: FakeVpp, client: VppClient) -> None:
    vpp.is_silent = True
    calls = [asyncio.create_task(client.call("probe", value=value)) for value in range(3)]
    await until(lambda: len(vpp.held) == len(calls))
    await vpp.stop()
    assert await client.lost() == "VPP closed the connection"
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(outcome, VppLostError)
    with pytest.raises(VppLostError):
        await client.call("probe", value=1)


async def test_message_of_impossible_length_ends_the_connection(
    vpp: FakeVpp, client: VppClient
) -> None:
    vpp.write_garbage()
    assert "announced a message of 2147483648 octets" in await client.lost()


async def test_no_more_requests_are_under_way_than_the_window_allows(vpp: FakeVpp) -> None:
    """VPP's own queues are short; what waits, waits here."""
    client = VppClient(vpp.path, window=4)
    await client.connect()
    vpp.is_silent = True
    calls = [asyncio.create_task(client.call("probe", value=value)) for value in range(10)]
    await until(lambda: len(vpp.held) == 4)
    assert vpp.asked.count("probe") == 4
    vpp.is_silent = False
    for answer in vpp.held:
        answer()
    await asyncio.gather(*calls)
    assert vpp.asked.count("probe") == 10
    await client.close()


async def test_cancelled_call_frees_its_place_in_the_window(vpp: FakeVpp) -> None:
    client = VppClient(vpp.path, window=1)
    await client.connect()
    vpp.is_silent = True
    call = asyncio.create_task(client.call("probe", value=1))
    await until(lambda: vpp.held)
    call.cancel()
    vpp.is_silent = False
    assert (await client.call("probe", value=2)).retval == 2
    await client.close()


async def test_vpp_that_comes_back_is_restored_however_often_that_fails(vpp: FakeVpp) -> None:
    """Reconnects for ever; restoring is tried again until it succeeds."""
    client = VppClient(vpp.path)
    await client.connect()
    reports: list[str] = []
    done = asyncio.Event()
    may_restore = asyncio.Event()
    failures = [DataplaneError("open", "core is not there yet")]

    async def restore() -> None:
        await may_restore.wait()
        await client.connect()
        if failures:
            raise failures.pop()

    def restored() -> None:
        reports.append("restored")
        done.set()

    watch = asyncio.create_task(
        keep_connected(
            client,
            restore,
            lost=reports.append,
            failed=lambda error: reports.append(error.reason),
            restored=restored,
        )
    )
    assert (client.absence, client.times_lost) == ("", 0)
    await vpp.stop()
    await until(lambda: "VPP closed the connection" in reports)
    assert (client.absence, client.times_lost) == ("VPP closed the connection", 1)
    may_restore.set()
    await until(lambda: client.absence.startswith(("there is no such socket", "nobody listens")))
    await vpp.start()
    async with asyncio.timeout(10):
        await done.wait()
    watch.cancel()
    assert reports[0] == "VPP closed the connection"
    assert reports[-2:] == ["core is not there yet", "restored"]
    assert client.sessions == 2
    assert (client.absence, client.times_lost) == ("", 1)
    await client.close()
