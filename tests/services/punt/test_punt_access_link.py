"""An access link by the punt socket: what of its nodes is a signal, and what goes out to them."""

from ipaddress import IPv6Address
from types import SimpleNamespace

import pytest

from mag.services.node_signal import NodeSignal
from mag.wire.ethernet import EthernetFrame
from mag.wire.ipv6 import IPv6Packet
from services.punt.conftest import (
    ACCESS,
    CORE,
    GATEWAY_MAC,
    NODE,
    NODE_MAC,
    World,
    framed,
    port_of,
    solicitation,
)
from support.fake_adapters import until
from support.mobility_headers import LMA, MAG


async def test_router_solicitation_is_a_signal(world: World) -> None:
    """RFC 5213 §6.9.2, RFC 4861 §6.1.1."""
    _, signals = port_of(world)
    world.deliver(ACCESS, framed(solicitation()))
    await until(lambda: signals)
    assert signals == [NodeSignal("access", NODE_MAC, True, NODE)]


async def test_known_nodes_solicitation_is_a_signal_all_the_same(world: World) -> None:
    """It asks for an answer."""
    port, signals = port_of(world)
    port.know(NODE_MAC)
    world.deliver(ACCESS, framed(solicitation()))
    await until(lambda: signals)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (framed(solicitation(hop_limit=64)), "bad_hop_limit"),
        (framed(solicitation(), source=bytes.fromhex("01000000000a")), "bad_source"),
        (
            framed(IPv6Packet(LMA, MAG, 58, bytes((2, *bytes(7)))).encode()),
            "no_router_solicitation",
        ),
    ],
    ids=["routed", "multicast MAC", "ICMPv6 error"],
)
async def test_invalid_solicitation_is_counted(world: World, frame: bytes, reason: str) -> None:
    """ND-01."""
    port, signals = port_of(world)
    world.deliver(ACCESS, frame)
    await until(lambda: port.discarded)
    assert list(port.discarded) == [reason]
    assert signals == []


def unknown_source(mac: bytes, sw_if_index: int = ACCESS) -> SimpleNamespace:
    return SimpleNamespace(
        sw_if_index=sw_if_index,
        mac=SimpleNamespace(packed=mac),
        source_address=NODE,
        n_suppressed=3,
    )


async def test_event_of_an_unknown_source_is_a_signal_until_the_node_is_known(
    world: World,
) -> None:
    port, signals = port_of(world)
    tell = world.client.handlers["mag_unknown_source_event"]
    tell(unknown_source(NODE_MAC))
    port.know(NODE_MAC)
    tell(unknown_source(NODE_MAC))
    tell(unknown_source(NODE_MAC, CORE))
    assert signals == [NodeSignal("access", NODE_MAC, False, NODE)]
    port.forget(NODE_MAC)
    tell(unknown_source(NODE_MAC))
    assert len(signals) == 2


@pytest.mark.requirement("PBA-33", "LLA-06")
async def test_claim_of_an_address_is_a_signal_from_whomever(world: World) -> None:
    """RFC 4861 §4.4, RFC 4862 §5.4: of a bound node too, it may be the gateway's address."""
    port, signals = port_of(world, pass_unknown=False)
    port.know(NODE_MAC)
    claim = unknown_source(NODE_MAC)
    claim.claimed_address = IPv6Address("fe80::6d61:1")
    world.client.handlers["mag_address_claimed_event"](claim)
    assert signals == [NodeSignal("access", NODE_MAC, False, NODE, IPv6Address("fe80::6d61:1"))]


async def test_event_is_no_signal_where_only_solicitations_attach(world: World) -> None:
    """design: attach triggers are configuration."""
    _, signals = port_of(world, pass_unknown=False)
    world.client.handlers["mag_unknown_source_event"](unknown_source(NODE_MAC))
    assert signals == []


async def test_frame_to_a_node_goes_out_of_its_link(world: World) -> None:
    """RFC 6085: to the node's own address."""
    port, _ = port_of(world)
    assert port.send(b"packet", NODE_MAC)
    frame = NODE_MAC + GATEWAY_MAC + bytes.fromhex("86dd") + b"packet"
    assert world.sent() == (ACCESS, 0, frame)


async def test_frame_out_of_a_vlan_carries_its_tags(world: World) -> None:
    """VPP sends the frame as it is, outer tag of 802.1ad first."""
    assert world.punt.send_frame("access.5.6", NODE_MAC, GATEWAY_MAC, b"packet")
    _, _, frame = world.sent()
    assert frame[12:20] == bytes.fromhex("88a8 0005 8100 0006".replace(" ", ""))
    assert EthernetFrame.decode(frame).payload == b"packet"


async def test_frame_out_of_a_link_that_is_down_is_refused(world: World) -> None:
    assert not world.punt.send_frame("down", NODE_MAC, GATEWAY_MAC, b"packet")
    assert not world.punt.send_frame("nosuch", NODE_MAC, GATEWAY_MAC, b"packet")
    assert world.punt.send_failures == 2
