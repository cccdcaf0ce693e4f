"""What a store is called: the same for the same one, and never with a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadesocks.service.store.naming import name_of


def test_a_file_has_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to("users.db")
    assert name_of("users.db") == name_of("./link.db") == str(tmp_path.resolve() / "users.db")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://anna:canary@db.example/users",
        "postgresql+psycopg://anna:can@ary@db.example/users?password=canary&x=@y",
        "postgresql+psycopg://anna:canary/?canary@db.example/users?host=/run",
        "postgresql+psycopg://db.example/users?x=@canary",
        "postgresql+psycopg://db.example/users",
    ],
)
def test_a_url_shows_no_password(text: str) -> None:
    name = name_of(text)
    assert "canary" not in name
    assert name == "postgresql+psycopg://db.example/users"
