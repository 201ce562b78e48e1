"""What is VPP's own, beyond the contract: packing judged by vpp-papi, start checks, clean-up."""

from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from dataplane.conftest import needs_vpp, opened_vpp_bench, vpp_installation
from dataplane.contract.bench import (
    ACCESS_LINKS,
    ALICE,
    BOB,
    LMA_A,
    PROXY_COA,
    TUNNELS,
    address_of,
    downlink_to,
    ensure,
    send_as,
    uplink_of,
)
from dataplane.contract.kernel_bench import CORE
from dataplane.contract.vpp_bench import VppBench
from mag.dataplane.base import DataplaneError, Ensure, ForwardingState, Remove
from mag.dataplane.reconciler import Reconciler
from mag.dataplane.verdict import Tunnelled
from mag.dataplane.vpp import binding_messages
from mag.dataplane.vpp.backend import VppDataplane
from mag.dataplane.vpp.client import VppClient
from mag.dataplane.vpp.connection import Connection
from mag.dataplane.vpp.errors import VppIncompatibleError, VppRefusedError
from mag.dataplane.vpp.interfaces import NO_INTERFACE, InterfaceDirectory
from mag.dataplane.vpp.shared_layout import TableId
from mag.dataplane.vpp.stats import StatsSegment
from support.marks import needs_root
from support.vpp_process import VppInstallation, VppProcess, running_vpp

pytestmark = [pytest.mark.vpp, needs_root, needs_vpp]

ALL = (*TUNNELS, *ACCESS_LINKS, ALICE, BOB)
PREFIXES = (*ALICE.home_network_prefixes, IPv6Network("2001:db8:30::/56"))
MANY = 3000


@pytest.fixture
async def bound() -> AsyncIterator[VppBench]:
    """With everything in place."""
    async with opened_vpp_bench() as bench:
        await ensure(bench, *ALL)
        yield bench


def backend(vpp: VppProcess, **changes: Any) -> VppDataplane:
    """A backend over this VPP."""
    client = VppClient(vpp.api_socket)
    settings: dict[str, Any] = {
        "proxy_care_of_address": PROXY_COA,
        "core_interfaces": (CORE,),
    }
    return VppDataplane(
        client,
        InterfaceDirectory(client),
        StatsSegment(vpp.stats_socket),
        **settings | changes,
    )


async def connection_to(bench: VppBench) -> tuple[VppClient, Connection]:
    client = VppClient(bench.vpp.api_socket)
    await client.connect()
    connection = client._connection
    assert connection is not None
    return client, connection


def snapshot(vpp: VppProcess) -> dict[str, str]:
    """What VPP's own command line shows of everything that the backend touches."""
    commands = ("show interface address", "show ip6 fib", "show ip6 mfib", "show interface tag")
    shown = {command: vpp.cli(command) for command in commands}
    # Indexes of paths and of the objects behind them are never the same twice.
    return {
        command: "\n".join(
            line for line in text.splitlines() if "index" not in line and "dpo" not in line
        )
        for command, text in shown.items()
    }


async def test_update_is_packed_as_vpp_papi_packs_it(bound: VppBench) -> None:
    """Byte equality for what is packed by hand."""
    client, connection = await connection_to(bound)
    node = replace(ALICE, home_network_prefixes=PREFIXES)
    entries = [
        *(
            {
                "binding_id": node.binding_id,
                "operation": 0,
                "flags": 0,
                "sw_if_index": 3,
                "mac": node.mn_link_layer_address,
                "lma_address": node.lma_address,
                "prefix": prefix,
            }
            for prefix in PREFIXES
        ),
        {
            "binding_id": BOB.binding_id,
            "operation": 1,
            "flags": 0,
            "sw_if_index": 0,
            "mac": bytes(6),
            "lma_address": IPv6Address("::"),
            "prefix": IPv6Network("::/0"),
        },
    ]
    packed = connection.layout(binding_messages.UPDATE).pack(
        {
            "_vl_msg_id": 0,
            "client_index": 0,
            "context": 0,
            "count": len(entries),
            "entries": entries,
        }
    )
    by_hand = binding_messages.pack_update(
        [*binding_messages.pack_ensure(node, 3), binding_messages.pack_delete(BOB.binding_id)]
    )
    assert packed[10:] == by_hand
    await client.close()


