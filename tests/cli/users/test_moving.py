"""`shadesocks user move`: from the store of a config into a database."""

from __future__ import annotations

import pytest

from shadesocks.cli.exits import CONFIG, OK
from shadesocks.service.store.choose import open_store
from shadesocks.service.store.store import Row

from .conftest import Site


def names_in(url: str) -> list[str]:
    store = open_store(url)
    store.open()
    try:
        return [user.name for user in store.users()]
    finally:
        store.close()


def test_users_of_a_config_move(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.passed(Row("anna", 7, 1, 2, 3, 4))
    url = f"sqlite:///{site.folder}/new.db"
    assert site.call("move", url) == OK
    first, second = site.out.splitlines()
    assert first == f"{url} has all of it now: names 1, rows of hours 1, of days 0"
    assert second == 'now let "store" in the config name it, and start the server'
    assert names_in(url) == ["anna"]
    other = f"sqlite:///{site.folder}/other.db"
    monkeypatch.setenv("NEW_STORE", other)
    assert site.bare("move", "${NEW_STORE}", "--store", str(site.path)) == OK
    assert names_in(other) == ["anna"]


def test_what_cannot_be_is_a_sentence(site: Site) -> None:
    url = f"sqlite:///{site.folder}/new.db"
    assert site.call("move", "${NOWHERE}") == CONFIG
    assert "no variable NOWHERE" in site.err
    assert site.call("move", url) != OK
    assert "there is no store at" in site.err
    site.write(store="")
    assert site.call("move", url) == CONFIG
    assert "names no store" in site.err
