"""A path is a file, a URL is a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadesocks.service.store.choose import is_url, open_store
from shadesocks.service.store.sqlite import SqliteStore


@pytest.mark.parametrize(
    "text", ["postgresql+psycopg://u:p@h/db", "postgresql://h/db", "sqlite:///a.db", "SQLITE:////tmp/a.db"]
)
def test_a_scheme_makes_a_url(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize(
    "text", ["users.db", "/var/lib/a:b/users.db", "./postgresql:/x", "C:/users.db", "://x", "1x://y"]
)
def test_all_else_is_a_path(text: str) -> None:
    assert not is_url(text)


def test_a_path_is_a_file(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "users.db"))
    assert isinstance(store, SqliteStore)
    assert not (tmp_path / "users.db").exists(), "nothing is touched before it is opened"
    store.open()
    store.close()
