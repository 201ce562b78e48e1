"""Waiting for what threads and other processes do."""

import asyncio
import select
import time
from collections.abc import Callable
from typing import Final, TypeVar

Value = TypeVar("Value")

PATIENCE_S: Final = 20.0


async def eventually(condition: Callable[[], Value]) -> Value:
    """Let loop and threads go on until the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        # Of a thread there is nothing to await.
        while not (value := condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return value


def wait_for(condition: Callable[[], Value], what: str) -> Value:
    """Look again and again until it holds."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        if value := condition():
            return value
        select.select([], [], [], 0.01)
    raise AssertionError(f"not within {PATIENCE_S:g} s: {what}")
