"""YAML text to plain values whose places in the text are known.

Every scalar stays text, as with PyYAML's BaseLoader: YAML 1.1 would read the MAC address
12:34:56:12:34:56 as a number, 0123 as octal and `on` as true; here the model converts. Only an
empty value, `~` and `null` (unquoted) are None. Values are built from parser events with a stack
of our own because PyYAML's composer lets duplicate keys pass, follows aliases without bound, and
in its C form overflows the process's stack on deep nesting.
"""

import re
from dataclasses import dataclass, field
from typing import ClassVar, Final, NoReturn

import yaml

from mag.config.document import Document, Node, Plain, Position, TextFault
from mag.config.messages import Location

MAX_DEPTH: Final = 16
MAX_ALIASED_VALUES: Final = 100_000
"""Values that all aliases of a file together may stand for."""

# libyaml is some twenty times faster; a PyYAML built without it still works.
_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def read_yaml(octets: bytes) -> Document:
    """Read one YAML document in UTF-8; raises nothing: what is wrong is in the result."""
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # A byte order mark shifts error.start by its own three octets.
        before = octets.removeprefix(b"\xef\xbb\xbf")[: error.start].decode(errors="replace")
        return _unusable(before, f"octet 0x{error.object[error.start]:02x} is not UTF-8")
    if found := _UNPRINTABLE.search(text):
        return _unusable(text[: found.start()], f"control character U+{ord(found.group()):04X}")
    return _compose(text)


def _unusable(before: str, what: str) -> Document:
    position = before.count("\n") + 1, len(before) - before.rfind("\n")
    return Document(None, [TextFault(position, (), what)])


def _compose(text: str) -> Document:
    composer = _Composer()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        fault = _syntax_fault(error, text)
    except _RefusedError as refusal:
        fault = refusal.fault
    else:
        if composer.root is None or composer.root.plain is None:
            return _unusable("", "the file is empty")
        return Document(composer.root, composer.duplicates)
    return Document(None, [*composer.duplicates, fault])


def _syntax_fault(error: yaml.MarkedYAMLError, text: str) -> TextFault:
    mark = error.problem_mark
    position = _position(mark)
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        return TextFault(position, (), "a tab; YAML is indented with spaces only")
    context = f" {error.context}" if error.context else ""
    return TextFault(position, (), f"not YAML: {error.problem}{context}")


def _position(mark: "yaml.Mark | yaml._yaml.Mark | None") -> Position:
    # PyYAML's parsers mark every event and every error; the type alone says otherwise.
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


class _RefusedError(Exception):
    """The text cannot be understood from here on."""

    def __init__(self, fault: TextFault) -> None:
        self.fault = fault
        super().__init__(fault.what)


@dataclass(slots=True)
class _SequenceFrame:
    """A sequence that is being filled."""

    node: Node
    anchor: str | None
    values: list[Plain]
    items: list[Node]
    weight: int = 1
    """Values in it so far, those that aliases stand for included."""
    awaits_key: ClassVar[bool] = False

    @property
    def step(self) -> int:
        """The location step of the value that comes next."""
        return len(self.items)

    def add(self, node: Node) -> None:
        self.values.append(node.plain)
        self.items.append(node)


@dataclass(slots=True)
class _MappingFrame:
    """A mapping that is being filled: a key, its value, the next key."""

    node: Node
    anchor: str | None
    values: dict[str, Plain]
    members: dict[str, Node]
    weight: int = 1
    """Values in it so far, those that aliases stand for included."""
    awaits_key: bool = True
    step: str = ""
    """The location step of the value that comes next: its key."""
    key_position: Position | None = None

    def begin(self, key: str, position: Position) -> None:
        self.step, self.key_position, self.awaits_key = key, position, False

    def add(self, node: Node) -> None:
        """Take the value of the key that was begun; of two with one key the first stays."""
        node.key_position = self.key_position
        self.members.setdefault(self.step, node)
        self.values.setdefault(self.step, node.plain)
        self.awaits_key = True


