"""Method table: the lists that old programs' tests have, and what they are for."""

from __future__ import annotations

import pytest

from shadesocks.crypto.table import table_of

KNOWN = {
    b"foobar!": [60, 53, 84, 138, 217, 94, 88, 23, 39, 242, 219, 35, 12, 157, 165, 181],
    b"barfoo!": [124, 30, 170, 247, 27, 127, 224, 59, 13, 22, 196, 76, 72, 154, 32, 209],
}
"""How the list begins, in the tests of three of the old programs."""


@pytest.mark.parametrize("password", KNOWN)
def test_known_lists(password: bytes) -> None:
    assert list(table_of(password)[0][:16]) == KNOWN[password]


@pytest.mark.parametrize("password", [b"", b"foobar!", bytes(range(256))])
def test_one_undoes_the_other(password: bytes) -> None:
    sealed, opened = table_of(password)
    assert sorted(sealed) == list(range(256))
    assert bytes(range(256)).translate(sealed).translate(opened) == bytes(range(256))