async def test_details_are_unpacked_as_vpp_papi_unpacks_them(bound: VppBench) -> None:
    node = replace(ALICE, home_network_prefixes=PREFIXES)
    await bound.dataplane.apply([Ensure(node, replaces=ALICE)])
    await send_as(bound, node, uplink_of(node))
    await bound.from_tunnel(LMA_A, downlink_to(node, octets=200))
    client, connection = await connection_to(bound)
    _, messages = await client.stream(
        binding_messages.GET,
        cursor=0,
        binding_id=0,
        sw_if_index=NO_INTERFACE,
        lma_address=IPv6Address("::"),
        idle_at_least=0,
    )
    layout = connection.layout("mag_binding_details")
    for octets, by_hand in zip(messages, binding_messages.unpack_details(messages), strict=True):
        judged, _ = layout.unpack(octets)
        assert by_hand.binding_id == judged.binding_id
        assert by_hand.sw_if_index == judged.sw_if_index
        assert by_hand.mn_link_layer_address == judged.mac.packed
        assert by_hand.lma_address == judged.lma_address
        assert by_hand.home_network_prefixes == tuple(judged.prefixes)
        counters = by_hand.counters
        assert (counters.uplink_packets, counters.uplink_octets) == (
            judged.up_packets,
            judged.up_octets,
        )
        assert (counters.downlink_packets, counters.downlink_octets) == (
            judged.down_packets,
            judged.down_octets,
        )
    await client.close()


async def test_removal_leaves_vpp_as_it_was() -> None:
    """Also with traffic in between, which leaves traces in tables."""
    async with opened_vpp_bench() as bench:
        await bench.dataplane.close(remove=True)
        before = snapshot(bench.vpp)
        await bench.dataplane.open()
        await ensure(bench, *ALL)
        await send_as(bench, ALICE, uplink_of(ALICE))
        await bench.dataplane.close(remove=True)
        assert snapshot(bench.vpp) == before


async def test_removal_after_the_death_of_vpp_is_no_error(bound: VppBench) -> None:
    bound.vpp.kill()
    await bound.dataplane.close(remove=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"core_interfaces": ("nosuch0",)}, "nosuch0: VPP has no such interface"),
        (
            {"proxy_care_of_address": IPv6Address("2001:db8::77")},
            "2001:db8::77: is an address of no interface",
        ),
        ({"mobility_table": TableId(77)}, "IPv6 table 77 is there already, as 'ours, not yours'"),
    ],
    ids=["no core interface", "foreign address", "foreign table"],
)
async def test_unfit_vpp_is_refused_and_left_as_it_is(changes: dict[str, Any], words: str) -> None:
    """One clear line before anything is changed."""
    async with opened_vpp_bench() as bench:
        await bench.dataplane.close(remove=True)
        client, connection = await connection_to(bench)
        table = {"table_id": 77, "is_ip6": True, "name": "ours, not yours"}
        await connection.request("ip_table_add_del", is_add=True, table=table)
        before = snapshot(bench.vpp)
        other = backend(bench.vpp, **changes)
        with pytest.raises(DataplaneError, match=words) as refusal:
            await other.open()
        assert "\n" not in str(refusal.value)
        await other.close(remove=False)
        assert snapshot(bench.vpp) == before
        await client.close()


async def test_vpp_without_the_plugin_is_told_as_such() -> None:
    """Plugins are named, not only their messages."""
    assert isinstance(vpp_installation, VppInstallation)
    with (
        TemporaryDirectory(prefix="mag-vpp-") as folder,
        running_vpp(vpp_installation, Path(folder), has_plugin=False) as vpp,
    ):
        dataplane = backend(vpp)
        with pytest.raises(VppIncompatibleError, match="plugin mag is not loaded"):
            await dataplane.open()
        await dataplane.close(remove=False)


async def test_operators_tag_on_an_access_interface_stays(bound: VppBench) -> None:
    """What is not marked as ours is not ours to write on."""
    await bound.dataplane.apply([Remove(ALICE), Remove(ACCESS_LINKS[0])])
    client, connection = await connection_to(bound)
    interfaces = InterfaceDirectory(client)
    await interfaces.refresh()
    index = interfaces.get("acc1").sw_if_index
    await connection.request(
        "sw_interface_tag_add_del", is_add=True, sw_if_index=index, tag="radio 17"
    )
    await ensure(bound, ACCESS_LINKS[0], ALICE)
    await interfaces.refresh()
    assert interfaces.get("acc1").tag == "radio 17"
    assert (await bound.dataplane.dump()).access_links["acc1"] == ACCESS_LINKS[0]
    await bound.dataplane.close(remove=True)
    await interfaces.refresh()
    assert interfaces.get("acc1").tag == "radio 17"
    await client.close()


async def test_access_interface_with_an_address_is_refused(bound: VppBench) -> None:
    """Its table cannot change then; the operator is told which address."""
    await bound.dataplane.apply([Remove(ALICE), Remove(ACCESS_LINKS[0])])
    bound.vpp.cli("set interface ip address acc1 2001:db8:77::1/64")
    (refusal,) = await bound.dataplane.apply([Ensure(ACCESS_LINKS[0])])
    assert "acc1: has the address 2001:db8:77::1/64" in str(refusal)


