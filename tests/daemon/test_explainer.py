"""`mag explain` asked of a running gateway, by every name of a node."""

from collections.abc import Sequence
from ipaddress import IPv6Address

import pytest

from daemon.nodes import attached
from mag.daemon.control import Control
from mag.daemon.gateway import Gateway
from mag.dataplane.base import DataplaneError, Operation
from mag.services.gateway_control import AttachRequest, NodeSelector
from mag.wire.ethernet import format_link_layer_address
from mag.wire.iana import BindingStatus
from support.fake_adapters import MN1_MAC, STRANGER_MAC, FakeWorld, until

MN1 = "mn1@example.net"
MAC = format_link_layer_address(MN1_MAC)


async def test_served_node_is_found_by_each_of_its_names(
    world: FakeWorld, control: Control
) -> None:
    prefix = await attached(world)
    for name in (MN1, MAC, str(prefix[0x77])):
        found = await control.explain(name)
        assert (found["query"], found["mn_id"]) == (name, MN1)
        assert (found["reason"], found["has_service"]) == ("served", True)
        (binding,) = found["bindings"]
        assert binding["home_network_prefixes"] == [str(prefix)]
        assert [outcome["what"] for outcome in found["outcomes"]] == ["registered", "forwarded"]


async def test_keys_are_stable(world: FakeWorld, control: Control) -> None:
    keys = {
        "query", "mn_id", "reason", "has_service", "sentence", "lifted_by", "bindings", "outcomes",
    }  # fmt: skip
    absent = await control.explain(MN1)
    await attached(world)
    served = await control.explain(MN1)
    assert set(absent) == set(served) == keys
    assert set(served["bindings"][0]) == {
        "reason", "has_service", "sentence", "lifted_by", "binding_id", "state",
        "access_interface", "link_layer_address", "lma", "home_network_prefixes", "attempts",
        "next_request_s", "outcomes",
    }  # fmt: skip


async def test_node_that_was_never_heard_of(control: Control) -> None:
    for name in (MN1, MAC):
        found = await control.explain(name)
        assert (found["reason"], found["has_service"]) == ("never_heard", False)
        assert (
            f"{MN1} has no service: nothing was heard of it on access1, access2"
            in (found["sentence"])
        )


async def test_node_that_policy_does_not_know(world: FakeWorld, control: Control) -> None:
    stranger = format_link_layer_address(STRANGER_MAC)
    assert (await control.explain(stranger))["reason"] == "no_policy"
    world.ports["access1"].frame(STRANGER_MAC)
    await until(lambda: STRANGER_MAC in world.ports["access1"].known)
    found = await control.explain(stranger)
    assert found["reason"] == "refused"
    assert "policy knows no node with address 02:00:00:00:00:ff" in found["sentence"]


async def test_address_in_no_prefix(control: Control) -> None:
    found = await control.explain("2001:db8:9::1")
    assert (found["reason"], found["mn_id"]) == ("prefix_not_bound", None)


async def test_node_that_the_lma_refuses_is_held_and_says_what_lifts_it(
    world: FakeWorld, gateway: Gateway, control: Control
) -> None:
    world.transport.status = BindingStatus.PROXY_REG_NOT_ENABLED
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: gateway.histories.of(1))
    found = await control.explain(MN1)
    assert (found["reason"], found["lifted_by"]) == ("held", f"mag clear binding {MN1}")
    assert "lma1 did not accept it 0.0 s ago: PROXY_REG_NOT_ENABLED (152)" in found["sentence"]


async def test_node_whose_lma_is_silent_waits_for_the_next_try(
    world: FakeWorld, control: Control
) -> None:
    world.transport.is_answering = False
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: world.transport.sent)
    found = await control.explain(MN1)
    assert found["reason"] == "registering"
    assert 0 < found["bindings"][0]["next_request_s"] <= 1.0


async def test_node_that_the_packet_path_refuses(
    world: FakeWorld, gateway: Gateway, control: Control
) -> None:
    async def full(operations: Sequence[Operation]) -> Sequence[DataplaneError | None]:
        return [DataplaneError("add binding", "no space left") for _ in operations]

    world.dataplane.apply = full  # type: ignore[method-assign]
    world.ports["access1"].frame(MN1_MAC)
    await until(lambda: gateway.forwarding.unresolved)
    found = await control.explain(MN1)
    assert (found["reason"], found["has_service"]) == ("forwarding_failed", False)
    assert "no space left" in found["sentence"]


async def test_node_that_left_is_remembered(
    world: FakeWorld, gateway: Gateway, control: Control
) -> None:
    await attached(world)
    control.detach(NodeSelector(mn_id=MN1))
    await until(lambda: gateway.histories.departure_of(MN1.encode()))
    found = await control.explain(MN1)
    assert found["reason"] == "departed"
    assert "when it left its access link" in found["sentence"]
    assert [outcome["what"] for outcome in found["outcomes"]] == ["registered", "forwarded"]


async def test_node_with_two_interfaces_is_served_if_one_is(
    world: FakeWorld, gateway: Gateway, control: Control
) -> None:
    await attached(world)
    world.transport.status = BindingStatus.ADMINISTRATIVELY_PROHIBITED
    second = AttachRequest(
        access_interface="access2", link_layer_address="02:00:00:00:00:77", mn_id=MN1
    )
    await control.attach(second)
    bindings = gateway.core.binding_update_list
    await until(lambda: any(entry.state.value == "held" for entry in bindings))
    found = await control.explain(MN1)
    assert (found["reason"], found["has_service"]) == ("served", True)
    assert [binding["reason"] for binding in found["bindings"]] == ["served", "held"]


@pytest.mark.parametrize("text", ["", "not a node", "02:00", str(IPv6Address(0))])
async def test_any_text_gets_an_answer(control: Control, text: str) -> None:
    assert (await control.explain(text))["has_service"] is False
