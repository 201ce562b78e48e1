"""Two configurations compared, object by object and key by key."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from mag.config.messages import Location, dotted
from mag.config.model import Configuration
from mag.config.plain import plain, plain_value
from mag.config.reloading import obstacle
from mag.config.section import Section
from mag.frozen import frozen


class ChangeKind(StrEnum):
    """What happens to an object or a key."""

    CREATED = "created"
    CHANGED = "changed"
    REMOVED = "removed"


@frozen
class Change:
    """One difference; values are those of JSON."""

    location: Location
    """Of a key, or of an object with a name: an LMA, an access link, an entry of the policy."""
    kind: ChangeKind
    old: Any
    """None for an object that is new, or a key that was left open."""
    new: Any
    """None for an object that goes, or a key that is left open."""

    @property
    def path(self) -> str:
        """The location as messages show it."""
        return dotted(self.location)

    @property
    def obstacle(self) -> str | None:
        """Why it needs a restart; None if a running gateway can apply it."""
        return obstacle(self.location)


def differences(running: Configuration, new: Configuration) -> tuple[Change, ...]:
    """Everything in which the second differs from the first, in the order of the file's keys."""
    return tuple(_between_sections(running, new, ()))


def _between_sections(old: Section, new: Section, location: Location) -> Iterator[Change]:
    for key in type(old).model_fields:
        before, after = getattr(old, key), getattr(new, key)
        if before == after:
            continue
        here = (*location, key)
        match before, after:
            case Section(), Section():
                yield from _between_sections(before, after, here)
            case dict(), dict():
                yield from _between_objects(before, after, here)
            case _:
                values = plain_value(old, key), plain_value(new, key)
                yield Change(here, ChangeKind.CHANGED, *values)


def _between_objects(
    old: Mapping[str, Section], new: Mapping[str, Section], location: Location
) -> Iterator[Change]:
    for name, section in old.items():
        here = (*location, name)
        if name not in new:
            yield Change(here, ChangeKind.REMOVED, plain(section), None)
        elif section != new[name]:
            yield from _between_sections(section, new[name], here)
    for name, section in new.items():
        if name not in old:
            yield Change((*location, name), ChangeKind.CREATED, None, plain(section))
