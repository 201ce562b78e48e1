"""Command-line values that all measurements take."""

import argparse
from collections.abc import Callable, Sequence


def count(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("1 is the least")
    return number


def parts_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Reads names of these, separated by commas."""

    def parts(text: str) -> list[str]:
        asked = text.split(",")
        if unknown := set(asked) - set(known):
            raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
        return asked

    return parts
