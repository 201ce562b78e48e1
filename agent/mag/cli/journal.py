"""`mag journal`: what the next start would go on with, kept safe and put back; asks no gateway."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mag.cli.gateways import fail
from mag.cli.show import JsonOption
from mag.config.model import JournalSection
from mag.services.journal.copies import Contents, back_up, look_into, put_back
from mag.services.journal.schema import JournalUnusableError

app = typer.Typer(help="The journal: show, back up, put a backup back.", no_args_is_help=True)

JournalOption = Annotated[
    Path, typer.Option("--journal", metavar="PATH", help="As `journal.path` of the configuration.")
]
_DEFAULT = JournalSection().path


@app.command()
def show(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="A journal or a backup of one.")
    ] = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Print what a journal has; a gateway may be writing it."""
    with _told(file):
        contents = look_into(file, time.time())
    typer.echo(json.dumps(_document(contents)) if as_json else _text(contents))


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file.")],
    journal: JournalOption = _DEFAULT,
) -> None:
    """Copy the journal as it is now into one file; a gateway may be writing it."""
    with _told(journal):
        typer.echo(_text(back_up(journal, file, time.time())))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    journal: JournalOption = _DEFAULT,
) -> None:
    """Have the next start of the gateway go on with a backup; none may be running.

    Every node is then asked whether it is still there, and every binding extended, at a pace.
    """
    with _told(journal):
        contents, former = put_back(file, journal, time.time())
    typer.echo(_text(contents))
    if former is not None:
        typer.echo(f"the journal that was there is kept as {former}")


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """What stands in the way, in one line."""
    try:
        yield
    except BlockingIOError:
        fail(f"{file} is in use by a gateway: stop it first, with `shutdown.policy: keep`")
    except (JournalUnusableError, FileExistsError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror or error}")


def _document(contents: Contents) -> dict[str, object]:
    owner = str(contents.proxy_care_of_address)
    return asdict(contents) | {"proxy_care_of_address": owner}


def _text(contents: Contents) -> str:
    states = ", ".join(f"{count} {state}" for state, count in sorted(contents.bindings.items()))
    written = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(contents.changed_at))
    expired = f"; {contents.expired} expired by now" if contents.expired else ""
    return (
        f"{contents.path}: of {contents.proxy_care_of_address}, written {written}, "
        f"{contents.octets / 1024:.0f} KiB; bindings: {states or 'none'}{expired}"
    )
