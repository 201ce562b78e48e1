"""The reference LMA's control socket: the running daemon, its client and `mag lab tell lma`."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv6Address
from typing import Any

import pytest
from typer.testing import CliRunner

from lab.test_local_mobility_anchor import Correspondent, Gateway
from mag.cli.app import app
from mag.lab.anchor.control_client import AnchorControlClient, AnchorControlError
from mag.lab.anchor.faults import Fault, Reject
from mag.lab.anchor.unsolicited import Telegram, UnsolicitedHeartbeat, UnsolicitedOctets
from mag.lab.gateway_config import write_anchor_config
from mag.lab.held import anchor_socket
from mag.lab.world import topology
from mag.lab.world.links import built_links
from mag.lab.world.node_process import start_python
from mag.wire import mobility_header
from mag.wire.heartbeat import Heartbeat

InPrivateNamespaces = Callable[[Callable[[], Awaitable[Any]]], Any]
TIMEOUT_S = 30.0
MAG1 = topology.GATEWAYS[0].proxy_care_of_address


@asynccontextmanager
async def steered() -> AsyncIterator[tuple[AnchorControlClient, Gateway]]:
    """An LMA with a control socket, and a gateway."""
    async with built_links():
        options = ("--config", str(write_anchor_config()), "--control", str(anchor_socket()))
        arguments = ("-m", "mag", "lab", "lma", *options, "--seed", "1")
        process = start_python(topology.LOCAL_MOBILITY_ANCHOR, "lma", arguments)
        assert json.loads(await process.next_line(TIMEOUT_S))["event"] == "anchor_ready"
        async with AnchorControlClient(anchor_socket()) as control:
            yield control, Gateway(topology.GATEWAYS[0])
        assert await process.stop(TIMEOUT_S) == 0
        assert not anchor_socket().exists()


@pytest.mark.netns
class TestRunningAnchor:
    def test_fault_holds_until_it_relents(self, in_private_namespaces: InPrivateNamespaces) -> None:
        async def body() -> list[Any]:
            async with steered() as (control, mag1):
                fault = await control.misbehave(Fault(Reject(130)))
                refused = [(await mag1.ask()).status for _ in range(2)]
                (row,) = await control.relent(fault)
                return [refused, row["applied"], (await mag1.ask()).status]

        assert in_private_namespaces(body) == [[130, 130], 2, 0]

    def test_binding_cache_is_told(self, in_private_namespaces: InPrivateNamespaces) -> None:
        async def body() -> Any:
            async with steered() as (control, mag1):
                await mag1.ask()
                return await control.bindings()

        (row,) = in_private_namespaces(body)
        assert row["mn_id"] == topology.MOBILE_NODES[0].mn_id
        assert row["proxy_care_of_address"] == str(MAG1)
        assert not row["is_deregistered"]

    def test_restart_loses_bindings_and_forwarding_and_is_announced(
        self, in_private_namespaces: InPrivateNamespaces
    ) -> None:
        async def body() -> list[Any]:
            async with steered() as (control, mag1):
                (prefix,) = (p for p in (await mag1.ask()).options if hasattr(p, "prefix"))
                before = (await control.change())["restart_counter"]
                lost = await control.restart()
                after = (await control.change())["restart_counter"]
                heartbeat = await mag1.received()
                correspondent = Correspondent()
                correspondent.send(prefix.prefix)
                is_tunnelled = await mag1.tunnelled(0.2) is not None
                left = await control.bindings()
                return [lost, after - before, heartbeat[2], is_tunnelled, left]

        assert in_private_namespaces(body) == [1, 1, 13, False, []]

    def test_messages_that_nobody_asked_for_are_sent_as_told(
        self, in_private_namespaces: InPrivateNamespaces
    ) -> None:
        # The socket that hears it drops what has a wrong checksum.
        octets = mobility_header.encode(Heartbeat(5), topology.LMA_ADDRESS, MAG1).hex()

        async def body() -> list[Any]:
            async with steered() as (control, mag1):
                await control.send(Telegram(MAG1, UnsolicitedOctets(octets)))
                heard = await mag1.received()
                await control.send(Telegram(MAG1, UnsolicitedHeartbeat(is_request=True)))
                return [heard.hex(), (await mag1.received())[2]]

        assert in_private_namespaces(body) == [octets, 13]

    def test_what_is_granted_can_be_changed_for_good(
        self, in_private_namespaces: InPrivateNamespaces
    ) -> None:
        async def body() -> list[Any]:
            async with steered() as (control, mag1):
                address = IPv6Address("fe80::77")
                changed = await control.change(lifetime_s=40, link_local_address=address)
                await mag1.ask()
                (row,) = await control.bindings()
                return [changed["link_local_address"], row["lifetime_s"]]

        assert in_private_namespaces(body) == ["fe80::77", 40]

    def test_refusals_are_one_line_with_the_fault(
        self, in_private_namespaces: InPrivateNamespaces
    ) -> None:
        async def body() -> list[str]:
            lines = []
            async with steered() as (control, _):
                for ask in (
                    lambda: control.relent(7),
                    lambda: control._call("POST", "/v1/faults", {"misdeed": {"name": "dance"}}),
                    lambda: control._call("POST", "/v1/restart", {"is_announced": "perhaps"}),
                ):
                    with pytest.raises(AnchorControlError) as refused:
                        await ask()
                    lines.append(str(refused.value))
            return lines

        unknown, dance, perhaps = in_private_namespaces(body)
        assert unknown == "no fault 7"
        assert "misdeed" in dance
        assert "is_announced" in perhaps

    def test_verbs_of_the_command_line_reach_it(
        self, in_private_namespaces: InPrivateNamespaces
    ) -> None:
        def tell(*arguments: str) -> str:
            ran = subprocess.run(
                [sys.executable, "-m", "mag", "lab", "tell", "lma", *arguments],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            return ran.stdout.strip() or ran.stderr.strip()

        async def body() -> list[str]:
            async with steered():
                socket = ("--control", str(anchor_socket()))
                return [
                    tell("reject", "--status", "130", "--node", "a@b", "--times", "3", *socket),
                    tell("grant", "--prefix", "::/0", "--lifetime", "0", *socket),
                    tell("reject", "--status", "12", *socket),
                    tell("faults", *socket),
                    tell("relent", *socket),
                    tell("settings", "--lifetime", "40", *socket),
                    tell("send", "--gateway", str(MAG1), '{"name": "heartbeat"}', *socket),
                    tell("restart", *socket),
                    tell("bindings", *socket),
                ]

        reject, grant, wrong, faults, relent, settings, sent, restart, bindings = (
            in_private_namespaces(body)
        )
        assert (reject, grant) == ("fault 1: reject", "fault 2: grant")
        assert "greater than or equal to 128" in wrong
        first, second = map(json.loads, faults.splitlines())
        assert first["where"]["mn_id"] == "a@b"
        assert first["times"] == 3
        assert second["misdeed"]["prefixes"] == ["::/0"]
        assert relent == "2 taken back"
        assert json.loads(settings)["lifetime_s"] == 40
        assert (sent, restart, bindings) == ("sent", "0 bindings lost", "")


class TestCommandLine:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("send", "--gateway", "2001:db8::1", "not json"), "not JSON"),
            (("send", "--gateway", "nowhere", '{"name": "heartbeat"}'), "gateway"),
            (("settings", "--link-local-address", "here"), "IPv6"),
            (("alter", "--part", "timestamp", "--value", "soon"), "misdeed"),
            (("reject", "--status", "130", "--control", "/nowhere/lma.sock"), "no LMA answers"),
        ],
    )
    def test_what_cannot_be_told_is_said_in_one_line(
        self, arguments: tuple[str, ...], words: str
    ) -> None:
        ran = CliRunner().invoke(app, ["lab", "tell", "lma", *arguments])
        assert ran.exit_code == 1
        assert words in ran.stderr
        assert len(ran.stderr.splitlines()) == 1

    def test_lab_that_is_not_held_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mag.cli.lab_tell.find_held_lab", lambda: None)
        ran = CliRunner().invoke(app, ["lab", "tell", "lma", "faults"])
        assert ran.exit_code == 1
        assert "no lab is held" in ran.stderr
