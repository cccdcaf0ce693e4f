"""One AES block: the figures of the standard, and blocks that do not depend on each other."""

from __future__ import annotations

import pytest

from shadesocks.crypto.block import BLOCK_SIZE, Block, open_block, seal_block

PLAIN = bytes.fromhex("00112233445566778899aabbccddeeff")
SEALED = {
    16: bytes.fromhex("69c4e0d86a7b0430d8cdb78070b4c55a"),
    32: bytes.fromhex("8ea2b7ca516745bfeafc49904b496089"),
}
"""FIPS 197, appendix C: the key counts up from 0."""


@pytest.mark.parametrize("size", SEALED)
def test_the_figures_of_fips_197(size: int) -> None:
    block = Block(bytes(range(size)))
    assert block.seal(PLAIN) == SEALED[size]
    assert block.open(SEALED[size]) == PLAIN
    assert seal_block(bytes(range(size)), PLAIN) == SEALED[size]
    assert open_block(bytes(range(size)), SEALED[size]) == PLAIN


@pytest.mark.parametrize("size", SEALED)
def test_no_block_depends_on_another(size: int) -> None:
    """One context serves for ever, in both directions, from bytes and from a part of a buffer."""
    block = Block(b"k" * size)
    plains = [bytes((number,)) * BLOCK_SIZE for number in range(50)]
    sealed = [block.seal(plain) for plain in plains]
    assert [Block(b"k" * size).seal(plain) for plain in plains] == sealed
    buffer = memoryview(b"".join(reversed(sealed)))
    opened = [block.open(buffer[at : at + BLOCK_SIZE]) for at in range(0, len(buffer), BLOCK_SIZE)]
    assert opened == plains[::-1]
    assert block.seal(plains[7]) == sealed[7]


def test_another_key_is_another_block() -> None:
    assert Block(bytes(16)).seal(PLAIN) != Block(b"k" * 16).seal(PLAIN)


def test_the_key_is_not_shown() -> None:
    block = Block(b"secret-key-bytes")
    assert "secret" not in repr(block)
    assert not hasattr(block, "__dict__")
