"""Everything that changes while packets use it: VPP lives, and every packet is accounted for."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from vpp.plugin.gateway import (
    BOB_MAC,
    LMA,
    NEXT_HOP_MAC,
    OTHER_LMA,
    Binding,
    Gateway,
    deletion,
    stream,
    tagged,
)
from vpp.plugin.generator import Port, endless_traffic

pytestmark = pytest.mark.vpp

ROUNDS = 4
CHURNED = 31
"""With one binding that stays they fill half a vector."""
NEW_VLAN = 200
UP = "mag-uplink-ip6/"
DOWN = "mag-downlink-ip6/"
ENCAPSULATED = "mag-uplink-ip6/encapsulated"
DECAPSULATED = "mag-downlink-ip6/decapsulated"
UNBOUND = "mag-downlink-ip6/unknown_inner_destination"


@pytest.fixture
def busy_gateway(any_gateway: Gateway) -> Iterator[Gateway]:
    """The gateway; after the test no packet buffer is missing."""
    buffers = any_gateway.vpp.buffers_in_use()
    yield any_gateway
    any_gateway.vpp.wait_until(lambda: any_gateway.vpp.buffers_in_use() <= buffers)


def worker_of(gateway: Gateway) -> int | None:
    """Who takes the streams: the last one, if there are any."""
    return gateway.vpp.workers - 1 if gateway.vpp.workers else None


def count(counters: dict[str, int], node: str) -> int:
    """What a node has counted in all."""
    return sum(packets for name, packets in counters.items() if name.startswith(node))


def share(packets: int) -> int:
    """Of so many packets, those of the binding whose frame comes first among 1 + CHURNED."""
    return -(-packets // (1 + CHURNED))


def churned_bindings(gateway: Gateway) -> list[Binding]:
    """Some, on Alice's access link."""
    return [
        Binding(1000 + n, [f"2001:db8:5:{n:x}::/64"], gateway.access.sw_if_index)
        for n in range(CHURNED)
    ]


def test_bindings_are_replaced_and_deleted_under_their_own_traffic(busy_gateway: Gateway) -> None:
    """What has no binding meanwhile is dropped and counted; another binding loses nothing."""
    gateway = busy_gateway
    stays, churned = gateway.alice(), churned_bindings(gateway)
    gateway.bind(stays)
    everybody = [stays, *churned]
    up = [gateway.uplink(binding.address()) for binding in everybody]
    down = [gateway.tunnelled(gateway.to_node(binding.address())) for binding in everybody]
    streams = ((gateway.access, up * 2), (gateway.core, down * 2))
    with endless_traffic(gateway.vpp, *streams, worker=worker_of(gateway)):
        for _ in range(4 * ROUNDS):
            gateway.bind(*churned, stays)
            gateway.bind(*(replace(b, mac=BOB_MAC, lma=OTHER_LMA) for b in churned))
            gateway.update(*(deletion(b.binding_id) for b in churned))
    counters = gateway.vpp.error_counters()
    [details] = gateway.bindings()
    assert details.up_packets == share(count(counters, UP))
    assert details.down_packets == share(count(counters, DOWN))
    assert counters[ENCAPSULATED] > details.up_packets
    assert counters[DECAPSULATED] > details.down_packets
    assert counters["mag-uplink-ip6/wrong_link_layer_address"] > 0
    assert counters["mag-uplink-ip6/unknown_source"] > 0
    assert counters[UNBOUND] > 0
    assert len(counters) == 5, counters


