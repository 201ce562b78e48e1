"""A real `mag run` between an LMA and nodes that are not always what they should be."""

from ipaddress import IPv6Network
from pathlib import Path

import pytest

from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.checksum import checksum
from mag.wire.ethernet import EthernetFrame
from mag.wire.icmpv6_error import ParameterProblem, ParameterProblemCode
from mag.wire.ipv6 import IPv6Packet
from mag.wire.neighbor_discovery import RouterAdvertisement
from mag.wire.options import MobileNodeIdentifierOption
from netns.nodes import attach, datagram, is_advertisement
from support.fake_lma import only_option, read_update
from support.gateway_host import PROXY_CARE_OF_ADDRESS
from support.gateway_process import GatewayProcess, gateway_process
from support.marks import needs_root
from support.played_lma import LMA_ADDRESS, STRANGER_ADDRESS
from support.played_nodes import MN1_MAC, MN2_MAC
from support.waiting import wait_for

pytestmark = [pytest.mark.netns, needs_root]
_BLANK = bytes([6, 1, 13]) + bytes(13)
BAD_PAYLOAD_PROTOCOL = (
    _BLANK[:4]
    + checksum(_BLANK, LMA_ADDRESS, PROXY_CARE_OF_ADDRESS).to_bytes(2, "big")
    + _BLANK[6:]
)
"""A Heartbeat with TCP behind it."""
CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN, CAP_BPF = 12, 13, 21, 39


@pytest.mark.requirement("MH-01", "PBA-05", "PBA-07", "PBA-11")
def test_malformed_and_foreign_messages_are_counted_and_change_nothing(
    gateway: GatewayProcess,
) -> None:
    """MH-01, PBA-11, MH-10: by reason, and reception never stops."""
    attach(gateway)
    before = gateway.bindings()
    honest = mobility_header.encode(
        ProxyBindingAcknowledgement(0, 1, 3600, (MobileNodeIdentifierOption(b"mn1@example.net"),)),
        LMA_ADDRESS,
        PROXY_CARE_OF_ADDRESS,
    )
    spoiled = bytearray(honest)
    spoiled[-1] ^= 0xFF
    gateway.lma.inject(bytes(spoiled))
    for length in (0, 1, 7, 8, 12, 20):
        gateway.lma.inject(honest[:length])
    gateway.lma.inject(honest, STRANGER_ADDRESS)
    gateway.lma.inject(honest)
    wait_for(lambda: gateway.discarded("unmatched") == 1, "the last message has been read")
    discarded = gateway.counters()["discarded"]
    assert discarded["bad_checksum"] >= 1
    assert discarded["truncated"] >= 3
    assert discarded["unknown_peer"] == 1
    after = gateway.bindings()
    assert [row["state"] for row in after] == ["active"]
    assert after[0]["home_network_prefixes"] == before[0]["home_network_prefixes"]
    attach(gateway, MN2_MAC)


@pytest.mark.requirement("MH-09", "MH-11", "MH-21", "MH-22")
def test_errors_travel_both_ways(gateway: GatewayProcess) -> None:
    """A defective header is answered on the wire; a kernel without an LMA says so."""
    with gateway.world_socket("core") as core:
        gateway.lma.inject(BAD_PAYLOAD_PROTOCOL)
        frames = (EthernetFrame.decode(core.recv(2048)).payload for _ in range(50))
        told = next(each for each in frames if each[6] == 58 and each[40] == 4)
        assert told[41] == 0
        assert int.from_bytes(told[44:48], "big") == 40
        assert told[48 + 40 :] == BAD_PAYLOAD_PROTOCOL
    gateway.nodes.send(MN1_MAC, datagram("fe80::1"))
    update = gateway.lma.next_update()
    quoted = IPv6Packet(PROXY_CARE_OF_ADDRESS, LMA_ADDRESS, 135, update.data).encode()
    problem = ParameterProblem(ParameterProblemCode.UNRECOGNIZED_NEXT_HEADER, 6, quoted)
    gateway.lma.inject(problem.encode(LMA_ADDRESS, PROXY_CARE_OF_ADDRESS), protocol=58)
    wait_for(lambda: gateway.peer()["held_s"], "the LMA is left alone")
    assert gateway.peer()["network_errors"] == {"parameter_problem (1)": 1}
    assert [row["state"] for row in gateway.bindings()] == ["registering"]
    gateway.lma.answer(update)
    wait_for(lambda: gateway.bindings()[0]["state"] == "active", "the late answer counts")
    assert not gateway.peer()["held_s"]


