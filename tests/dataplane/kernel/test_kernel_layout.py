"""The kernel's packet path in real namespaces: what is its own, beyond the contract."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv6Address

import pytest
from pyroute2 import IPRoute, netns
from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from dataplane.contract import frames
from dataplane.contract.bench import (
    ACCESS_LINKS,
    ALICE,
    BOB,
    CORRESPONDENT,
    LMA_A,
    PROXY_COA,
    TUNNELS,
    address_of,
    downlink_to,
    ensure,
    send_as,
    uplink_of,
)
from dataplane.contract.kernel_bench import CORE, KernelBench, configure_core
from dataplane.kernel.namespace_snapshot import snapshot
from mag.dataplane.base import DataplaneError, Ensure, LmaTunnel
from mag.dataplane.kernel import nftables, probe, seg6
from mag.dataplane.kernel.backend import KernelDataplane
from mag.dataplane.kernel.policy_rules import PolicyRules
from mag.dataplane.reconciler import Reconciler
from mag.dataplane.verdict import Delivered, InnerPacket, Tunnelled
from support.marks import needs_root
from support.namespaces import in_namespace

pytestmark = [pytest.mark.netns, needs_root]

ALL = (*TUNNELS, *ACCESS_LINKS, ALICE, BOB)


@pytest.mark.requirement("FWD-15", "TUN-02", "T2473-06")
async def test_tunnel_packets_carry_no_routing_header(bound: KernelBench) -> None:
    """FWD-15: pyroute2 turns an unknown encapsulation mode into one with a routing header."""
    await send_as(bound, ALICE, uplink_of(ALICE))
    ((link, frame),) = bound.frames
    assert link == CORE
    assert frame[20] == 41
    assert len(frame) == frames.ETHERNET_OCTETS + 2 * frames.IPV6_OCTETS + 60


async def test_removal_leaves_the_namespace_as_it_was(untouched: KernelBench) -> None:
    before = snapshot(untouched.gateway)
    await untouched.dataplane.open()
    await ensure(untouched, *ALL)
    during = snapshot(untouched.gateway)
    await untouched.dataplane.close(remove=True)
    assert snapshot(untouched.gateway) == before
    assert all(during[part] != before[part] for part in before)


async def test_removal_by_an_instance_that_never_opened_leaves_nothing(
    untouched: KernelBench,
) -> None:
    """After the agent was killed, a new process can clean up."""
    before = snapshot(untouched.gateway)
    await untouched.dataplane.open()
    await ensure(untouched, *ALL)
    await untouched.dataplane.close(remove=False)
    await untouched.another_instance().close(remove=True)
    assert snapshot(untouched.gateway) == before


async def test_removal_where_nothing_is_changes_nothing(untouched: KernelBench) -> None:
    before = snapshot(untouched.gateway)
    await untouched.dataplane.close(remove=True)
    assert snapshot(untouched.gateway) == before


async def test_opening_again_changes_nothing(bound: KernelBench) -> None:
    """A restarted agent does not disturb what is there."""
    before = snapshot(bound.gateway)
    second = bound.another_instance()
    await second.open()
    await second.close(remove=False)
    assert snapshot(bound.gateway) == before


async def test_no_packet_is_lost_while_the_path_is_opened_again(bound: KernelBench) -> None:
    """Design §7: 0 packets lost when the agent restarts under traffic."""
    second = bound.another_instance()
    opening = asyncio.create_task(second.open())
    sent = 0
    while not opening.done() or sent < 50:
        (up,) = await send_as(bound, ALICE, uplink_of(ALICE))
        (down,) = await bound.from_tunnel(LMA_A, downlink_to(ALICE))
        assert isinstance(up, Tunnelled)
        assert isinstance(down, Delivered)
        sent += 1
        await asyncio.sleep(0)
    await opening
    await second.close(remove=False)


@pytest.mark.parametrize("missing", ["core7", "nosuch0"])
async def test_core_interface_that_does_not_exist_is_named_and_nothing_changes(
    untouched: KernelBench, missing: str
) -> None:
    before = snapshot(untouched.gateway)
    dataplane = KernelDataplane(PROXY_COA, (CORE, missing), netns=untouched.gateway)
    with pytest.raises(DataplaneError, match=f"{missing}: no such interface"):
        await dataplane.open()
    await dataplane.close(remove=False)
    assert snapshot(untouched.gateway) == before


async def test_access_interface_that_does_not_exist_is_named(kernel_bench: KernelBench) -> None:
    missing = replace(ACCESS_LINKS[0], interface="nosuch0")
    (error,) = await kernel_bench.dataplane.apply([Ensure(missing)])
    assert "nosuch0: no such interface" in str(error)


async def test_second_proxy_care_of_address_is_refused(kernel_bench: KernelBench) -> None:
    """The outer source address is a setting of the whole namespace."""
    other = LmaTunnel(IPv6Address("2001:db8:c::2"), LMA_A, 1460)
    (error,) = await kernel_bench.dataplane.apply([Ensure(other)])
    assert f"the one Proxy-CoA of this namespace is {PROXY_COA}" in str(error)


async def test_tunnel_mtu_below_the_minimum_is_refused(kernel_bench: KernelBench) -> None:
    """INT-13: below it the outer packet would have to be fragmented, which this path cannot."""
    (error,) = await kernel_bench.dataplane.apply([Ensure(replace(TUNNELS[0], mtu_octets=1279))])
    assert "1280" in str(error)


async def test_core_link_that_went_down_and_up_is_used_again(bound: KernelBench) -> None:
    """No route of ours is tied to the core link."""
    before = await bound.dataplane.dump()
    in_namespace(bound.gateway, lambda: _set_state(CORE, "down"))
    in_namespace(bound.gateway, lambda: _set_state(CORE, "up"))
    # Addresses, routes and neighbours of the core link are the operator's to bring back.
    in_namespace(bound.gateway, configure_core)
    assert await bound.dataplane.dump() == before
    (seen,) = await send_as(bound, ALICE, uplink_of(ALICE))
    assert isinstance(seen, Tunnelled)


def _set_state(interface: str, state: str) -> None:
    with IPRoute() as netlink:
        netlink.link("set", index=netlink.link_lookup(ifname=interface)[0], state=state)


def _flush_own_rules() -> None:
    with IPRoute() as netlink:
        rules = PolicyRules(netlink)
        for rule in rules.present():
            rules.remove(rule)


def _flush_nftables() -> None:
    library = nftables.Nftables()
    library.run("flush ruleset")
    library.close()


def _delete_neighbors() -> None:
    with IPRoute() as netlink:
        acc1 = netlink.link_lookup(ifname="acc1")[0]
        for found in list(netlink.get_neighbours(family=10)):
            if found["ifindex"] == acc1:
                netlink.neigh("del", family=10, dst=found.get_attr("NDA_DST"), ifindex=acc1)


def _delete_tunnel() -> None:
    with IPRoute() as netlink:
        netlink.link("del", index=netlink.link_lookup(ifname="mag-1")[0])


def _bounce_access() -> None:
    _set_state("acc1", "down")
    _set_state("acc1", "up")


@pytest.mark.parametrize(
    "damage",
    [_flush_own_rules, _flush_nftables, _delete_neighbors, _delete_tunnel, _bounce_access],
    ids=["rules", "nftables", "neighbours", "tunnel", "access link down"],
)
async def test_what_a_stranger_destroyed_is_there_again_after_open_and_resync(
    kernel_bench: KernelBench, damage: Callable[[], None]
) -> None:
    """Wanted minus found is what is applied, whatever the reason for the difference."""
    reconciler = Reconciler(kernel_bench.dataplane)
    for record in ALL:
        reconciler.want(record)
    await reconciler.converge()
    in_namespace(kernel_bench.gateway, damage)
    await kernel_bench.dataplane.open()
    assert all(outcome.error is None for outcome in await reconciler.resync())
    (up,) = await send_as(kernel_bench, ALICE, uplink_of(ALICE))
    (down,) = await kernel_bench.from_tunnel(LMA_A, downlink_to(ALICE))
    assert isinstance(up, Tunnelled)
    assert isinstance(down, Delivered)
    wrong = replace(ALICE, mn_link_layer_address=BOB.mn_link_layer_address)
    assert await send_as(kernel_bench, wrong, uplink_of(ALICE)) == []
    assert await reconciler.resync() == ()


async def test_leftovers_of_no_binding_are_gone_once_stock_is_taken(bound: KernelBench) -> None:
    """Half of a binding, as after a kill between two messages."""
    in_namespace(bound.gateway, _delete_downlink_routes)
    before = snapshot(bound.gateway)
    await bound.dataplane.open()
    assert (await bound.dataplane.dump()).mobile_nodes == {}
    assert snapshot(bound.gateway)["neighbors"] == before["neighbors"]
    assert (await bound.dataplane.take_stock({})).mobile_nodes == {}
    after = snapshot(bound.gateway)
    assert not any(str(ALICE.home_network_prefixes[0][0]) in row for row in after["routes"])
    assert not any("fe80:6d61" in row for row in after["neighbors"])
    assert (await bound.dataplane.counters()).bindings == {}


async def test_local_routing_that_lost_its_route_is_put_back(kernel_bench: KernelBench) -> None:
    """Something else flushed our table: the record says so, the reconciler repairs it."""
    local = [replace(node, local_routing=True) for node in (ALICE, BOB)]
    reconciler = Reconciler(kernel_bench.dataplane)
    for record in (*TUNNELS, *ACCESS_LINKS, *local):
        reconciler.want(record)
    await reconciler.converge()
    in_namespace(kernel_bench.gateway, _flush_local_routing)
    found = (await kernel_bench.dataplane.dump()).mobile_nodes
    assert not any(node.local_routing for node in found.values())
    assert all(outcome.error is None for outcome in await reconciler.resync())
    packet = replace(uplink_of(ALICE), destination=address_of(BOB))
    (seen,) = await send_as(kernel_bench, ALICE, packet)
    assert isinstance(seen, Delivered)


def _flush_local_routing() -> None:
    with IPRoute() as netlink:
        netlink.flush_routes(family=10, table=21303)


def _delete_downlink_routes() -> None:
    with IPRoute() as netlink:
        for node in (ALICE, BOB):
            prefix = str(node.home_network_prefixes[0])
            netlink.route("del", family=10, dst=prefix, table=21302)


async def test_without_libnftables_packets_flow_and_the_limits_are_told(
    untouched: KernelBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Routing alone keeps unbound sources out."""
    monkeypatch.setattr(nftables, "LIBRARY", "libnosuch.so.9")
    await untouched.dataplane.open()
    await ensure(untouched, *ALL)
    status = await untouched.dataplane.status()
    assert status.missing == probe.WITHOUT_NFTABLES
    (up,) = await send_as(untouched, ALICE, uplink_of(ALICE))
    (down,) = await untouched.from_tunnel(LMA_A, downlink_to(ALICE))
    assert isinstance(up, Tunnelled)
    assert isinstance(down, Delivered)
    stranger = InnerPacket(IPv6Address("2001:db8:9::1"), CORRESPONDENT)
    assert await send_as(untouched, ALICE, stranger) == []
    assert await untouched.from_tunnel(LMA_A, replace(stranger, destination=stranger.source)) == []
    assert (await untouched.dataplane.dump()).mobile_nodes == {ALICE.key: ALICE, BOB.key: BOB}
    await untouched.dataplane.close(remove=True)


