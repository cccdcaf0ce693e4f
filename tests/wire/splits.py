"""Ways to cut bytes into pieces: a parser must not notice which one the network chose."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def bytewise(data: bytes) -> list[bytes]:
    """One byte a piece."""
    return [data[at : at + 1] for at in range(len(data))]


def all_splits(data: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and in two at every place."""
    yield [data]
    yield bytewise(data)
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def random_splits(data: bytes, count: int) -> Iterator[list[bytes]]:
    """In many pieces, in `count` different ways."""
    return (in_pieces(data, seed) for seed in range(count))


def in_pieces(data: bytes, seed: int) -> list[bytes]:
    """In pieces of random sizes, small ones and sizes of fields among them; the same for the same seed."""
    random = Random(seed)  # noqa: S311 - a test's choice, not a secret
    pieces, at = [], 0
    while at < len(data):
        size = random.choice((1, 2, 16, 18, 34, 100, 1000, len(data)))
        pieces.append(data[at : at + size])
        at += size
    return pieces