@pytest.mark.requirement("RA-05", "FWD-09", "RTX-02", "RTX-05")
def test_silent_lma_means_no_advertisement_and_counted_drops(gateway: GatewayProcess) -> None:
    """RA-05, FWD-09, RTX-02: and the gateway keeps asking."""
    gateway.nodes.send(MN1_MAC, datagram("fe80::1"))
    first = read_update(gateway.lma.next_update())
    gateway.nodes.send(MN1_MAC, datagram("2001:db8:100:1::1"))
    drops = lambda: gateway.counters()["dataplane"]["drops"]["unknown_source"]  # noqa: E731
    wait_for(drops, "the node's packet is dropped and counted")
    gateway.nodes.answer_probe(MN1_MAC)
    again = read_update(gateway.lma.next_update())
    assert again.sequence != first.sequence
    gateway.nodes.no_packet(MN1_MAC, is_advertisement)
    assert [row["state"] for row in gateway.bindings()] == ["registering"]


@pytest.mark.requirement("RTX-05", "DETACH-03")
def test_node_that_answers_no_question_is_asked_no_more_lifetime_for(
    bare: GatewayProcess,
) -> None:
    """The LMA is silent; what is sent after the first request takes it back."""
    gateway = bare.start_ready(link="{presence_solicitations: 1}")
    gateway.nodes.send(MN1_MAC, datagram("fe80::1"))
    assert read_update(gateway.lma.next_update()).lifetime_s > 0
    assert read_update(gateway.lma.next_update()).lifetime_s == 0


@pytest.mark.requirement("DETACH-01", "DETACH-03", "DETACH-04", "DETACH-07", "ND-17")
def test_unmodified_kernel_keeps_its_service_until_it_is_gone_without_a_word(
    bare: GatewayProcess,
) -> None:
    gateway = bare.start_ready(
        link="{presence_solicitations: 1}", protocol="{refresh_fraction: 0.1}"
    )
    gateway.kernel_node.attach(MN1_MAC)
    for _ in range(4):
        message = gateway.lma.next_update()
        assert read_update(message).lifetime_s > 0
        gateway.lma.answer(message, lifetime_s=12)
    gateway.kernel_node.fall_silent()
    message = gateway.lma.next_update()
    assert read_update(message).lifetime_s == 0
    gateway.lma.answer(message)
    wait_for(lambda: not gateway.bindings(), "the binding is gone")


@pytest.mark.requirement("DEREG-10")
def test_kernel_node_loses_its_addresses_with_the_link_and_is_served_anew(
    bare: GatewayProcess,
) -> None:
    """DEREG-10: the kernel there with a network manager, which drops what was configured on a link
    that has no carrier any more, as all of them do; the kernel by itself would not."""
    gateway = bare.start_ready(link="{single_node: true, down_s: 0.5}")
    gateway.kernel_node.attach(MN1_MAC)
    gateway.lma.answer(gateway.lma.next_update())
    prefix = IPv6Network(wait_for(gateway.bindings, "bound")[0]["home_network_prefixes"][0])

    def has_address() -> bool:
        return any(address in prefix for address in gateway.kernel_node.addresses())

    def is_bound() -> bool:
        return [row["state"] for row in gateway.bindings()] == ["active"]

    wait_for(has_address, "the node has an address of its prefix")
    with gateway.kernel_node.network_manager():
        while has_address():
            wait_for(is_bound, "bound")
            gateway.clear("mn1@example.net")
            gateway.lma.answer(gateway.lma.next_update())
            # one that speaks meanwhile is registered again, and nothing is to be cleaned up
            wait_for(
                lambda: not has_address() or gateway.lma.has_update() or is_bound(),
                "the node has dropped its address",
            )
            if has_address() and gateway.lma.has_update():
                gateway.lma.answer(gateway.lma.next_update())
        while not has_address():  # it may speak before the link is down, and be detached by that
            gateway.lma.answer(gateway.lma.next_update())
            wait_for(lambda: has_address() or gateway.lma.has_update(), "the node is served anew")