def test_bindings_are_replaced_and_deleted_under_handed_off_traffic(
    two_worker_gateway: Gateway,
) -> None:
    """Two workers look up what the main thread changes; each packet has one fate."""
    gateway = two_worker_gateway
    buffers = gateway.vpp.buffers_in_use()
    stays, churned = gateway.alice(), churned_bindings(gateway)
    gateway.bind(stays)
    down = [gateway.tunnelled(gateway.to_node(b.address())) for b in (stays, *churned)]
    with endless_traffic(gateway.vpp, (gateway.core, down * 2), worker=0):
        for _ in range(4 * ROUNDS):
            gateway.bind(*churned, stays)
            gateway.bind(*(replace(b, mac=BOB_MAC, lma=OTHER_LMA) for b in churned))
            gateway.update(*(deletion(b.binding_id) for b in churned))
    gateway.vpp.wait_until(lambda: gateway.vpp.buffers_in_use() <= buffers)
    counters = gateway.vpp.error_counters()
    congested = counters.pop("mag-downlink-hand-off-ip6/hand_off_congested", 0)
    [details] = gateway.bindings()
    assert set(counters) == {DECAPSULATED, UNBOUND}
    most = share(count(counters, DOWN) + congested)
    assert most - congested <= details.down_packets <= most
    assert details.down_packets > 0
    with gateway.vpp.statistics() as statistics:
        first, *workers = statistics["/mag/binding/down"]
    assert sum(counter["packets"] for counter in first) == 0
    assert all(sum(counter["packets"] for counter in worker) > 0 for worker in workers)


def test_many_bindings_come_and_go_beside_traffic(busy_gateway: Gateway) -> None:
    """Bulk messages take nothing from a binding that they do not name, or replace as it is."""
    gateway = busy_gateway
    alice = gateway.alice()
    gateway.bind(alice)
    up = stream(gateway.uplink(alice.address()))
    down = stream(gateway.tunnelled(gateway.to_node(alice.address())))
    others = [
        Binding(1000 + n, [f"2001:db8:5:{n:x}::/64"], gateway.access.sw_if_index)
        for n in range(300)
    ]
    streams = ((gateway.access, up), (gateway.core, down))
    with endless_traffic(gateway.vpp, *streams, worker=worker_of(gateway)):
        for _ in range(ROUNDS):
            gateway.bind(*others, alice)
            gateway.update(*(deletion(b.binding_id) for b in others))
    counters = gateway.vpp.error_counters()
    assert set(counters) == {ENCAPSULATED, DECAPSULATED}
    [details] = gateway.bindings()
    assert details.up_packets == counters[ENCAPSULATED] > 10_000
    assert details.down_packets == counters[DECAPSULATED] > 10_000


def test_route_and_neighbor_come_and_go_under_traffic(busy_gateway: Gateway) -> None:
    """The way to the LMA changes while packets take it: every packet is counted, and none is left
    in a wrong place: in the end all go out again."""
    gateway = busy_gateway
    alice = gateway.alice()
    gateway.bind(alice)
    frames = stream(gateway.uplink(alice.address()))
    with endless_traffic(gateway.vpp, (gateway.access, frames), worker=worker_of(gateway)):
        for turn in range(8 * ROUNDS):
            gateway.route("2001:db8:b::/64", is_add=False)
            gateway.route("2001:db8:b::/64")
            gateway.add_neighbor(f"02:00:00:00:cc:{turn:02x}")
            gateway.add_neighbor(f"02:00:00:00:cc:{turn:02x}", is_add=False)
            gateway.add_neighbor()
            gateway.set_mtu(gateway.core.sw_if_index, 1400 if turn % 2 == 0 else 9000)
    [details] = gateway.bindings()
    counters = gateway.vpp.error_counters()
    assert set(counters) == {ENCAPSULATED}
    assert details.up_packets == counters[ENCAPSULATED] > 0
    gateway.vpp.forget_counters()
    received = gateway.send_and_expect(gateway.access, frames, gateway.core)
    assert {p.dst for p in received} == {NEXT_HOP_MAC}


