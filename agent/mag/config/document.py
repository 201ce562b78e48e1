"""Values read from a text, each with its place in it."""

from dataclasses import dataclass
from typing import TypeAlias

from mag.config.messages import Location
from mag.frozen import frozen

Plain: TypeAlias = "str | list[Plain] | dict[str, Plain] | None"
"""What YAML values are before the model converts them: every scalar is text."""

Position = tuple[int, int]
"""Line and column, both from 1."""


@dataclass(slots=True)
class Node:
    """A value of the document and where it stands."""

    plain: Plain
    position: Position
    children: "dict[str, Node] | list[Node] | None" = None
    """None for scalars."""
    key_position: Position | None = None
    """Where its key stands, for values of mappings."""

    @property
    def first_position(self) -> Position:
        """Where an operator looks first: the key, or the value where there is no key."""
        return self.key_position or self.position

    @property
    def value_position(self) -> Position:
        """The value's own place; the key's if the value is empty or begins on a later line."""
        first = self.first_position
        return first if self.plain is None or first[0] != self.position[0] else self.position

    def descend(self, location: Location) -> "tuple[Node, bool]":
        """The node at the location, or the deepest that exists on the way; is it that one?"""
        node = self
        for step in location:
            match node.children, step:
                case dict() as members, str() if step in members:
                    node = members[step]
                case list() as items, int() if step < len(items):
                    node = items[step]
                case _:
                    return node, False
        return node, True


@frozen
class TextFault:
    """Something wrong with the text itself."""

    position: Position
    location: Location
    what: str


@frozen
class Document:
    """What a text holds."""

    root: Node | None
    """None if the text holds nothing, or nothing that can be understood."""
    faults: list[TextFault]
