"""Configuration values as an operator writes them, and a configuration back as a file."""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from mag.config.model import Configuration
from mag.config.section import Section

_STEP: Final = "  "
_UNLIMITED: Final = 2**30
_DEFAULT_MARK: Final = "  # default"
_DOCUMENT_END: Final = "\n..."


def plain(section: Section, *, with_defaults: bool = False) -> dict[str, Any]:
    """The section's keys with values of JSON; what is left open is left out.

    with_defaults: those too that have the value which they would have if left out.
    """
    return section.model_dump(mode="json", exclude_defaults=not with_defaults, exclude_none=True)


def plain_value(section: Section, key: str) -> Any:
    """One value of the section in the form of `plain`; None if it is left open."""
    value = getattr(section, key)
    if isinstance(value, Section):
        return plain(value)
    return section.model_dump(mode="json", include={key})[key]


def to_yaml(configuration: Configuration, *, with_defaults: bool = False) -> str:
    """The text of a file that loads as this very configuration.

    with_defaults: with the keys that might be left out, each marked by a comment.
    """
    return "".join(f"{line}\n" for line in _lines(configuration, "", with_defaults))


def _lines(section: Section, indent: str, with_defaults: bool) -> Iterator[str]:
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        is_default = not field.is_required() and value == field.get_default(
            call_default_factory=True
        )
        if value is None or (is_default and not with_defaults):
            continue
        match value:
            case Section():
                yield from _group(indent + key, _lines(value, indent + _STEP, with_defaults))
            case dict():
                yield from _group(indent + key, _named_groups(value, indent + _STEP, with_defaults))
            case _:
                mark = _DEFAULT_MARK if is_default else ""
                yield f"{indent}{key}: {_inline(plain_value(section, key))}{mark}"


def _named_groups(sections: dict[str, Section], indent: str, with_defaults: bool) -> Iterator[str]:
    for name, section in sections.items():
        below = _lines(section, indent + _STEP, with_defaults)
        yield from _group(indent + _inline(name), below)


def _group(head: str, below: Iterator[str]) -> Iterator[str]:
    first = next(below, None)
    if first is None:
        yield f"{head}: {{}}"
        return
    yield f"{head}:"
    yield first
    yield from below


def _inline(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=_UNLIMITED, allow_unicode=True)
    return text.rstrip("\n").removesuffix(_DOCUMENT_END)