def test_lma_is_deleted_and_made_anew_under_traffic(busy_gateway: Gateway) -> None:
    """The node changes its LMA and loses nothing; the LMA that is gone is a stranger."""
    gateway = busy_gateway
    alice = gateway.alice()
    gateway.bind(alice)
    up = stream(gateway.uplink(alice.address()))
    inner = gateway.to_node(alice.address())
    down = [gateway.tunnelled(inner, src=lma) for lma in (LMA, OTHER_LMA)] * 32
    streams = ((gateway.access, up), (gateway.core, down))
    with endless_traffic(gateway.vpp, *streams, worker=worker_of(gateway)):
        for _ in range(4 * ROUNDS):
            for old, new in ((LMA, OTHER_LMA), (OTHER_LMA, LMA)):
                gateway.bind(replace(alice, lma=new))
                gateway.delete_lma(old)
                gateway.set_lma(lma_address=old)
    counters = gateway.vpp.error_counters()
    [details] = gateway.bindings()
    assert (
        details.up_packets == counters.pop(ENCAPSULATED) == count(counters, UP) + details.up_packets
    )
    assert details.down_packets == counters.pop(DECAPSULATED) > 0
    assert set(counters) <= {"mag-downlink-ip6/unknown_tunnel_peer"}
    assert counters["mag-downlink-ip6/unknown_tunnel_peer"] > 0


def test_interface_is_deleted_under_traffic_to_it(busy_gateway: Gateway) -> None:
    """Its bindings go with it; packets that come later have none. Another link loses nothing."""
    gateway = busy_gateway
    stays = gateway.bob()
    gateway.bind(stays)
    goes = replace(gateway.alice(), binding_id=99)
    down = [gateway.tunnelled(gateway.to_node(b.address())) for b in (stays, goes)] * 32
    with endless_traffic(gateway.vpp, (gateway.core, down), worker=worker_of(gateway)):
        for turn in range(2 * ROUNDS):
            port = Port(gateway.vpp, 20 + turn)
            gateway.enable_access(port.sw_if_index)
            gateway.bind(replace(goes, sw_if_index=port.sw_if_index))
            gateway.vpp.cli("show mag")  # stops the workers: some packets pass in between
            gateway.vpp.api.pg_delete_interface(sw_if_index=port.sw_if_index)
            assert [d.binding_id for d in gateway.bindings()] == [stays.binding_id]
    counters = gateway.vpp.error_counters()
    [details] = gateway.bindings()
    assert details.down_packets == -(-count(counters, DOWN) // 2)
    assert counters[DECAPSULATED] > details.down_packets
    assert set(counters) == {DECAPSULATED, UNBOUND}


def test_vlan_is_deleted_under_traffic_from_it(busy_gateway: Gateway) -> None:
    """An access link that goes while its nodes send: VPP knows the tag no more, others do not
    notice."""
    gateway = busy_gateway
    stays = gateway.alice()
    gateway.bind(stays)
    goes = Binding(99, ["2001:db8:1:99::/64"], 0, mac=BOB_MAC)
    on_vlan = tagged(gateway.uplink(goes.address(), mac=BOB_MAC), NEW_VLAN)
    frames = [gateway.uplink(stays.address()), on_vlan] * 32
    with endless_traffic(gateway.vpp, (gateway.access, frames), worker=worker_of(gateway)):
        for _ in range(2 * ROUNDS):
            vlan = gateway.vpp.api.create_vlan_subif(
                sw_if_index=gateway.access.sw_if_index, vlan_id=NEW_VLAN
            ).sw_if_index
            gateway.enable_access(vlan)
            gateway.bind(replace(goes, sw_if_index=vlan))
            gateway.vpp.cli("show mag")  # stops the workers: some packets pass in between
            gateway.vpp.api.delete_subif(sw_if_index=vlan)
    counters = gateway.vpp.error_counters()
    [details] = gateway.bindings()
    assert details.binding_id == stays.binding_id
    assert counters[ENCAPSULATED] > details.up_packets > 0
    # A new link's nodes are first routed in its table, then strangers, then bound.
    assert set(counters) <= {
        ENCAPSULATED,
        "mag-uplink-ip6/unknown_source",
        "mag-mobility-ip6/unknown_inner_destination",
    }