_Frame = _SequenceFrame | _MappingFrame


@dataclass(slots=True)
class _Composer:
    """Builds one document from parser events; raises _RefusedError where it cannot go on."""

    root: Node | None = None
    duplicates: list[TextFault] = field(default_factory=list)
    _frames: list[_Frame] = field(default_factory=list)
    _anchors: dict[str | None, tuple[Node, int] | None] = field(default_factory=dict)
    """Nodes and their weights; None while the anchored value is still being read."""
    _aliased: int = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._start_mapping(event)
            case yaml.SequenceStartEvent():
                self._start_sequence(event)
            case yaml.CollectionEndEvent():
                self._end()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent() if self.root is not None:
                self._refuse(event, "a second YAML document begins; a configuration is one")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._check_tag(event)
        position = _position(event.start_mark)
        frame = self._frames[-1] if self._frames else None
        if isinstance(frame, _MappingFrame) and frame.awaits_key:
            frame.begin(event.value, position)
            self._note_if_duplicate(frame, position)
            return
        is_null = event.implicit[0] and event.value in _NULLS
        node = Node(None if is_null else event.value, position)
        self._anchors[event.anchor] = (node, 1)
        self._add(node, 1)

    def _start_mapping(self, event: yaml.MappingStartEvent) -> None:
        values: dict[str, Plain] = {}
        members: dict[str, Node] = {}
        node = Node(values, _position(event.start_mark), members)
        self._start(event, _MappingFrame(node, event.anchor, values, members))

    def _start_sequence(self, event: yaml.SequenceStartEvent) -> None:
        values: list[Plain] = []
        items: list[Node] = []
        node = Node(values, _position(event.start_mark), items)
        self._start(event, _SequenceFrame(node, event.anchor, values, items))

    def _start(self, event: yaml.CollectionStartEvent, frame: _Frame) -> None:
        self._check_is_no_key(event)
        self._check_tag(event)
        if len(self._frames) == MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        self._anchors[event.anchor] = None
        self._frames.append(frame)

    def _end(self) -> None:
        frame = self._frames.pop()
        self._anchors[frame.anchor] = (frame.node, frame.weight)
        self._add(frame.node, frame.weight)

    def _alias(self, event: yaml.AliasEvent) -> None:
        self._check_is_no_key(event)
        if event.anchor not in self._anchors:
            self._refuse(event, f"no anchor &{event.anchor} stands before the alias")
        if (anchored := self._anchors[event.anchor]) is None:
            self._refuse(event, f"the alias *{event.anchor} stands inside its own anchor")
        node, weight = anchored
        self._aliased += weight
        if self._aliased > MAX_ALIASED_VALUES:
            self._refuse(event, f"aliases stand for more than {MAX_ALIASED_VALUES} values")
        self._add(Node(node.plain, _position(event.start_mark), node.children), weight)

    def _add(self, node: Node, weight: int) -> None:
        if not self._frames:
            self.root = node
            return
        self._frames[-1].weight += weight
        self._frames[-1].add(node)

    def _note_if_duplicate(self, frame: _MappingFrame, position: Position) -> None:
        if (first := frame.members.get(frame.step)) is not None:
            line, _ = first.first_position
            what = f"given twice; the first is on line {line}"
            self.duplicates.append(TextFault(position, self._location(), what))

    def _location(self) -> Location:
        return tuple(frame.step for frame in self._frames if not frame.awaits_key)

    def _check_is_no_key(self, event: yaml.Event) -> None:
        if self._frames and self._frames[-1].awaits_key:
            self._refuse(event, "a key must be plain text")

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None:
            self._refuse(event, f"tags such as {event.tag} are not used in this file")

    def _refuse(self, event: yaml.Event, what: str) -> NoReturn:
        raise _RefusedError(TextFault(_position(event.start_mark), self._location(), what))