async def test_with_libnftables_no_limit_of_its_absence_is_told(
    kernel_bench: KernelBench,
) -> None:
    status = await kernel_bench.dataplane.status()
    assert status.name == "kernel"
    assert (status.limitations, status.missing) == (probe.LIMITATIONS, ())


async def test_tunnel_source_of_somebody_else_is_not_taken(untouched: KernelBench) -> None:
    """What is not ours is never touched."""
    theirs = IPv6Address("2001:db8:c::77")
    in_namespace(untouched.gateway, lambda: seg6.set_tunnel_source(theirs))
    with pytest.raises(DataplaneError, match="already uses 2001:db8:c::77"):
        await untouched.dataplane.open()
    assert in_namespace(untouched.gateway, seg6.tunnel_source) == theirs
    await untouched.dataplane.close(remove=False)


async def test_namespace_that_does_not_exist_is_an_error_every_time() -> None:
    """Never is the namespace of the process worked on instead."""
    dataplane = KernelDataplane(PROXY_COA, (CORE,), netns="magtest-no-such-namespace")
    for call in (dataplane.open, dataplane.dump, lambda: dataplane.close(remove=True)):
        with pytest.raises(DataplaneError, match="magtest-no-such-namespace"):
            await call()
    assert "magtest-no-such-namespace" not in netns.listnetns()


