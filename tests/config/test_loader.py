"""Files as they come: unreadable, empty, in the wrong encoding, enormous."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag.config import loader
from mag.config.loader import load, parse
from mag.config.messages import ConfigError, ConfigMessage, ConfigUnreadable

SMALLEST = """\
proxy_care_of_address: 2001:db8:0:a::1
lmas: {lma1: {address: 2001:db8:0:b::1}}
access_links: {eth1: }
policy: {default: {lma: lma1}}
dataplane: {core_interfaces: [eth0]}
"""


def faults_of(octets: bytes) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parse(octets, "mag.yaml")
    return [str(message) for message in raised.value.messages]


def test_load_good_file_gives_configuration(tmp_path: Path) -> None:
    file = tmp_path / "mag.yaml"
    file.write_text(SMALLEST)
    assert load(file).lmas["lma1"].path_mtu_octets == 1500


def test_load_bad_file_names_file_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "mag.yaml"
    file.write_text(SMALLEST + "identity: [mag1]\n")
    with pytest.raises(ConfigError) as raised:
        load(file)
    assert str(raised.value) == (f"{file}:6:11: identity: must be a single value, not a list")


def test_load_missing_file_is_unreadable(tmp_path: Path) -> None:
    file = tmp_path / "mag.yaml"
    with pytest.raises(ConfigUnreadable, match="No such file") as raised:
        load(file)
    assert raised.value.path == file
    assert str(raised.value) == f"{file}: No such file or directory"


def test_load_directory_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ConfigUnreadable, match="Is a directory"):
        load(tmp_path)


def test_load_file_above_limit_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mag.yaml"
    file.write_text(SMALLEST)
    monkeypatch.setattr(loader, "MAX_FILE_OCTETS", len(SMALLEST))
    load(file)
    monkeypatch.setattr(loader, "MAX_FILE_OCTETS", len(SMALLEST) - 1)
    with pytest.raises(ConfigUnreadable, match="larger than"):
        load(file)


@pytest.mark.parametrize("octets", [b"", b"\n\n", b"# nothing\n", b"---\n", b"~", b"\xef\xbb\xbf"])
def test_parse_text_without_value_is_empty(octets: bytes) -> None:
    assert faults_of(octets) == ["mag.yaml:1:1: the file is empty"]


def test_parse_byte_order_mark_and_dos_line_ends_are_accepted() -> None:
    octets = b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode()
    assert parse(octets, "mag.yaml") == parse(SMALLEST.encode(), "mag.yaml")


def test_parse_latin1_text_tells_octet_and_place() -> None:
    octets = SMALLEST.encode() + "# Zürich\nidentity: Zürich".encode("latin-1")
    assert faults_of(octets) == ["mag.yaml:6:4: octet 0xfc is not UTF-8"]


def test_parse_bad_octet_behind_byte_order_mark_is_placed_in_the_line() -> None:
    assert faults_of(b"\xef\xbb\xbfab\xff") == ["mag.yaml:1:3: octet 0xff is not UTF-8"]


def test_parse_utf16_text_is_refused() -> None:
    assert faults_of(SMALLEST.encode("utf-16")) == ["mag.yaml:1:1: octet 0xff is not UTF-8"]


def test_parse_control_character_is_placed() -> None:
    assert faults_of(b"identity: mag1\n# \x00\n") == ["mag.yaml:2:3: control character U+0000"]


def test_parse_column_counts_characters_not_octets() -> None:
    assert faults_of("log: {mn_id: 'äöü', level: x}".encode())[-1].startswith("mag.yaml:1:28:")


def test_parse_key_given_twice_alone_is_enough_to_refuse() -> None:
    faults = faults_of(SMALLEST.encode() + b"log: {level: info, level: info}\n")
    assert faults == ["mag.yaml:6:20: log.level: given twice; the first is on line 6"]


def test_parse_tab_inside_a_line_is_no_fault() -> None:
    assert parse(SMALLEST.encode() + b"identity:\tmag7\t# ours\n", "x").identity == "mag7"


def test_parse_deep_nesting_is_refused_in_bounded_stack() -> None:
    """A recursive composer would end the process here."""
    [fault] = faults_of(b"log: " + b"[" * 200_000)
    assert fault.endswith("nested deeper than 16 levels")


def test_parse_syntax_error_inside_quotes_shows_place() -> None:
    [fault] = faults_of(b"identity: mag1\n  log: x\n")
    assert fault.startswith("mag.yaml:2:6: not YAML: mapping values are not allowed")


def test_parse_value_in_message_is_shortened_to_one_line() -> None:
    [fault] = faults_of(SMALLEST.encode() + b"journal: {enabled: 'a\n\n  b" + b"c" * 99 + b"'}")
    assert fault == (
        'mag.yaml:6:20: journal.enabled: must be true or false, not "a b' + "c" * 57 + '…"'
    )


def test_parse_value_with_braces_is_shown_as_it_is() -> None:
    """Messages go through pydantic's templates, where braces mean something."""
    [fault] = faults_of(SMALLEST.encode() + b"log: {level: '{what}'}")
    assert fault.endswith('not "{what}"')


def test_config_error_sorts_messages_by_place() -> None:
    late = ConfigMessage("mag.yaml", 10, 1, "b", "wrong")
    early = ConfigMessage("mag.yaml", 9, 20, "c", "wrong")
    first = ConfigMessage("mag.yaml", 9, 3, "z", "wrong")
    assert ConfigError([late, early, first]).messages == [first, early, late]


YAML_PIECES = st.sampled_from(
    b"lmas|policy|nodes|: |:|- |\n|\n  |\t|[|]|{|}|,|&a |*a|!!int |~|'|\"|#|? |---\n|>|%|\xff|<<"
    b"|2001:db8::1|eth0|\xc3\xa4|\x85|\r|...".split(b"|")
)


@given(st.lists(YAML_PIECES, max_size=40).map(b"".join) | st.binary(max_size=60))
def test_parse_any_octets_give_placed_messages(octets: bytes) -> None:
    """Nothing but ConfigError comes out of a bad file, and each message has a place in it."""
    with pytest.raises(ConfigError) as raised:
        parse(octets, "mag.yaml")
    assert raised.value.messages
    for message in raised.value.messages:
        assert message.what
        assert 1 <= message.line <= len(octets) + 1
        assert 1 <= message.column <= len(octets) + 1
