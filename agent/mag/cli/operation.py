"""Verbs of an operator who changes a gateway under load: plan, reload, drain, undrain."""

import json
import time
from typing import Annotated, Final

import typer

from mag.cli import render
from mag.cli.exit_codes import FAILED
from mag.cli.files import ConfigurationFile, read_valid
from mag.cli.gateways import (
    GatewayAddress,
    GatewayOption,
    SocketOption,
    ask,
    the_gateway,
)
from mag.cli.show import JsonOption
from mag.services.admin_client import AdminClient
from mag.services.gateway_control import DEFAULT_DRAIN_RATE_PER_S, Document

_PROGRESS_EVERY_S: Final = 1.0


def add_to(app: typer.Typer) -> None:
    """Register the verbs; they stand at the top."""
    app.command()(plan)
    app.command()(reload)
    app.command()(drain)
    app.command()(undrain)


def plan(
    file: ConfigurationFile,
    as_json: JsonOption = False,
    socket: SocketOption = None,
    gateway: GatewayOption = None,
) -> None:
    """Print what a reload of this file would change, and for whom; changes nothing.

    Exit 0 if a reload would take the file, 1 if not, 2 if it cannot be read.
    """
    octets = read_valid(file)
    document = ask(the_gateway(socket, gateway), lambda client: client.plan(octets, str(file)))
    _print_plan(document, as_json)
    if not document["can_apply"]:
        raise typer.Exit(FAILED)


def reload(
    as_json: JsonOption = False, socket: SocketOption = None, gateway: GatewayOption = None
) -> None:
    """Have the gateway take its configuration file again, as SIGHUP does.

    A file with faults, or with changes that need a restart, is refused and nothing changes.
    """
    _print_plan(ask(the_gateway(socket, gateway), AdminClient.reload), as_json)


def drain(
    rate_per_s: Annotated[
        float, typer.Option("--rate", help="Sessions that end in a second.")
    ] = DEFAULT_DRAIN_RATE_PER_S,
    wait: Annotated[
        bool, typer.Option("--wait", help="Print progress until no session is left.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="The same as `mag undrain`.")] = False,
    socket: SocketOption = None,
    gateway: GatewayOption = None,
) -> None:
    """End all sessions slowly and refuse new nodes, until `mag undrain` or a restart."""
    address = the_gateway(socket, gateway)
    if cancel:
        _cancel(address)
        return
    _print_progress(ask(address, lambda client: client.drain(rate_per_s)))
    while wait:
        status = ask(address, AdminClient.status)["drain"]
        _print_progress(status)
        if not status["is_active"]:
            typer.echo("mag: the drain was cancelled", err=True)
            raise typer.Exit(FAILED)
        if not status["remaining"]:
            break
        time.sleep(_PROGRESS_EVERY_S)


def undrain(socket: SocketOption = None, gateway: GatewayOption = None) -> None:
    """Keep the sessions that are left, and take nodes again."""
    _cancel(the_gateway(socket, gateway))


def _cancel(address: GatewayAddress) -> None:
    status = ask(address, AdminClient.undrain)
    typer.echo(f"drain cancelled, {status['remaining']} sessions kept")


def _print_progress(status: Document) -> None:
    ended = max(0, status["sessions"] - status["remaining"])
    typer.echo(f"{ended} of {status['sessions']} sessions ended, {status['remaining']} left")


def _print_plan(document: Document, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    for line in render.plan(document):
        typer.echo(line)