async def test_binding_with_an_lma_that_is_not_there_fails_alone(bound: VppBench) -> None:
    """One outcome for each operation, in one message."""
    lost = replace(
        BOB,
        binding_id=9,
        home_network_prefixes=(IPv6Network("2001:db8:9:9::/64"),),
        lma_address=IPv6Address("2001:db8::dead"),
    )
    taken = replace(ALICE, binding_id=10)
    fine = replace(BOB, binding_id=11, home_network_prefixes=(IPv6Network("2001:db8:9:a::/64"),))
    outcomes = await bound.dataplane.apply([Ensure(lost), Ensure(taken), Ensure(fine)])
    assert [isinstance(outcome, VppRefusedError) for outcome in outcomes] == [True, True, False]
    assert "no such entry" in str(outcomes[0])
    assert "the entry exists already" in str(outcomes[1])
    assert set((await bound.dataplane.dump()).mobile_nodes) == {ALICE.key, BOB.key, 11}


async def test_interface_that_lost_its_set_up_gets_it_again(bound: VppBench) -> None:
    """The dump tells what is there, so that the reconciler repairs it."""
    bound.vpp.cli("set interface unnumbered del acc1")
    dumped = (await bound.dataplane.dump()).access_links["acc1"]
    assert dumped != ACCESS_LINKS[0]
    reconciler = Reconciler(bound.dataplane)
    for record in ALL:
        reconciler.want(record)
    assert all(outcome.error is None for outcome in await reconciler.resync())
    (seen,) = await send_as(bound, ALICE, uplink_of(ALICE))
    assert isinstance(seen, Tunnelled)


async def test_link_that_its_operator_took_down_stays_down_over_a_lost_session(
    bound: VppBench,
) -> None:
    """The same process connects anew to the same VPP, and goes by what it knew of it."""
    link = ACCESS_LINKS[0]
    reconciler = Reconciler(bound.dataplane)
    for record in ALL:
        reconciler.want(record)
    await bound.set_link(link.interface, is_up=False)
    await bound.dataplane._client.close()
    await bound.dataplane.open()
    assert all(outcome.error is None for outcome in await reconciler.resync())
    await ensure(bound, link)
    assert not await bound.is_link_up(link.interface)
    await bound.set_link(link.interface, is_up=True)
    (seen,) = await send_as(bound, ALICE, uplink_of(ALICE))
    assert isinstance(seen, Tunnelled)


async def test_many_bindings_are_put_dumped_and_taken_away(bound: VppBench) -> None:
    """Several messages and pages of the dump; order of operations holds across them."""
    many = [
        replace(
            ALICE,
            binding_id=1000 + number,
            home_network_prefixes=(IPv6Network((0x20010DB9 << 96 | number << 64, 64)),),
        )
        for number in range(MANY)
    ]
    assert set(await bound.dataplane.apply([Ensure(node) for node in many])) == {None}
    dumped = (await bound.dataplane.dump()).mobile_nodes
    assert dumped == {node.key: node for node in (ALICE, BOB, *many)}
    heirs = [replace(node, binding_id=node.binding_id + MANY) for node in many]
    moves = [
        step for old, new in zip(many, heirs, strict=True) for step in (Remove(old), Ensure(new))
    ]
    assert set(await bound.dataplane.apply(moves)) == {None}
    (seen,) = await send_as(
        bound, heirs[-1], replace(uplink_of(ALICE), source=address_of(heirs[-1]))
    )
    assert isinstance(seen, Tunnelled)
    assert set(await bound.dataplane.apply([Remove(node) for node in heirs])) == {None}
    assert set((await bound.dataplane.dump()).mobile_nodes) == {ALICE.key, BOB.key}


async def test_restarted_vpp_is_not_touched_before_it_is_set_up_again(bound: VppBench) -> None:
    """VPP killed with -9: operations on the new one wait for `open`."""
    bound.vpp.kill()
    with pytest.raises(DataplaneError):
        await bound.dataplane.counters()
    bound.start_vpp()
    with pytest.raises(DataplaneError, match="VPP is away"):
        await bound.dataplane.apply([Ensure(ALICE)])
    await bound.dataplane.open()
    assert await bound.dataplane.dump() == ForwardingState()
    await ensure(bound, *ALL)
    (seen,) = await send_as(bound, ALICE, uplink_of(ALICE))
    assert isinstance(seen, Tunnelled)


async def test_status_names_the_releases(bound: VppBench) -> None:
    status = await bound.dataplane.status()
    assert status.name == "vpp"
    assert status.version.startswith("VPP 26.06")
    assert "plugin mag 0.1.0" in status.version
