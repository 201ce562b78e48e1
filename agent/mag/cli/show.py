"""`mag show`: what a gateway has and counts, as tables or JSON with stable keys."""

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any

import typer

from mag.cli import render
from mag.cli.exit_codes import FAILED
from mag.cli.gateways import GatewayOption, SocketOption, ask, find_gateways, the_gateway
from mag.services.admin_client import AdminClient
from mag.services.gateway_control import Document

app = typer.Typer(help="Show what a gateway has and counts.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="JSON with stable keys.")]

Rows = Callable[[AdminClient], Awaitable[list[Document]]]


@app.command()
def bindings(
    as_json: JsonOption = False, socket: SocketOption = None, gateway: GatewayOption = None
) -> None:
    """The Binding Update List with counters."""
    rows = _rows(AdminClient.bindings, socket, gateway)
    _show(as_json, {"bindings": rows}, lambda: render.bindings(rows))


@app.command()
def peers(
    as_json: JsonOption = False, socket: SocketOption = None, gateway: GatewayOption = None
) -> None:
    """The local mobility anchors and the signalling with them."""
    rows = _rows(AdminClient.peers, socket, gateway)
    _show(as_json, {"peers": rows}, lambda: render.peers(rows))


@app.command()
def dataplane(
    as_json: JsonOption = False, socket: SocketOption = None, gateway: GatewayOption = None
) -> None:
    """The packet path and what of ours is in it."""
    documents = _documents(AdminClient.dataplane, socket, gateway)
    _show(as_json, {"gateways": documents}, lambda: render.dataplanes(documents))


@app.command()
def counters(
    as_json: JsonOption = False, socket: SocketOption = None, gateway: GatewayOption = None
) -> None:
    """Signalling, discarded messages, dropped packets."""
    documents = _documents(AdminClient.counters, socket, gateway)
    _show(as_json, {"gateways": documents}, lambda: render.counters(documents))


@app.command()
def status(
    as_json: JsonOption = False, socket: SocketOption = None, gateway: GatewayOption = None
) -> None:
    """Version, uptime, number of bindings, and whether the gateway is being drained."""
    documents = _documents(AdminClient.status, socket, gateway)
    _show(as_json, {"gateways": documents}, lambda: render.statuses(documents))


@app.command()
def domain(
    as_json: JsonOption = False, socket: SocketOption = None, gateway: GatewayOption = None
) -> None:
    """What all gateways and LMAs of the domain must have alike; exit 1 if those here differ."""
    documents = [
        {"gateway": each["gateway"], **each["domain"]}
        for each in _documents(AdminClient.status, socket, gateway)
    ]
    _show(as_json, {"gateways": documents}, lambda: render.domains(documents))
    if len({each["digest"] for each in documents}) > 1:
        raise typer.Exit(FAILED)


@app.command()
def config(
    with_defaults: Annotated[
        bool, typer.Option("--defaults", help="Also keys that have their default, marked.")
    ] = False,
    as_json: JsonOption = False,
    socket: SocketOption = None,
    gateway: GatewayOption = None,
) -> None:
    """What the gateway runs with, as a file that `mag check` accepts."""
    document = ask(
        the_gateway(socket, gateway),
        lambda client: client.configuration(with_defaults=with_defaults),
    )
    if as_json:
        typer.echo(json.dumps(document["configuration"], indent=2))
    else:
        typer.echo(document["yaml"], nl=False)


def _rows(read: Rows, socket: SocketOption, gateway: GatewayOption) -> list[Document]:
    """The rows of every gateway meant, each with its gateway's identity."""
    rows: list[Document] = []
    for address in find_gateways(socket, gateway):

        async def question(client: AdminClient) -> list[Document]:
            identity = (await client.status())["identity"]
            return [{"gateway": identity, **row} for row in await read(client)]

        rows += ask(address, question)
    return rows


def _documents(
    read: Callable[[AdminClient], Awaitable[Document]],
    socket: SocketOption,
    gateway: GatewayOption,
) -> list[Document]:
    async def one_row(client: AdminClient) -> list[Document]:
        return [await read(client)]

    return _rows(one_row, socket, gateway)


def _show(as_json: bool, document: Document, tables: Callable[[], Iterable[Any]]) -> None:
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        render.print_all(tables())
