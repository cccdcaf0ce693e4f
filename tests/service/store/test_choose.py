"""A path is a file, a URL is a database."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from stat import S_IMODE

import pytest

from shadesocks.service.store import choose
from shadesocks.service.store.choose import open_store, shown
from shadesocks.service.store.sql import SqlStore
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import StoreError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/var/lib/users.db", "/var/lib/users.db"),
        ("postgresql://h/db", "postgresql://h/db"),
        ("postgresql://ann@h/db", "postgresql://ann@h/db"),
        ("postgresql://ann:canary@h:5432/db", "postgresql://ann@h:5432/db"),
        ("postgresql://:canary@h/db", "postgresql://h/db"),
        ("postgresql://ann:can%40ary@[::1]:5432/db?password=canary", "postgresql://ann@[::1]:5432/db"),
        ("postgresql:///db?host=/run&password=canary", "postgresql:///db"),
        ("sqlite:////var/lib/users.db", "sqlite:////var/lib/users.db"),
    ],
)
def test_what_messages_show(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize("place", range(1, 12))
@pytest.mark.parametrize("letter", "@:/?#")
def test_a_password_that_was_not_escaped_is_not_shown(place: int, letter: str) -> None:
    password = f"canary{'canary'}"[:place] + letter + "canarycanary"[place:]
    text = shown(f"postgresql://ann:{password}@h/db?x=@y")
    assert "cana" not in text
    assert "nary" not in text


@pytest.mark.parametrize("library", ["sqlalchemy", "alembic"])
def test_what_is_not_installed_is_named_with_its_extra(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda name: None if name == library else find_spec(name))
    with pytest.raises(StoreError) as caught:
        open_store("postgresql://ann:canary@h/db")
    assert str(caught.value) == (
        f"postgresql://ann@h/db takes {library}, which is not installed; pip install 'shadesocks[store]'"
    )


def test_a_url_is_a_database(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/users.db")
    assert isinstance(store, SqlStore)
    assert not (tmp_path / "users.db").exists(), "nothing is touched before it is opened"
    store.open()
    assert S_IMODE((tmp_path / "users.db").stat().st_mode) == 0o600
    store.close()


def test_a_path_is_a_file(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "users.db"))
    assert isinstance(store, SqliteStore)
    assert not (tmp_path / "users.db").exists(), "nothing is touched before it is opened"
    store.open()
    store.close()
