"""How validators say no."""

from typing import Final

from pydantic_core import PydanticCustomError

_MAX_SHOWN: Final = 60


def refusal(what: str) -> PydanticCustomError:
    """The error that a validator raises; `what` reaches the operator as it is."""
    return PydanticCustomError("refused", "{what}", {"what": what})


def shown(value: object) -> str:
    """A value as messages quote it, on one line of bounded length."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a group of keys"
        case list() | tuple():
            return "a list"
        case str():
            line = " ".join(value.split())
            return f'"{line}"' if len(line) <= _MAX_SHOWN else f'"{line[:_MAX_SHOWN]}…"'
        case _:
            return str(value)
