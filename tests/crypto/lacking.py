"""A machine that lacks what old ciphers need."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import shadesocks.crypto

if TYPE_CHECKING:
    import pytest


def without_pycryptodomex(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an import of it fail, and forget that it was imported before."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "Cryptodome"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "Cryptodome", None)
    monkeypatch.delitem(sys.modules, "shadesocks.crypto.stream_extra", raising=False)
    monkeypatch.delattr(shadesocks.crypto, "stream_extra", raising=False)
    monkeypatch.setattr("shadesocks.crypto.available._HERE", set())