@pytest.mark.requirement("PBA-14", "PBA-15", "PBA-22")
def test_rejecting_lma_means_no_advertisement_and_no_further_request(
    gateway: GatewayProcess,
) -> None:
    """PBA-14, PBA-15, PBA-22."""
    gateway.nodes.send(MN1_MAC, datagram("fe80::1"))
    gateway.lma.answer(gateway.lma.next_update(), status=152)
    wait_for(lambda: gateway.bindings()[0]["state"] == "held", "the binding is held")
    gateway.nodes.no_packet(MN1_MAC, is_advertisement)
    assert gateway.bindings()[0]["last_status"] == "PROXY_REG_NOT_ENABLED (152)"


@pytest.mark.requirement("FWD-06", "FWD-07")
@pytest.mark.parametrize("local_routing", ["false", "true"])
def test_packet_of_a_regular_host_to_a_node_goes_towards_its_lma(
    bare: GatewayProcess, local_routing: str
) -> None:
    """FWD-06, FWD-07: as it is, without a tunnel; delivering it here would be allowed with local
    routing and is never done."""
    bare.host.add_regular_link("lan")
    gateway = bare.start_ready(protocol=f"{{local_routing: {local_routing}}}")
    prefix = attach(gateway)
    packet = datagram("2001:db8:1a::1", prefix.network_address + 1)
    with gateway.world_socket("core") as core:
        gateway.from_regular_host("lan", packet)
        frames = (EthernetFrame.decode(core.recv(2048)).payload for _ in range(50))
        forwarded = next(each for each in frames if each[8:] == packet[8:])
    assert IPv6Packet.decode(forwarded).hop_limit == IPv6Packet.decode(packet).hop_limit - 1
    gateway.nodes.no_packet(MN1_MAC, lambda each: each[8:] == packet[8:])


@pytest.mark.requirement("FWD-09")
@pytest.mark.parametrize("spoof", ["prefix", "mac"])
def test_spoofed_packet_is_dropped_and_counted(gateway: GatewayProcess, spoof: str) -> None:
    """A node sends from another's prefix, or somebody sends with its MAC wrong."""
    own = attach(gateway)
    others = attach(gateway, MN2_MAC)
    dropped = gateway.counters()["dataplane"]["drops"]["unknown_source"]
    if spoof == "prefix":
        gateway.nodes.send(MN1_MAC, datagram(others.network_address + 1))
    else:
        gateway.nodes.send(MN2_MAC, datagram(own.network_address + 1))
    wait_for(
        lambda: gateway.counters()["dataplane"]["drops"]["unknown_source"] == dropped + 1,
        "the spoofed packet is dropped and counted",
    )
    assert sum(row["uplink_packets"] for row in gateway.bindings()) == 0


@pytest.mark.requirement("DEREG-02", "LINK-03", "ND-13")
@pytest.mark.parametrize("is_new", [False, True], ids=["flap", "made anew"])
def test_access_link_that_comes_back_is_served_as_before(
    gateway: GatewayProcess, is_new: bool
) -> None:
    """With the link go the gateway's address, the neighbours and what listens on it."""
    attach(gateway)
    if is_new:
        gateway.host.remake_access_link()
        gateway.nodes.reconnect()
    else:
        gateway.host.flap_access_link()
    wait_for(
        lambda: "fe80::200:5eff:fe00:5213" in gateway.host.access_addresses(),
        "the gateway has its address on the link again",
    )
    wait_for(lambda: gateway.bindings() == [], "the node's old binding is over")
    assert read_update(gateway.lma.next_update()).lifetime_s == 0
    prefix = attach(gateway)
    gateway.nodes.send(MN1_MAC, datagram(prefix.network_address + 1))
    wait_for(
        lambda: sum(row["uplink_packets"] for row in gateway.bindings()) == 1,
        "the node's packets are forwarded again",
    )


