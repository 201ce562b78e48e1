"""Verbs that change a running gateway, or watch it: attach, detach, clear, monitor."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from mag.cli import render
from mag.cli.gateways import (
    GatewayAddress,
    GatewayOption,
    SocketOption,
    ask,
    fail,
    find_gateways,
    the_gateway,
)
from mag.cli.show import JsonOption
from mag.protocol.attachment import HandoffHint
from mag.services.admin_client import AdminClient, AdminError
from mag.services.gateway_control import DEFAULT_CLEAR_RATE_PER_S, Document

clear_app = typer.Typer(help="End bindings as an operator.", no_args_is_help=True)

LinkLayerAddress = Annotated[str, typer.Argument(help="Of the node's interface.")]


def add_to(app: typer.Typer) -> None:
    """Register the verbs that stand at the top."""
    app.command()(attach)
    app.command()(detach)
    app.command()(monitor)


def attach(
    access_interface: Annotated[str, typer.Argument(help="The access link.")],
    link_layer_address: LinkLayerAddress,
    mn_id: Annotated[str | None, typer.Option(help="If the access network knows it.")] = None,
    identity: Annotated[
        str | None,
        typer.Option(help="What the node was authenticated as; the policy resolves it."),
    ] = None,
    handoff: Annotated[
        HandoffHint, typer.Option(help="What the access network knows of the move.")
    ] = HandoffHint.UNKNOWN,
    wait_s: Annotated[
        float | None, typer.Option("--wait", help="Seconds to wait until packets flow.")
    ] = None,
    socket: SocketOption = None,
    gateway: GatewayOption = None,
) -> None:
    """Report a node on an access link, as an access point or controller does."""
    row = ask(
        the_gateway(socket, gateway),
        lambda client: client.attach(
            access_interface,
            link_layer_address,
            mn_id=mn_id,
            identity=identity,
            handoff=handoff.value,
            wait_s=wait_s,
        ),
    )
    typer.echo(f"{row['mn_id']}: {row['state']}{_prefixes(row)}")


def detach(
    link_layer_address: LinkLayerAddress,
    access_interface: Annotated[str | None, typer.Option(help="Only on this link.")] = None,
    socket: SocketOption = None,
    gateway: GatewayOption = None,
) -> None:
    """Report that a node has left its access link."""
    rows = ask(
        the_gateway(socket, gateway),
        lambda client: client.detach(
            link_layer_address=link_layer_address, access_interface=access_interface
        ),
    )
    _tell(rows)


@clear_app.command("binding")
def clear_binding(
    mn_id: Annotated[str, typer.Argument(help="The node's MN-Identifier.")],
    socket: SocketOption = None,
    gateway: GatewayOption = None,
) -> None:
    """End a node's bindings; also lifts a hold after a rejection."""
    _tell(ask(the_gateway(socket, gateway), lambda client: client.clear(mn_id)))


@clear_app.command("held")
def clear_held(
    lma: Annotated[str | None, typer.Option(help="Only those that this LMA has refused.")] = None,
    reason: Annotated[
        str | None, typer.Option(help="Only those with this in their reason, such as 152.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Nodes in a second.")] = DEFAULT_CLEAR_RATE_PER_S,
    socket: SocketOption = None,
    gateway: GatewayOption = None,
) -> None:
    """Let nodes try again that an LMA has refused for good, so many a second."""
    document = ask(
        the_gateway(socket, gateway),
        lambda client: client.clear_held(lma=lma, reason=reason, rate_per_s=rate),
    )
    seconds = document["nodes"] / document["rate_per_s"]
    typer.echo(
        f"{document['bindings']} bindings of {document['nodes']} nodes are cleared"
        f" within {seconds:.0f} s"
    )


def monitor(
    as_json: JsonOption = False, socket: SocketOption = None, gateway: GatewayOption = None
) -> None:
    """Print what happens as it happens, until interrupted."""
    gateways = find_gateways(socket, gateway)
    try:
        asyncio.run(_watch(gateways, as_json))
    except AdminError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit from None


async def _watch(gateways: list[GatewayAddress], as_json: bool) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            for gateway in gateways:
                tasks.create_task(_watch_one(gateway, as_json))
    except* AdminError as group:
        raise group.exceptions[0] from None


async def _watch_one(gateway: GatewayAddress, as_json: bool) -> None:
    async with AdminClient(gateway.socket) as client:
        identity = (await client.status())["identity"]
        async for entry in client.events():
            _print_event({"gateway": identity, **entry}, as_json)


def _print_event(entry: Document, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(entry))
        return
    moment = datetime.fromtimestamp(entry["at"], UTC).strftime("%H:%M:%S.%f")[:-3]
    typer.echo(f"{moment} {entry['gateway']:<8} {render.event(entry)}")


def _tell(rows: list[Document]) -> None:
    for row in rows:
        typer.echo(f"{row['mn_id']} on {row['access_interface']}: {row['state']}")


def _prefixes(row: Document) -> str:
    prefixes = ", ".join(row["home_network_prefixes"])
    return f" {prefixes}" if prefixes else ""
