"""Which gateways a command talks to: the one named, the one of this machine, or a held lab's."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, NoReturn, TypeVar

import typer

from mag.cli.exit_codes import FAILED
from mag.config.model import AdminSection
from mag.frozen import frozen
from mag.lab.held import find_held_lab
from mag.services.admin_client import AdminClient, AdminError

Answer = TypeVar("Answer")

DEFAULT_SOCKET: Final = AdminSection().socket

SocketOption = Annotated[
    Path | None,
    typer.Option("--socket", envvar="MAG_SOCKET", help="Admin socket of the gateway."),
]
GatewayOption = Annotated[
    str | None, typer.Option("--gateway", help="One gateway of a held lab, such as mag1.")
]


@frozen
class GatewayAddress:
    """A gateway that a command can talk to."""

    name: str
    """Of a lab's gateway; empty when there is only one to talk to."""
    socket: Path


def find_gateways(socket: Path | None, name: str | None) -> list[GatewayAddress]:
    """The gateways meant: an explicit socket, else the default one, else those of a held lab."""
    if socket is not None:
        return [GatewayAddress("", socket)]
    if name is None and DEFAULT_SOCKET.exists():
        return [GatewayAddress("", DEFAULT_SOCKET)]
    lab = find_held_lab()
    if lab is None:
        fail(f"no gateway runs here ({DEFAULT_SOCKET} is not there) and no lab is held")
    if name is not None and name not in lab.gateway_sockets:
        fail(f"{lab.name} has no gateway {name}; it has {', '.join(lab.gateway_sockets)}")
    return [
        GatewayAddress(gateway, path)
        for gateway, path in lab.gateway_sockets.items()
        if name in (None, gateway)
    ]


def the_gateway(socket: Path | None, name: str | None) -> GatewayAddress:
    """The one gateway that a command is to change."""
    gateways = find_gateways(socket, name)
    if len(gateways) > 1:
        fail(f"say which with --gateway: {', '.join(gateway.name for gateway in gateways)}")
    return gateways[0]


def ask(gateway: GatewayAddress, question: Callable[[AdminClient], Awaitable[Answer]]) -> Answer:
    """One question to one gateway; leaves with one line if it cannot answer."""

    async def talk() -> Answer:
        async with AdminClient(gateway.socket) as client:
            return await question(client)

    try:
        return asyncio.run(talk())
    except AdminError as error:
        fail(str(error))


def fail(text: str) -> NoReturn:
    """Leave with one line on standard error."""
    typer.echo(f"mag: {text}", err=True)
    raise typer.Exit(FAILED)
