"""A file to a configuration, or to every fault in it with its place."""

from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mag.config.document import Node, Position
from mag.config.marked_yaml import read_yaml
from mag.config.messages import (
    ConfigError,
    ConfigMessage,
    ConfigUnreadable,
    Location,
    dotted,
)
from mag.config.model import Configuration
from mag.config.wording import MISSING_KEY, UNKNOWN_KEY

MAX_FILE_OCTETS: Final = 256 * 2**20
"""Some 1.8 million policy nodes."""

_KEY_STEP: Final = "[key]"
"""pydantic's last location step when a mapping's key itself is wrong."""


def load(path: Path) -> Configuration:
    """Read and check the file.

    Raises ConfigError with every fault in it, ConfigUnreadable if it cannot be read.
    """
    return parse(read(path), str(path))


def parse(octets: bytes, source: str) -> Configuration:
    """Check the text of a configuration, YAML in UTF-8; messages call it `source`.

    Raises ConfigError with every fault in it.
    """
    document = read_yaml(octets)
    messages = [
        ConfigMessage(source, *fault.position, dotted(fault.location), fault.what)
        for fault in document.faults
    ]
    if document.root is None:
        raise ConfigError(messages)
    try:
        configuration = Configuration.model_validate(document.root.plain)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise ConfigError(messages + [_message(source, document.root, f) for f in faults]) from None
    if messages:
        raise ConfigError(messages)
    return configuration


def read(path: Path) -> bytes:
    """The octets of the file. Raises ConfigUnreadable."""
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_FILE_OCTETS + 1)
    except OSError as error:
        raise ConfigUnreadable(path, error.strerror or str(error)) from error
    if len(octets) > MAX_FILE_OCTETS:
        raise ConfigUnreadable(path, f"larger than {MAX_FILE_OCTETS} octets")
    return octets


def _message(source: str, root: Node, error: ErrorDetails) -> ConfigMessage:
    is_about_key = error["type"] in (UNKNOWN_KEY, MISSING_KEY) or error["loc"][-1:] == (_KEY_STEP,)
    location: Location = error["loc"]
    if location[-1:] == (_KEY_STEP,):
        location = location[:-1]
    line, column = _position(root, location, is_about_key)
    return ConfigMessage(source, line, column, dotted(location), error["msg"])


def _position(root: Node, location: Location, is_about_key: bool) -> Position:
    node, is_there = root.descend(location)
    return node.value_position if is_there and not is_about_key else node.first_position
