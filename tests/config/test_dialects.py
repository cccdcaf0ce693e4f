"""The table of dialects."""

from __future__ import annotations

import pytest

from shadesocks.config.dialects import DIALECTS, find_dialect
from shadesocks.config.findings import Findings
from shadesocks.config.reader import read


def test_our_own_is_found_and_changes_nothing() -> None:
    root = read("{}").root
    assert root is not None
    assert find_dialect(None, root).dialect is find_dialect("rust", root).dialect is DIALECTS["rust"]
    assert DIALECTS["rust"].translate(root, None, Findings(None)) is root


def test_names_are_those_of_the_rows() -> None:
    assert all(name == dialect.name for name, dialect in DIALECTS.items())
    root = read("{}").root
    assert root is not None
    with pytest.raises(KeyError):
        find_dialect("klingon", root)
