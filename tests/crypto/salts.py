"""What the tests of the salt stores share: a clock, salts, stores in one directory."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from shadesocks.crypto.methods import Edition
from shadesocks.crypto.replay import Salts, open_salts

if TYPE_CHECKING:
    from pathlib import Path

EDITIONS: Final = (Edition.AEAD, Edition.AEAD2022)
FILES: Final = {Edition.AEAD: "aead.salts", Edition.AEAD2022: "aead2022.salts"}
STAMP: Final = 1_800_000_000

Open = Callable[..., Salts]


class Clock:
    """A monotonic clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def salts(tmp_path: Path, clock: Clock) -> Iterator[Open]:
    """Open stores in one directory; they are closed at the end."""
    with ExitStack() as stack:

        def open_store(edition: Edition, directory: str | None = str(tmp_path), *, shared: bool = False) -> Salts:
            store = open_salts(directory, edition, clock=clock, shared=shared)
            stack.callback(store.close)
            return store

        yield open_store


def some(count: int, size: int = 32, seed: int = 9999) -> list[bytes]:
    """Return salts that are the same at every run."""
    draw = random.Random(seed)  # noqa: S311  # data of a test
    return [draw.randbytes(size) for _ in range(count)]


def insert_all(store: Salts, salts: list[bytes], stamp: int = STAMP) -> int:
    """Return how many were new."""
    return sum(store.insert(salt, stamp) for salt in salts)
