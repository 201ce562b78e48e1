"""Something else takes of ours from the packet path: it is noticed, said and put back."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from daemon.conftest import running
from mag.daemon.gateway import Gateway
from mag.daemon.packet_path_watch import MOST_PAUSES, PAUSE_S, RETRY_S, PacketPathWatch
from mag.dataplane.base import DataplaneError, Disturbance, Remove
from mag.services.event_log import LogEntry
from mag.services.metrics import Readings
from support.fake_adapters import LMA_ADDRESS, MN1_MAC, FakeWorld, until


class Pauses:
    """Those that the watch makes; each ends at once, or when the test says so."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        """How long each is to be, in seconds."""
        self.is_held = False
        self._over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds not in {PAUSE_S, RETRY_S}:
            await asyncio.get_running_loop().create_future()  # the next look is not today
        self.begun.append(seconds)
        self._over.clear()
        if self.is_held:
            await self._over.wait()
        await asyncio.sleep(0)

    def end(self) -> None:
        """The one that lasts."""
        self._over.set()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    pauses = Pauses()
    monkeypatch.setattr("mag.daemon.packet_path_watch.sleep", pauses.sleep)
    return pauses


@pytest.fixture
async def serving(world: FakeWorld, pauses: Pauses) -> AsyncIterator[Gateway]:
    """With one node."""
    async with running(world) as gateway:
        world.ports["access1"].frame(MN1_MAC)
        await until(lambda: gateway.core.binding_update_list.by_id(1))
        await asyncio.wait_for(gateway.attachments.wait_until_served(1, 5), 5)
        yield gateway


async def lose(world: FakeWorld, *keys: object) -> None:
    """As another tool takes records away, what uses others first."""
    state = await world.dataplane.dump()
    records = {**state.mobile_nodes, **state.access_links, **state.lma_tunnels}
    assert not any(await world.dataplane.apply([Remove(records[key]) for key in keys]))  # type: ignore[index]


async def is_whole(gateway: Gateway, world: FakeWorld) -> None:
    await until(lambda: gateway.forwarding.restored)
    assert await world.dataplane.dump() == gateway.reconciler.desired


async def test_loss_of_a_binding_that_is_told_of_is_put_back(
    serving: Gateway, world: FakeWorld
) -> None:
    await lose(world, 1)
    with capture_logs() as logs:
        await world.disturbances.put(Disturbance.BINDINGS)
        await is_whole(serving, world)
    assert [log["event"] for log in logs] == ["packet_path_disturbed", "dataplane_restored"]
    assert logs[0]["noticed"] == "heard"
    assert logs[1]["bindings"] == 1
    text = serving.metrics.render(Readings()).decode()
    assert 'mag_dataplane_losses_noticed_total{noticed="heard"} 1.0' in text
    assert 'mag_dataplane_restored_total{object="bindings"} 1.0' in text


async def test_hint_alone_costs_no_look_at_all_bindings(serving: Gateway, world: FakeWorld) -> None:
    dumps = world.dataplane.dumps
    looks = []
    losses = world.dataplane.losses

    async def look(*arguments: object) -> object:
        looks.append(arguments)
        return await losses(*arguments)  # type: ignore[arg-type]

    world.dataplane.losses = look  # type: ignore[assignment,method-assign]
    await world.disturbances.put(Disturbance.SHARED)
    await until(lambda: looks)
    await lose(world, 1, LMA_ADDRESS)
    await world.disturbances.put(Disturbance.SHARED)
    await is_whole(serving, world)
    assert serving.packet_path_watch.noticed["heard"] == 1
    assert world.dataplane.dumps == dumps + 3  # two are the own of the test


async def test_burst_of_deletions_is_one_look_at_everything(
    serving: Gateway, world: FakeWorld, pauses: Pauses
) -> None:
    pauses.is_held = True
    dumps = world.dataplane.dumps
    for number in range(5):
        world.disturbances.put_nowait(Disturbance.SHARED)
        world.disturbances.put_nowait(Disturbance.BINDINGS)
        await until(lambda so_far=number: len(pauses.begun) == so_far + 1)  # type: ignore[misc]
        await until(world.disturbances.empty)
        assert world.dataplane.dumps == dumps
        world.disturbances.put_nowait(Disturbance.SHARED)
        await until(world.disturbances.empty)
        pauses.end()
    await lose(world, 1)
    await until(lambda: len(pauses.begun) == 6)
    pauses.end()  # nothing was heard in this one
    await is_whole(serving, world)
    assert serving.packet_path_watch.noticed == {"heard": 1}
    assert world.dataplane.dumps == dumps + 3  # two are the own of the test


async def test_deletions_without_end_are_answered_all_the_same(
    serving: Gateway, world: FakeWorld, pauses: Pauses
) -> None:
    pauses.is_held = True
    await lose(world, 1)
    for number in range(MOST_PAUSES):
        assert not serving.forwarding.restored
        world.disturbances.put_nowait(Disturbance.BINDINGS)
        await until(lambda so_far=number: len(pauses.begun) == so_far + 1)  # type: ignore[misc]
        world.disturbances.put_nowait(Disturbance.BINDINGS)
        await until(world.disturbances.empty)
        pauses.end()
    await until(lambda: serving.forwarding.restored)


async def test_listening_that_breaks_off_begins_anew(
    serving: Gateway, world: FakeWorld, pauses: Pauses
) -> None:
    await world.disturbances.put(DataplaneError("watch for changes", "told to fail"))
    await lose(world, 1)
    await world.disturbances.put(Disturbance.BINDINGS)
    await is_whole(serving, world)
    assert pauses.begun[0] == RETRY_S


async def test_what_all_bindings_share_is_told_of_when_it_is_there_again(
    serving: Gateway, world: FakeWorld
) -> None:
    """No record of ours was missing, but the rules that they rest on."""
    lost = ["rules"]

    async def losses(*_: object) -> list[str]:
        return list(lost)

    async def rebuild() -> None:
        lost.clear()

    world.dataplane.losses = losses  # type: ignore[assignment,method-assign]
    serving.forwarding._rebuild = rebuild
    with capture_logs() as logs:
        await world.disturbances.put(Disturbance.SHARED)
        await is_whole(serving, world)
    assert [log["event"] for log in logs] == ["packet_path_disturbed", "dataplane_restored"]
    assert logs[1]["lost"] == ["rules"]
    assert serving.forwarding.restored == {"shared": 1}


async def test_loss_during_the_look_is_found_by_another(serving: Gateway, world: FakeWorld) -> None:
    """What happens after the dump the look has not seen."""
    dump = world.dataplane.dump

    async def dump_and_lose() -> object:
        state = await dump()
        world.dataplane.dump = dump  # type: ignore[method-assign]
        await lose(world, 1)
        serving.forwarding.doubt()
        return state

    world.dataplane.dump = dump_and_lose  # type: ignore[assignment,method-assign]
    serving.forwarding.doubt()
    await is_whole(serving, world)


async def test_path_that_says_nothing_is_looked_at_now_and_then() -> None:
    looks, doubts, notes = iter([[], DataplaneError("losses", "away"), ["tunnel"]]), [], []
    seen = asyncio.Event()

    async def losses() -> list[str]:
        look = next(looks, None)
        if look is None:
            seen.set()
            return []
        if isinstance(look, DataplaneError):
            raise look
        return look

    def note(entry: LogEntry) -> None:
        notes.append(entry.facts)

    watch = PacketPathWatch(
        losses=losses,
        disturbances=None,
        interval_s=lambda: 0.0,
        doubt=lambda: doubts.append(True) is None,
        note=note,
    )
    await watch.listen()
    looking = asyncio.create_task(watch.look_now_and_then())
    await asyncio.wait_for(seen.wait(), 5)
    looking.cancel()
    assert (len(doubts), notes) == (1, [{"lost": ["tunnel"], "noticed": "seen"}])
    assert watch.noticed == {"seen": 1}
