"""What a store is called: the same for the same one, and never with a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadesocks.service.store.naming import name_of


def test_a_file_has_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to("users.db")
    assert name_of("users.db") == name_of("./link.db") == str(tmp_path.resolve() / "users.db")


def test_a_url_shows_no_password() -> None:
    name = name_of("postgresql+psycopg://anna:canary@db.example/users?password=canary")
    assert "canary" not in name
    assert name == name_of("postgresql+psycopg://anna:other@db.example/users") != name_of("postgresql://x/others")
