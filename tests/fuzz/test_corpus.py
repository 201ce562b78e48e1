"""The corpus breaks no invariant, and the invariants can break."""

from dataclasses import replace
from pathlib import Path

import pytest

from fuzz.targets import DESTINATION, SOURCE, TARGETS, with_checksum
from mag.wire import mobility_header
from mag.wire.errors import MalformedOption
from mag.wire.neighbor_discovery import RouterAdvertisement
from support.vectors import load_vectors

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(CORPUS.glob("*/*"))
MESSAGES = [v for v in load_vectors() if not isinstance(v.message, RouterAdvertisement)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_file_of_the_corpus_breaks_no_invariant(file: Path) -> None:
    TARGETS[file.parent.name](file.read_bytes())


def test_every_target_has_a_corpus() -> None:
    assert {file.parent.name for file in FILES} == set(TARGETS)


@pytest.mark.parametrize("vector", MESSAGES, ids=lambda vector: vector.name)
def test_vectors_reach_the_decoder_behind_the_checksum(vector) -> None:
    octets = with_checksum(vector.octets)
    assert mobility_header.decode(octets, SOURCE, DESTINATION) == vector.message
    TARGETS["mobility_header"](vector.octets)


def test_decoder_that_raises_anything_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise IndexError

    monkeypatch.setattr(mobility_header, "decode", decode)
    with pytest.raises(IndexError):
        TARGETS["mobility_header"](b"")


def test_message_that_changes_on_its_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = mobility_header.encode

    def forgetful(message, *addresses):
        return encode(replace(message, sequence=0), *addresses)

    monkeypatch.setattr(mobility_header, "encode", forgetful)
    (vector,) = [v for v in MESSAGES if v.name == "pba-accepted"]
    with pytest.raises(AssertionError, match="is not"):
        TARGETS["mobility_header"](vector.octets)


def test_error_that_points_beyond_the_message_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(octets: bytes, *_: object) -> None:
        raise MalformedOption(f"option 1 at offset {len(octets)} crosses the end")

    monkeypatch.setattr(mobility_header, "decode", decode)
    with pytest.raises(AssertionError, match="points beyond"):
        TARGETS["mobility_header"](bytes(8))
