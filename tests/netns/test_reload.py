"""A real `mag run` that is given another configuration by SIGHUP, on the kernel's packet path."""

from ipaddress import IPv6Network

import pytest

from mag.wire.neighbor_discovery import RouterAdvertisement
from netns.nodes import attach, datagram, is_advertisement
from support.fake_lma import read_update
from support.gateway_process import GatewayProcess
from support.marks import needs_root
from support.played_nodes import MN1_MAC, MN2_MAC
from support.waiting import wait_for

pytestmark = [pytest.mark.netns, needs_root]
WITHOUT_MN2 = (
    '    mn2@example.net: {lma: lma1, link_layer_addresses: ["02:00:00:00:00:02"]}\n',
    "",
)
SHORTER_PREFIX_LIFE = ("admin:", "router_advertisement: {valid_lifetime_s: 7200}\nadmin:")


def packets_up(gateway: GatewayProcess, mn_id: str) -> int:
    return sum(row["uplink_packets"] for row in gateway.bindings() if row["mn_id"] == mn_id)


def forwards(gateway: GatewayProcess, mac: bytes, mn_id: str, prefix: IPv6Network) -> None:
    """The node's next packet is forwarded."""
    before = packets_up(gateway, mn_id)
    gateway.nodes.send(mac, datagram(prefix.network_address + 1))
    wait_for(lambda: packets_up(gateway, mn_id) == before + 1, f"{mn_id} is forwarded")


def test_hang_up_takes_the_file_and_leaves_untouched_nodes_alone(
    gateway: GatewayProcess,
) -> None:
    prefix = attach(gateway)
    attach(gateway, MN2_MAC)
    before = gateway.bindings()[0]
    gateway.reconfigure(WITHOUT_MN2)
    gateway.hang_up()
    update = gateway.lma.next_update()
    assert read_update(update).lifetime_s == 0
    gateway.lma.answer(update)
    wait_for(lambda: len(gateway.bindings()) == 1, "the removed node's binding has ended")
    (after,) = gateway.bindings()
    assert after["binding_id"] == before["binding_id"]
    forwards(gateway, MN1_MAC, "mn1@example.net", prefix)
    assert "mn2@example.net" not in gateway.configuration()["policy"]["nodes"]


def test_hang_up_with_a_file_that_will_not_do_changes_nothing(gateway: GatewayProcess) -> None:
    prefix = attach(gateway)
    gateway.reconfigure(WITHOUT_MN2, ("lma1: {address", "lma1: {addresses"))
    gateway.hang_up()
    wait_for(lambda: gateway.reloads("refused") == 1, "refused")
    assert "mn2@example.net" in gateway.configuration()["policy"]["nodes"]
    forwards(gateway, MN1_MAC, "mn1@example.net", prefix)
    gateway.reconfigure(("lma1: {addresses", "lma1: {address"))
    gateway.hang_up()
    wait_for(lambda: gateway.reloads("applied") == 1, "applied")
    assert "mn2@example.net" not in gateway.configuration()["policy"]["nodes"]


def test_new_values_are_advertised_and_a_new_tunnel_mtu_is_set(gateway: GatewayProcess) -> None:
    prefix = attach(gateway)
    gateway.reconfigure(
        SHORTER_PREFIX_LIFE, ("2001:db8:c::1}", "2001:db8:c::1, path_mtu_octets: 1400}")
    )
    gateway.hang_up()
    told = RouterAdvertisement.decode(gateway.nodes.next_packet(MN1_MAC, is_advertisement))
    assert told.prefixes[0].valid_lifetime_s == 7200
    assert told.mtu == 1360
    forwards(gateway, MN1_MAC, "mn1@example.net", prefix)


def test_access_link_that_is_not_there_is_refused_and_taken_once_it_is(
    gateway: GatewayProcess,
) -> None:
    prefix = attach(gateway)
    gateway.reconfigure(("{access: {}}", "{access: {}, access9: {}}"))
    gateway.hang_up()
    wait_for(lambda: gateway.reloads("refused") == 1, "refused")
    forwards(gateway, MN1_MAC, "mn1@example.net", prefix)
    gateway.host.add_access_link("access9")
    gateway.hang_up()
    wait_for(lambda: gateway.reloads("applied") == 1, "applied")
    assert "fe80::200:5eff:fe00:5213" in gateway.host.access_addresses("access9")
    forwards(gateway, MN1_MAC, "mn1@example.net", prefix)


def test_removed_access_link_gets_its_own_addresses_back(gateway: GatewayProcess) -> None:
    gateway.host.add_access_link("access9")
    prefix = attach(gateway)
    gateway.reconfigure(("{access: {}}", "{access: {}, access9: {}}"))
    gateway.hang_up()
    shared = "fe80::200:5eff:fe00:5213"
    wait_for(lambda: shared in gateway.host.access_addresses("access9"), "the link is taken")
    gateway.reconfigure((", access9: {}", ""))
    gateway.hang_up()
    wait_for(
        lambda: shared not in gateway.host.access_addresses("access9"), "the link is given back"
    )
    forwards(gateway, MN1_MAC, "mn1@example.net", prefix)
