"""What the access network reports: attachments, identities, departures."""

from ipaddress import IPv6Network
from pathlib import Path

import pytest

from daemon.conftest import running
from daemon.nodes import attached
from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from mag.protocol.outgoing_message import OutgoingMessage
from mag.services.gateway_control import AttachRequest, ControlError, NodeSelector, NotFoundError
from mag.wire.options import HomeNetworkPrefixOption, MobileNodeIdentifierOption
from support.fake_adapters import (
    CONFIGURATION,
    LMA_ADDRESS,
    MN1_MAC,
    PROXY_CARE_OF_ADDRESS,
    FakeWorld,
    configuration,
    until,
)
from support.fake_lma import only_option, read_update


async def test_attach_by_the_access_network_waits_until_packets_flow(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    request = AttachRequest(
        access_interface="access1", link_layer_address="02:00:00:00:00:01", wait_s=5
    )
    row = await control.attach(request)
    assert (row["state"], row["is_forwarding"]) == ("active", True)


async def test_attach_that_is_refused_says_so_to_whoever_waits(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    world.transport.status = 152
    request = AttachRequest(
        access_interface="access1", link_layer_address="02:00:00:00:00:01", wait_s=0.01
    )
    with pytest.raises(ControlError, match="held"):
        await control.attach(request)


@pytest.mark.parametrize(
    ("link", "mac", "text"),
    [
        ("nowhere", "02:00:00:00:00:01", "nowhere is no access link"),
        ("access1", "02:00:00:00:00:ff", "policy knows no node"),
        ("access1", "first", "link_layer_address"),
        ("access1", "01:00:5e:00:00:01", "not one node's"),
        ("access1", "00:00:00:00:00:00", "on access1 nodes have link-layer addresses"),
    ],
)
async def test_attach_that_cannot_be_is_refused_with_the_reason(
    control: Control, link: str, mac: str, text: str
) -> None:
    with pytest.raises(ControlError, match=text):
        await control.attach(AttachRequest(access_interface=link, link_layer_address=mac))


@pytest.mark.requirement("MNID-04")
async def test_identity_from_access_authentication_needs_no_known_address(
    control: Control,
) -> None:
    """MNID-04: the second source of the MN-Identifier."""
    request = AttachRequest(
        access_interface="access1", link_layer_address="02:00:00:00:00:77", mn_id="guest@other.net"
    )
    assert (await control.attach(request))["mn_id"] == "guest@other.net"


WITH_IDENTITIES = CONFIGURATION.replace(
    b"  default:",
    b"    mn3@example.net: {lma: lma1, identities: [tmp-1@wlan, tmp-2@wlan]}\n"
    b"  shared_identities: [family@wlan]\n  default:",
)


@pytest.mark.requirement("MNID-07", "MNID-02")
async def test_temporary_identities_of_a_node_are_one_mn_identifier_on_the_wire() -> None:
    """MNID-07: two authentications under two names, one binding of one node."""
    world = FakeWorld(configuration(WITH_IDENTITIES))
    async with running(world) as gateway:
        control = Control(gateway, Path("unused"))
        for name, link in (("tmp-1@wlan", "access1"), ("tmp-2@wlan", "access2")):
            request = AttachRequest(
                access_interface=link, link_layer_address="02:00:00:00:00:77", identity=name
            )
            assert (await control.attach(request))["mn_id"] == "mn3@example.net"
            await until(lambda link=link: world.ports[link].sent)
            assert (await control.explain(name))["reason"] == "served"
        assert len(gateway.core.binding_update_list) == 1
        assert len(world.transport.sent) == 2
        for message in world.transport.sent:
            sent = OutgoingMessage(message, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)
            option = only_option(read_update(sent), MobileNodeIdentifierOption)
            assert option.identifier == b"mn3@example.net"


@pytest.mark.requirement("MNID-06")
@pytest.mark.parametrize("key", ["mn_id", "identity"])
async def test_name_that_nodes_share_is_refused_unless_the_address_tells_whose(key: str) -> None:
    """MNID-06: an attachment with the name of an account alone."""
    world = FakeWorld(configuration(WITH_IDENTITIES))
    async with running(world) as gateway:
        control = Control(gateway, Path("unused"))
        named = {"access_interface": "access1", key: "family@wlan"}
        unknown = AttachRequest.model_validate({**named, "link_layer_address": "02:00:00:00:00:77"})
        with pytest.raises(ControlError, match="family@wlan: several nodes share the name"):
            await control.attach(unknown)
        assert len(gateway.core.binding_update_list) == 0
        known = AttachRequest.model_validate({**named, "link_layer_address": "02:00:00:00:00:02"})
        assert (await control.attach(known))["mn_id"] == "mn2@example.net"


@pytest.mark.requirement("PROF-07")
async def test_each_interface_of_a_node_asks_for_its_own_prefixes() -> None:
    """PROF-07: two interfaces, two sessions."""
    interfaces = (
        b"link_layer_addresses: [02:00:00:00:00:01], home_network_prefixes: [2001:db8:1:1::/64],"
        b" interfaces: {02:00:00:00:00:03: {home_network_prefixes: [2001:db8:1:3::/64]}}}"
    )
    world = FakeWorld(
        configuration(
            CONFIGURATION.replace(b'link_layer_addresses: ["02:00:00:00:00:01"]}', interfaces)
        )
    )
    async with running(world):
        for number, mac in enumerate((MN1_MAC, bytes.fromhex("020000000003")), start=1):
            world.ports["access1"].frame(mac)
            await until(lambda number=number: len(world.transport.sent) == number)
        asked = [
            only_option(
                read_update(OutgoingMessage(sent, PROXY_CARE_OF_ADDRESS, LMA_ADDRESS)),
                HomeNetworkPrefixOption,
            ).prefix
            for sent in world.transport.sent
        ]
        assert asked == [IPv6Network("2001:db8:1:1::/64"), IPv6Network("2001:db8:1:3::/64")]


async def test_unknown_identity_is_refused(control: Control) -> None:
    request = AttachRequest(
        access_interface="access1", link_layer_address="02:00:00:00:00:01", identity="who@wlan"
    )
    with pytest.raises(ControlError, match="who@wlan: no node of the policy goes by that name"):
        await control.attach(request)


async def test_identity_that_fits_into_no_message_is_refused(control: Control) -> None:
    request = AttachRequest(
        access_interface="access1", link_layer_address="02:00:00:00:00:77", mn_id="a" * 254
    )
    with pytest.raises(ControlError, match="at most 253 octets"):
        await control.attach(request)


async def test_detach_ends_the_binding_on_the_named_link_only(
    gateway: Gateway, world: FakeWorld, control: Control
) -> None:
    await attached(world)
    mac = "02:00:00:00:00:01"
    with pytest.raises(NotFoundError):
        control.detach(NodeSelector(link_layer_address=mac, access_interface="access2"))
    control.detach(NodeSelector(link_layer_address=mac, access_interface="access1"))
    await until(lambda: MN1_MAC not in world.ports["access1"].known)
    assert len(gateway.core.binding_update_list) == 0


async def test_clear_without_a_node_named_is_refused(control: Control) -> None:
    with pytest.raises(ControlError, match="say which node"):
        control.clear(NodeSelector(access_interface="access1"))
