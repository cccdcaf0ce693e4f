"""Random bytes: each is given out once, in a process and in its children."""

from __future__ import annotations

import os
import sys

import pytest

from shadesocks.crypto.random import BATCH, draw


def test_any_size_and_never_the_same() -> None:
    assert [len(draw(size)) for size in (0, 1, 32, BATCH, BATCH + 1)] == [0, 1, 32, BATCH, BATCH + 1]
    salts = [draw(16) for _ in range(3 * BATCH // 16)]
    assert len(set(salts)) == len(salts)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_draws_its_own() -> None:
    """A copied batch would be a salt, and so a nonce, used twice."""
    draw(1)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, draw(32))
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    assert len(theirs) == 32
    assert theirs != draw(32)
    assert sys.platform != "win32"
