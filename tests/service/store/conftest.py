"""What tests of stores share: a real PostgreSQL, started once where one is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import Postgres, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Give the server that all tests of stores use; each makes a database of its own."""
    with running() as server:
        yield server
