"""What every test of this folder has: a state directory of its own, and the long tables where they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.family.conftest import start as start
from tests.peers import whole as whole


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let services keep their state within the test's folder."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