@pytest.mark.requirement("DR-02", "DR-04")
async def test_access_link_keeps_its_gateway_address_only(bound: KernelBench) -> None:
    """RFC 5213 §6.8, RFC 6543: one link-local address on all access links."""
    rows = snapshot(bound.gateway)["addresses"]
    link_local = [row for row in rows if "'fe80::" in row]
    # The third is the core link's own.
    assert len(link_local) == len(ACCESS_LINKS) + 1
    assert len([row for row in link_local if "fe80::200:5eff:fe00:5213" in row]) == len(
        ACCESS_LINKS
    )


@pytest.mark.requirement("LLA-01")
async def test_answer_from_the_anycast_address_goes_to_the_node_that_asked(
    bound: KernelBench,
) -> None:
    """LLA-01: from the address that was asked, and not through the tunnel."""
    anycast = ALICE.home_network_prefixes[0].network_address
    await send_as(bound, ALICE, InnerPacket(address_of(ALICE), anycast))
    ((link, frame),) = bound.frames
    assert (link, frame[:6]) == (ALICE.access_interface, ALICE.mn_link_layer_address)
    assert frame[22:38] == anycast.packed
    assert frame[38:54] == address_of(ALICE).packed


@pytest.mark.requirement("LLA-01")
async def test_service_of_the_host_is_not_open_at_the_anycast_address(bound: KernelBench) -> None:
    """As at any other address of the gateway that is not of the link."""
    anycast = ALICE.home_network_prefixes[0].network_address
    packet = IPv6(src=str(address_of(ALICE)), dst=str(anycast)) / TCP(dport=22)
    link_layer = Ether(
        src=ALICE.mn_link_layer_address.hex(":"),
        dst=ACCESS_LINKS[0].gateway_link_layer_address.hex(":"),
    )
    (seen,) = bound.exchange(ALICE.access_interface, link_layer / packet)
    assert isinstance(seen, Tunnelled)
    assert seen.inner.destination == anycast
