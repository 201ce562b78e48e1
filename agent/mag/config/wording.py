"""pydantic's errors in the words of someone who edits the file."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from mag.config.messages import Fault, Location
from mag.config.refusal import shown

UNKNOWN_KEY: Final = "extra_forbidden"
MISSING_KEY: Final = "missing"
ANY_NAME: Final = "NAME"
"""Stands for the names that an operator gives, in patterns of locations."""

_GROUP: Final = "must be a group of keys, each `key: value` on its own line"
_LIST: Final = "must be a list such as [first, second]"
_WORDS: Final = {
    MISSING_KEY: "missing; this key has no default",
    "model_type": _GROUP,
    "dict_type": _GROUP,
    "tuple_type": _LIST,
    "frozen_set_type": _LIST,
    "string_type": "must be a single value",
}


def reworded(
    model: type[BaseModel], errors: Iterable[ErrorDetails], faults: Iterable[Fault]
) -> ValidationError:
    """One error of the model that holds all of these, each in its final words.

    The errors keep their types and locations.
    """
    lines = [
        _line(error["type"], error["loc"], _words(model, error), error["input"]) for error in errors
    ]
    lines += [_line("contradiction", fault.location, fault.what, None) for fault in faults]
    return ValidationError.from_exception_data(model.__name__, lines)


def _line(kind: str, location: Location, what: str, value: object) -> InitErrorDetails:
    # The template goes through {what} since operators' values may hold braces themselves.
    error = PydanticCustomError(kind, "{what}", {"what": what})
    return InitErrorDetails(type=error, loc=location, input=value)


def _words(model: type[BaseModel], error: ErrorDetails) -> str:
    match error["type"]:
        case kind if kind == UNKNOWN_KEY:
            return f"unknown key{_suggestion(model, error['loc'])}"
        case "too_short":
            return "must not be empty"
        case "too_long":
            return f"must have at most {error['ctx']['max_length']} entries"
        case "literal_error" | "enum":
            known = error["ctx"]["expected"].replace("'", "")
            return f"must be one of: {known}; not {shown(error['input'])}"
        case kind if kind in _WORDS:
            return _WORDS[kind] + _instead(kind, error["input"])
        case _:
            return error["msg"]


def _instead(kind: str, value: object) -> str:
    return "" if kind == MISSING_KEY else f", not {shown(value)}"


def _suggestion(model: type[BaseModel], location: Location) -> str:
    key = str(location[-1])
    keys_by_section = dict(sections(model))
    own = next(keys for pattern, keys in keys_by_section.items() if matches(location[:-1], pattern))
    if close := get_close_matches(key, own, n=1):
        return f"; did you mean {close[0]}?"
    homes = [".".join(pattern) for pattern, keys in keys_by_section.items() if key in keys]
    return (
        f" here; it belongs in {' or '.join(homes)}" if homes else f"; keys are: {', '.join(own)}"
    )


def matches(location: Location, pattern: tuple[str, ...]) -> bool:
    """Whether a pattern, in which ANY_NAME may stand, is of this location."""
    return len(location) == len(pattern) and all(
        wanted in (step, ANY_NAME) for step, wanted in zip(location, pattern, strict=True)
    )


def sections(
    model: type[BaseModel], location: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every group of keys in the model: where it stands and which keys it knows."""
    yield location, list(model.model_fields)
    for key, field in model.model_fields.items():
        annotation: Any = field.annotation
        if arguments := get_args(annotation):
            inner, below = arguments[-1], (*location, key, ANY_NAME)
        else:
            inner, below = annotation, (*location, key)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from sections(inner, below)