def test_flushed_rules_are_put_back_with_the_next_change(gateway: GatewayProcess) -> None:
    """Another tool's `flush ruleset` takes our table; the next attach finds out."""
    attach(gateway)
    gateway.host.nft("flush ruleset")
    prefix = attach(gateway, MN2_MAC)
    gateway.nodes.send(MN2_MAC, datagram(prefix.network_address + 1))
    wait_for(
        lambda: sum(row["uplink_packets"] for row in gateway.bindings()) == 1,
        "packets are counted again",
    )


def test_second_gateway_in_the_namespace_is_refused(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    """Whatever its socket: there is one packet path."""
    process = gateway.start_beside(socket=str(tmp_path / "other.sock"))
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 3
    assert "another gateway is running" in errors
    attach(gateway)


def test_term_takes_bindings_back_and_leaves_nothing(gateway: GatewayProcess) -> None:
    """DEREG-02: the LMA does not answer, and yet it ends in time."""
    attach(gateway)
    assert gateway.stop() == 0
    assert read_update(gateway.lma.next_update()).lifetime_s == 0
    told = RouterAdvertisement.decode(gateway.nodes.next_packet(MN1_MAC, is_advertisement))
    assert told.router_lifetime_s == 0
    assert not gateway.socket_path.exists()


def test_second_gateway_on_the_socket_is_refused_and_the_first_notices_nothing(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    prefix = attach(gateway)
    with gateway_process(tmp_path) as second:
        process = second.start(journal=str(tmp_path / "second.db"))
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 3
    assert "another gateway is running" in errors
    (row,) = gateway.bindings()
    assert row["home_network_prefixes"] == [str(prefix)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"access": "nowhere0"}, "nowhere0"),
        ({"core": "nowhere1"}, "nowhere1"),
        ({"proxy": "2001:db8:77::1"}, "2001:db8:77::1 is not an address of this machine"),
        ({"socket": "/proc/mag.sock"}, "/proc/mag.sock"),
    ],
    ids=["access interface", "core interface", "address", "socket"],
)
def test_obstacle_outside_the_file_is_one_line_and_exit_code_3(
    bare: GatewayProcess, changes: dict[str, str], words: str
) -> None:
    process = bare.start(**changes)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 3, errors
    (line,) = errors.splitlines()
    assert '"event": "cannot_start"' in line
    assert words in line


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ((CAP_NET_ADMIN,), "CAP_NET_ADMIN"),
        ((CAP_NET_RAW,), "CAP_NET_RAW"),
        ((CAP_BPF, CAP_SYS_ADMIN), "CAP_BPF"),
    ],
)
def test_without_privileges_it_says_which_are_missing(
    bare: GatewayProcess, missing: tuple[int, ...], named: str
) -> None:
    process = bare.start(without_capabilities=missing)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 3, errors
    (line,) = errors.splitlines()
    assert named in line


@pytest.mark.requirement("PBU-03", "PBU-06")
def test_update_that_reaches_the_lma_is_what_was_meant(gateway: GatewayProcess) -> None:
    """PBU-03, PBU-06: source and destination as on the wire, checksum verified."""
    gateway.nodes.send(MN1_MAC, datagram("fe80::1"))
    message = gateway.lma.next_update()
    assert message.source == PROXY_CARE_OF_ADDRESS
    update = read_update(message)
    assert only_option(update, MobileNodeIdentifierOption).identifier == b"mn1@example.net"
