"""Packets to the gateway: ND, presence of nodes, events about strangers."""

import socket
import subprocess
import sys
import time

import pytest
from scapy.layers.inet6 import (
    UDP,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether
from scapy.utils6 import in6_getnsma

from vpp.plugin.gateway import ALICE_MAC, BOB_MAC, Gateway, stream, tagged
from vpp.plugin.vpp_process import VppRefused

pytestmark = pytest.mark.vpp

EVENT_INTERVAL_SECONDS = 0.11

LINK_LOCAL = "fe80::ff:fe00:11"
ANYCAST = "2001:db8:1:11::"


def solicitation(
    gateway: Gateway, source: str, *, mac: str = ALICE_MAC, unicast: bool, target: str = ""
) -> Ether:
    """A Neighbor Solicitation for the gateway's link-local address, or another target."""
    target = target or gateway.link_local()
    group = socket.inet_ntop(
        socket.AF_INET6, in6_getnsma(socket.inet_pton(socket.AF_INET6, target))
    )
    octets = socket.inet_pton(socket.AF_INET6, group)[-4:]
    destination = gateway.access.mac if unicast else "33:33:" + octets.hex(":")
    return (
        Ether(src=mac, dst=destination)
        / IPv6(src=source, dst=target if unicast else group, hlim=255)
        / ICMPv6ND_NS(tgt=target)
        / ICMPv6NDOptSrcLLAddr(lladdr=mac)
    )


def claim(mac: str, target: str, *, hop_limit: int = 255, **fields: int) -> Ether:
    """Duplicate address detection of a node (RFC 4862 section 5.4.2); fields: of the message."""
    group = socket.inet_ntop(
        socket.AF_INET6, in6_getnsma(socket.inet_pton(socket.AF_INET6, target))
    )
    octets = socket.inet_pton(socket.AF_INET6, group)[-4:]
    return (
        Ether(src=mac, dst="33:33:" + octets.hex(":"))
        / IPv6(src="::", dst=group, hlim=hop_limit)
        / ICMPv6ND_NS(tgt=target, **fields)
    )


def advertisement(mac: str, target: str) -> Ether:
    """A node's answer to somebody's duplicate address detection."""
    return (
        Ether(src=mac, dst="33:33:00:00:00:01")
        / IPv6(src=target, dst="ff02::1", hlim=255)
        / ICMPv6ND_NA(tgt=target, R=0, S=0, O=1)
    )


@pytest.mark.parametrize("unicast", [True, False])
def test_solicitation_from_bound_source_is_answered(gateway: Gateway, unicast: bool) -> None:
    """ND: VPP alone drops it as a source that is not on link."""
    alice = gateway.alice()
    gateway.bind(alice)
    frame = solicitation(gateway, alice.address(), unicast=unicast)
    [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.access)
    assert packet.dst == ALICE_MAC
    assert packet[IPv6].dst == alice.address()
    assert packet[ICMPv6ND_NA].tgt == gateway.link_local()


@pytest.mark.parametrize("unicast", [True, False])
def test_solicitation_from_unbound_source_is_not_answered(gateway: Gateway, unicast: bool) -> None:
    """A source that no binding has is not on the link."""
    frame = solicitation(gateway, "2001:db8:1:99::5", unicast=unicast)
    gateway.send_and_expect_nothing(gateway.access, [frame])


@pytest.mark.parametrize("unicast", [True, False])
def test_solicitation_from_spoofed_source_is_dropped(gateway: Gateway, unicast: bool) -> None:
    """A bound source with another MAC would poison the neighbor table."""
    alice = gateway.alice()
    gateway.bind(alice)
    frame = solicitation(gateway, alice.address(), mac=BOB_MAC, unicast=unicast)
    node = "mag-uplink-ip6" if unicast else "mag-uplink-multicast-ip6"
    gateway.send_and_expect_drop(gateway.access, [frame], f"{node}/wrong_link_layer_address")


def test_solicitation_from_link_local_source_is_answered(gateway: Gateway) -> None:
    """ND works for any node on the link, bound or not."""
    frame = solicitation(gateway, LINK_LOCAL, unicast=False)
    [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.access)
    assert packet[ICMPv6ND_NA].tgt == gateway.link_local()
    assert packet[ICMPv6ND_NA].R == 1  # RFC 4861 §7.2.5: without it the node drops its router


@pytest.mark.requirement("LLA-01")
@pytest.mark.parametrize(
    ("source", "unicast"),
    [("2001:db8:1:11::5", True), ("2001:db8:1:11::5", False), (LINK_LOCAL, False)],
)
def test_solicitation_for_the_anycast_address_is_answered(
    gateway: Gateway, source: str, unicast: bool
) -> None:
    """LLA-01: the gateway has it, and does not override what others say (RFC 4861 §7.2.7)."""
    gateway.bind(gateway.alice())
    frame = solicitation(gateway, source, unicast=unicast, target=ANYCAST)
    [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.access)
    assert (packet.dst, packet[IPv6].dst) == (ALICE_MAC, source)
    assert (packet[IPv6].src, packet[IPv6].hlim) == (gateway.link_local(), 255)
    answer = packet[ICMPv6ND_NA]
    assert (answer.tgt, answer.R, answer.S, answer.O) == (ANYCAST, 1, 1, 0)
    assert packet[ICMPv6NDOptDstLLAddr].lladdr == gateway.access.mac
    rebuilt = IPv6(bytes(packet[IPv6]))
    del rebuilt[ICMPv6ND_NA].cksum
    assert IPv6(bytes(rebuilt))[ICMPv6ND_NA].cksum == answer.cksum


@pytest.mark.requirement("LLA-01")
@pytest.mark.parametrize("target", ["2001:db8:1:11::1", "2001:db8:1:12::"])
@pytest.mark.parametrize("unspecified", [True, False], ids=["claim", "question"])
def test_solicitation_for_other_addresses_of_prefixes_is_not_answered(
    gateway: Gateway, target: str, unspecified: bool
) -> None:
    """LLA-01: duplicate address detection of a node never fails."""
    alice = gateway.alice()
    gateway.bind(alice)
    question = solicitation(gateway, alice.address(), unicast=False, target=target)
    frame = claim(ALICE_MAC, target) if unspecified else question
    gateway.send_and_expect_nothing(gateway.access, [frame])


OWN, ANOTHER = "fe80::6d61:1", "fe80::6d61:2"
"""Addresses of the gateway towards single nodes (RFC 5213 section 6.8)."""


def set_address(
    gateway: Gateway, address: str, *, is_add: bool = True, sw_if_index: int | None = None
) -> int:
    """Have the gateway answer for it on its first access link, or no longer; the return value."""
    index = gateway.access.sw_if_index if sw_if_index is None else sw_if_index
    try:
        gateway.vpp.api.mag_gateway_address_add_del(
            is_add=is_add, sw_if_index=index, address=address
        )
    except VppRefused as refusal:
        return refusal.retval
    return 0


def addresses(gateway: Gateway) -> list[str]:
    """What the plugin says that it answers for beside the interface's own."""
    return sorted(str(each.address) for each in gateway.vpp.api.mag_gateway_address_dump())


@pytest.mark.requirement("LLA-02", "PBA-31")
@pytest.mark.parametrize("unicast", [True, False])
def test_solicitation_of_an_address_of_the_lma_is_answered(gateway: Gateway, unicast: bool) -> None:
    """Several on one link, and the link's own stays."""
    for address in (OWN, ANOTHER):
        assert set_address(gateway, address) == 0
    for target in (OWN, ANOTHER, gateway.link_local()):
        frame = solicitation(gateway, LINK_LOCAL, unicast=unicast, target=target)
        [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.access)
        assert packet[ICMPv6ND_NA].tgt == target
        assert packet[IPv6].src == target
        assert packet[ICMPv6ND_NA].R == 1


def test_claim_of_an_address_of_the_lma_is_contested(gateway: Gateway) -> None:
    """RFC 4862 section 5.4.3: the node that is about to take it learns that it is taken."""
    set_address(gateway, OWN)
    [packet] = gateway.send_and_expect(gateway.access, [claim(ALICE_MAC, OWN)], gateway.access)
    assert packet[IPv6].dst == "ff02::1"
    assert packet[ICMPv6ND_NA].tgt == OWN


def test_address_that_is_taken_away_is_not_answered_for(gateway: Gateway) -> None:
    for address in (OWN, ANOTHER):
        set_address(gateway, address)
    assert addresses(gateway) == [OWN, ANOTHER]
    assert set_address(gateway, OWN, is_add=False) == 0
    assert addresses(gateway) == [ANOTHER]
    frame = solicitation(gateway, LINK_LOCAL, unicast=False, target=OWN)
    gateway.send_and_expect_nothing(gateway.access, [frame])
    frame = solicitation(gateway, LINK_LOCAL, unicast=False)
    [packet] = gateway.send_and_expect(gateway.access, [frame], gateway.access)
    assert packet[ICMPv6ND_NA].tgt == gateway.link_local()


def test_address_that_cannot_be_one_of_the_gateway_is_refused(gateway: Gateway) -> None:
    assert set_address(gateway, "2001:db8::1") == -7
    assert set_address(gateway, gateway.link_local()) == -116
    assert set_address(gateway, OWN, is_add=False) == -6
    assert set_address(gateway, OWN, sw_if_index=gateway.core.sw_if_index) == -2
    assert addresses(gateway) == []


def test_addresses_go_with_the_access_link(gateway: Gateway) -> None:
    set_address(gateway, OWN)
    api, index = gateway.vpp.api, gateway.access.sw_if_index
    api.mag_access_interface_enable_disable(
        enable=False, sw_if_index=index, regular_table_id=0xFFFFFFFF
    )
    assert addresses(gateway) == []
    assert OWN not in gateway.vpp.cli("show ip6-ll")


def router_solicitation(mac: str, source: str = LINK_LOCAL) -> Ether:
    """To all routers."""
    return (
        Ether(src=mac, dst="33:33:00:00:00:02")
        / IPv6(src=source, dst="ff02::2", hlim=255)
        / ICMPv6ND_RS()
    )


def test_any_packet_of_a_node_is_a_sign_of_life(gateway: Gateway) -> None:
    """DETACH-01: stamped by source address, and by MAC and link for link-local sources."""
    alice = gateway.alice()
    gateway.bind(alice)
    senders = [
        gateway.uplink(alice.address()),
        solicitation(gateway, alice.address(), unicast=False),
        router_solicitation(ALICE_MAC),
        gateway.uplink(LINK_LOCAL, gateway.link_local(), payload=UDP()),
    ]
    for frame in senders:
        gateway.vpp.wait_until(lambda: gateway.bindings()[0].idle >= 1)
        gateway.send_whatever(gateway.access, [frame])
        assert gateway.bindings()[0].idle == 0, frame.summary()


def test_packets_of_others_are_no_sign_of_life(gateway: Gateway) -> None:
    """Neither another MAC, nor packets to the node."""
    alice = gateway.alice()
    gateway.bind(alice)
    gateway.vpp.wait_until(lambda: gateway.bindings()[0].idle >= 1)
    down = gateway.tunnelled(gateway.to_node(alice.address()))
    gateway.send_whatever(gateway.access, [router_solicitation(BOB_MAC)])
    gateway.send_whatever(gateway.access, [gateway.uplink(alice.address(), mac=BOB_MAC)])
    gateway.send_whatever(gateway.core, [down])
    assert gateway.bindings()[0].idle >= 1
    assert gateway.bindings(idle_at_least=1) != []


@pytest.fixture
def listening(any_gateway: Gateway) -> Gateway:
    """The gateway, with its events on."""
    any_gateway.vpp.api.want_mag_events(enable=True, pid=1)
    yield any_gateway
    any_gateway.vpp.api.want_mag_events(enable=False, pid=1)


@pytest.mark.parametrize(
    ("source", "mac"),
    [("2001:db8:1:99::5", "02:00:00:00:99:01"), (LINK_LOCAL, "02:00:00:00:99:09")],
)
def test_stranger_is_reported_once(listening: Gateway, source: str, mac: str) -> None:
    """ATT: the first packet of an unknown node is an attach trigger; 63 of them are one event."""
    frame = router_solicitation(mac) if source == LINK_LOCAL else listening.uplink(source, mac=mac)
    listening.send_whatever(listening.access, stream(frame))
    [event, *more] = listening.vpp.wait_for_events(1)
    assert event.sw_if_index == listening.access.sw_if_index
    assert str(event.mac) == mac
    assert str(event.source_address) == source
    assert more == []


def test_stranger_is_reported_again_soon(listening: Gateway) -> None:
    """A node that has just lost its service comes back at once: its packet is an attach trigger."""
    frame = listening.uplink("2001:db8:1:99::5", mac="02:00:00:00:99:06")
    for _ in range(4):
        listening.send_whatever(listening.access, [frame])
        [event] = listening.vpp.wait_for_events(1)
        assert str(event.mac) == "02:00:00:00:99:06"
        time.sleep(EVENT_INTERVAL_SECONDS)


def test_stranger_on_vlan_is_reported_with_its_link(listening: Gateway) -> None:
    """The MAC before the tag, the index of the sub-interface."""
    frame = tagged(listening.uplink("2001:db8:1:99::5", mac="02:00:00:00:99:02"))
    listening.send_whatever(listening.access, [frame])
    [event] = listening.vpp.wait_for_events(1)
    assert event.sw_if_index == listening.vlan_sw_if_index
    assert str(event.mac) == "02:00:00:00:99:02"


def test_bound_node_is_not_reported(listening: Gateway) -> None:
    """Its link-local packets are known by their MAC."""
    listening.bind(listening.alice())
    listening.send_whatever(listening.access, [router_solicitation(ALICE_MAC)])
    stranger = router_solicitation("02:00:00:00:99:03")
    listening.send_whatever(listening.access, [stranger])
    [event] = listening.vpp.wait_for_events(1)
    assert str(event.mac) == "02:00:00:00:99:03"


@pytest.mark.requirement("PBA-33", "LLA-06")
@pytest.mark.parametrize("is_bound", [True, False])
def test_claimed_address_is_reported(listening: Gateway, is_bound: bool) -> None:
    """By whomever; of each claim once in a while, in place of the event about a stranger."""
    if is_bound:
        listening.bind(listening.alice())
    last = "11" if is_bound else "21"
    taking, having = f"fe80::{last}", f"fe80::1:{last}"
    frames = [claim(ALICE_MAC, taking), advertisement(ALICE_MAC, having)]
    listening.send_whatever(listening.access, frames * 3)
    events = listening.vpp.wait_for_events(2)
    assert [(str(e.mac), str(e.source_address), str(e.claimed_address)) for e in events] == [
        (ALICE_MAC, "::", taking),
        (ALICE_MAC, having, having),
    ]


def test_what_claims_no_link_local_address_of_the_link_is_not_reported(
    listening: Gateway,
) -> None:
    """Global targets, packets from beyond the link, damaged ones, other messages."""
    listening.bind(listening.alice())
    listening.send_whatever(
        listening.access,
        [
            claim(ALICE_MAC, "2001:db8::1"),
            claim(ALICE_MAC, "fe80::31", hop_limit=64),
            claim(ALICE_MAC, "fe80::33", cksum=0x1234),
            claim(ALICE_MAC, "fe80::34", code=1),
            advertisement(ALICE_MAC, "2001:db8::1"),
            solicitation(listening, LINK_LOCAL, unicast=False),
            claim(ALICE_MAC, "fe80::32"),
        ],
    )
    events = listening.vpp.wait_for_events(1)
    assert [str(event.claimed_address) for event in events] == ["fe80::32"]


def test_flood_of_strangers_is_limited(gateway: Gateway) -> None:
    """The rest is counted and told with the next event."""
    gateway.vpp.api.want_mag_events(enable=True, pid=1)
    limit = gateway.vpp.api.mag_plugin_get().events_per_second
    frames = [
        gateway.uplink("2001:db8:1:99::5", mac=f"02:00:00:01:{n >> 8:02x}:{n & 255:02x}")
        for n in range(2 * limit + 500)
    ]
    gateway.send_whatever(gateway.access, frames)
    found = gateway.vpp.wait_for_events(len(frames), timeout=1.0)
    gateway.vpp.api.want_mag_events(enable=False, pid=1)
    assert 0 < len(found) <= 2 * limit
    assert gateway.vpp.error_counters()["mag-uplink-ip6/unknown_source"] == len(frames)


def test_cancelled_registration_ends_events(gateway: Gateway) -> None:
    """A client that wants no more events gets none."""
    api = gateway.vpp.api
    api.want_mag_events(enable=True, pid=1)
    api.want_mag_events(enable=False, pid=1)
    frame = gateway.uplink("2001:db8:1:99::5", mac="02:00:00:00:99:04")
    gateway.send_whatever(gateway.access, stream(frame))
    assert gateway.vpp.wait_for_events(1, timeout=0.3) == []


LISTENER = """
import sys, time
from vpp_papi import VPPApiClient
client = VPPApiClient(bootstrapapi=True, server_address=sys.argv[1])
client.connect("doomed")
client.api.want_mag_events(enable=True, pid=1)
print("listens", flush=True)
time.sleep(60)
"""


def event_clients(gateway: Gateway) -> str:
    """As `show mag` says."""
    return gateway.vpp.cli("show mag").splitlines()[0].rsplit(", ", 1)[1]


def test_client_that_dies_is_forgotten(gateway: Gateway) -> None:
    """Nobody cancels its registration: the plugin does when VPP loses the connection."""
    assert event_clients(gateway) == "0 event clients"
    command = [sys.executable, "-W", "ignore", "-c", LISTENER, str(gateway.vpp.files.api_socket)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as doomed:
        try:
            assert doomed.stdout is not None
            assert doomed.stdout.readline() == "listens\n"
            assert event_clients(gateway) == "1 event clients"
        finally:
            doomed.kill()
    # VPP may take the end of a connection for `nothing to read yet`; what it writes there fails.
    frame = gateway.uplink("2001:db8:1:99::5", mac="02:00:00:00:99:05")
    gateway.send_whatever(gateway.access, [frame])
    gateway.vpp.wait_until(lambda: event_clients(gateway) == "0 event clients")
    # its place may be another client's by now, who has asked for nothing
    gateway.send_whatever(gateway.access, stream(frame))
    assert gateway.vpp.wait_for_events(1, timeout=0.3) == []
