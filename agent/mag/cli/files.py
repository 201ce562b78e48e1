"""Configuration files as arguments: read and checked before anything else is done."""

from pathlib import Path
from typing import Annotated

import typer

from mag.cli.exit_codes import CANNOT_READ, INVALID
from mag.config.loader import parse, read
from mag.config.messages import ConfigError, ConfigUnreadable
from mag.config.model import Configuration

ConfigurationFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The configuration, such as configs/mag.yaml.")
]


def load_valid(file: Path) -> Configuration:
    """The configuration; leaves with every fault of the file."""
    return _checked(file)[1]


def read_valid(file: Path) -> bytes:
    """The octets of a file without faults; leaves like `load_valid`."""
    return _checked(file)[0]


def _checked(file: Path) -> tuple[bytes, Configuration]:
    try:
        octets = read(file)
        return octets, parse(octets, str(file))
    except ConfigError as error:
        for message in error.messages:
            typer.echo(str(message), err=True)
        raise typer.Exit(INVALID) from None
    except ConfigUnreadable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(CANNOT_READ) from None
