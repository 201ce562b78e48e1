"""`mag lab tell lma`: what the reference LMA is to do wrong from now on, or at once."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import TypeAdapter, ValidationError

from mag.cli.gateways import Answer, fail
from mag.lab.anchor.control_client import AnchorControlClient, AnchorControlError
from mag.lab.anchor.faults import FAULT, MessageKind, Part, Way
from mag.lab.anchor.unsolicited import TELEGRAM
from mag.lab.held import find_held_lab
from mag.services.gateway_control import Document

app = typer.Typer(help="Have the reference LMA misbehave.", no_args_is_help=True)
_lma = typer.Typer(
    help="What is told holds until `relent`, or as often as --times says. The LMA is that of the "
    "lab that is held (mag lab --hold), or the one that listens on --control.",
    no_args_is_help=True,
)
app.add_typer(_lma, name="lma")

_Control = Annotated[
    Path | None, typer.Option("--control", help="The LMA's socket; else the held lab's.")
]
_MEANT: Final[dict[str, Any]] = {
    "node": Annotated[str | None, typer.Option(help="Only for this MN-Identifier.")],
    "gateway": Annotated[str | None, typer.Option(help="Only for this Proxy-CoA.")],
    "kind": Annotated[MessageKind | None, typer.Option(help="Only for messages of this kind.")],
    "times": Annotated[int | None, typer.Option(help="How often; else until `relent`.")],
    "probability": Annotated[float | None, typer.Option(help="Of hitting what is meant.")],
    "control": _Control,
}
"""Options that every fault takes: which messages, how often."""


def _fault_verb(misdeed: Callable[..., Document]) -> Callable[..., Document]:
    """Register a verb: the options of the function, which makes a misdeed, and _MEANT."""
    own = inspect.signature(misdeed).parameters

    def verb(**values: Any) -> None:
        where = {"mn_id": values["node"], "gateway": values["gateway"], "kind": values["kind"]}
        fault = {
            "misdeed": {"name": misdeed.__name__, **misdeed(**{key: values[key] for key in own})},
            "where": {key: value for key, value in where.items() if value is not None},
            "times": values["times"],
            "probability": values["probability"] or 1.0,
        }
        checked = _checked(FAULT, fault)
        number = _ask(values["control"], lambda client: client.misbehave(checked))
        typer.echo(f"fault {number}: {misdeed.__name__}")

    meant = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in _MEANT.items()
    ]
    verb.__signature__ = inspect.Signature([*own.values(), *meant])  # type: ignore[attr-defined]
    verb.__annotations__ = {**misdeed.__annotations__, **_MEANT, "return": None}
    verb.__doc__ = misdeed.__doc__
    _lma.command(misdeed.__name__)(verb)
    return misdeed


@_fault_verb
def reject(status: Annotated[int, typer.Option(help="128 to 255.")]) -> Document:
    """Refuse requests; the Binding Cache does not hear of them."""
    return {"status": status}


@_fault_verb
def lose(way: Annotated[Way, typer.Option(help="What is lost.")] = Way.ANSWER) -> Document:
    """Lose requests or answers; with --kind heartbeat it is dead to its gateways."""
    return {"way": way}


@_fault_verb
def delay(
    seconds: Annotated[float, typer.Option(help="How late an answer is.")],
    spread: Annotated[float, typer.Option(help="Up to so many more, at random.")] = 0.0,
) -> Document:
    """Answer late."""
    return {"seconds": seconds, "spread_s": spread}


@_fault_verb
def duplicate(copies: Annotated[int, typer.Option(help="Beside the answer.")] = 1) -> Document:
    """Send answers several times."""
    return {"copies": copies}


@_fault_verb
def reorder() -> Document:
    """Have the next message to the gateway overtake an answer."""
    return {}


@_fault_verb
def alter(
    part: Annotated[Part, typer.Option(help="What of the acknowledgement.")],
    value: Annotated[str | None, typer.Option(help="Else another one than was asked.")] = None,
) -> Document:
    """Echo something else."""
    return {"part": part, "value": value}


@_fault_verb
def omit(part: Annotated[Part, typer.Option(help="What of the acknowledgement.")]) -> Document:
    """Leave something out of acknowledgements."""
    return {"part": part}


@_fault_verb
def grant(
    prefix: Annotated[list[str] | None, typer.Option(help="Several if given repeatedly.")] = None,
    lifetime: Annotated[int | None, typer.Option(help="Seconds, 0 included.")] = None,
    refresh_interval: Annotated[int | None, typer.Option(help="Binding Refresh Advice.")] = None,
) -> Document:
    """Grant something else than what the Binding Cache has."""
    return {
        "prefixes": prefix or None,
        "lifetime_s": lifetime,
        "refresh_interval_s": refresh_interval,
    }


@_fault_verb
def garble(
    fix_checksum: Annotated[bool, typer.Option(help="Get it past the checksum.")] = True,
) -> Document:
    """Flip bits of answers, or cut their end off."""
    return {"fix_checksum": fix_checksum}


@_lma.command()
def faults(control: _Control = None) -> None:
    """What it has been told, and how often each was done."""
    for row in _ask(control, lambda client: client.faults()):
        typer.echo(json.dumps(row))


@_lma.command()
def relent(
    fault: Annotated[int | None, typer.Argument(help="A number that was told; else all.")] = None,
    control: _Control = None,
) -> None:
    """Take faults back."""
    gone = _ask(control, lambda client: client.relent(fault))
    typer.echo(f"{len(gone)} taken back")


@_lma.command()
def restart(
    announce: Annotated[bool, typer.Option(help="Tell the gateways (RFC 5847).")] = True,
    control: _Control = None,
) -> None:
    """Forget every binding, with a new restart counter."""
    lost = _ask(control, lambda client: client.restart(is_announced=announce))
    typer.echo(f"{lost} bindings lost")


@_lma.command()
def settings(
    lifetime: Annotated[int | None, typer.Option(help="The most that is granted, s.")] = None,
    link_local_address: Annotated[
        str | None, typer.Option(help="For new sessions whose gateway asks for one.")
    ] = None,
    control: _Control = None,
) -> None:
    """Change what it gives; without options, say what that is."""
    address = link_local_address and _checked(TypeAdapter(IPv6Address), link_local_address)
    document = _ask(
        control,
        lambda client: client.change(lifetime_s=lifetime, link_local_address=address or None),
    )
    typer.echo(json.dumps(document))


@_lma.command()
def send(
    gateway: Annotated[str, typer.Option(help="The Proxy-CoA it goes to.")],
    message: Annotated[
        str,
        typer.Argument(
            metavar="JSON",
            help='Such as \'{"name": "heartbeat"}\', \'{"name": "acknowledgement", "mn_id": '
            '"mn1@lab.example", "status": 0}\', \'{"name": "binding-error", "status": 1}\', '
            '\'{"name": "refresh-request"}\' or \'{"name": "octets", "octets": "3b00…"}\'.',
        ),
    ],
    control: _Control = None,
) -> None:
    """Send a message that nobody asked for."""
    try:
        telegram = {"gateway": gateway, "message": json.loads(message)}
    except ValueError as error:
        fail(f"not JSON: {error}")
    checked = _checked(TELEGRAM, telegram)
    _ask(control, lambda client: client.send(checked))
    typer.echo("sent")


@_lma.command()
def bindings(control: _Control = None) -> None:
    """Its Binding Cache, a JSON document a line."""
    for row in _ask(control, lambda client: client.bindings()):
        typer.echo(json.dumps(row))


def _checked(adapter: TypeAdapter[Answer], value: object) -> Answer:
    """The value as what it is to be; leaves with one line that names its first fault."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        fail(f"{where}: {fault['msg']}" if where else str(fault["msg"]))


def _ask(
    control: Path | None, question: Callable[[AnchorControlClient], Awaitable[Answer]]
) -> Answer:
    """One question to the LMA; leaves with one line if it cannot answer."""
    socket = _held_socket() if control is None else control

    async def talk() -> Answer:
        async with AnchorControlClient(socket) as client:
            return await question(client)

    try:
        return asyncio.run(talk())
    except AnchorControlError as error:
        fail(str(error))


def _held_socket() -> Path:
    lab = find_held_lab()
    if lab is None:
        fail("no lab is held here: start one with mag lab --hold, or say --control SOCKET")
    return lab.anchor_socket
