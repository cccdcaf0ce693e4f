"""Where users stand: a store, a config, both; and what is wrong with either."""

from __future__ import annotations

import os
import sqlite3

import pytest

from shadesocks.cli.exits import CONFIG, DIED, OK, USAGE
from shadesocks.cli.users.book import opened

from .conftest import Site


def test_the_config_is_found_as_the_server_finds_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.folder)
    monkeypatch.setenv("HOME", str(site.folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    site.config.rename(site.folder / "server.json")
    assert site.bare("add", "anna") == OK
    assert site.path.exists()
    assert site.bare("list") == OK
    assert "anna" in site.out
    (site.folder / "server.json").unlink()
    monkeypatch.setattr("shadesocks.config.files.OLD_PLACES", ())
    monkeypatch.setattr("shadesocks.config.files.search_list", lambda *_: ())
    assert site.bare("list") == USAGE
    assert "give --store FILE or -c FILE" in site.err


def test_a_store_in_the_place_of_the_configs(site: Site) -> None:
    other = site.folder / "other.db"
    assert site.call("add", "anna", "--store", str(other)) == OK
    assert other.exists()
    assert not site.path.exists()
    with opened(str(site.config), str(other)) as book:
        assert (book.path, book.named) == (str(other), str(other))
        assert set(book.roll().users) == {"anna"}
        assert set(book.in_file) == {"fay"}
        assert set(book.by_number) == {"8389"}
    assert book.store is None


def test_a_store_that_is_misspelled_is_made_by_nobody_but_add(site: Site) -> None:
    path = site.folder / "usres.db"
    for words in (("del", "fay"), ("set", "fay", "--quota", "1G"), ("reset", "fay"), ("link", "fay"), ("list",)):
        assert site.bare(*words, "--store", str(path)) == CONFIG
        assert f"there is no store at {path}" in site.err
    assert not path.exists()


def test_a_config_with_mistakes(site: Site) -> None:
    site.config.write_text('{"servers": [')
    assert site.call("list") == CONFIG
    assert "c.json:1" in site.err
    assert site.bare("list", "-c", str(site.folder / "nowhere.json")) == CONFIG


def test_a_damaged_store_is_set_aside_and_told(site: Site) -> None:
    assert site.call("add", "anna") == OK
    site.path.write_bytes(b"SQLite format 3\0" + os.urandom(8000))
    assert site.call("list") == OK
    assert "is damaged" in site.err
    assert "a new one was begun" in site.err
    assert len(list(site.folder.glob("users.db.corrupt-*[0-9]"))) == 1, "and its log, if noise asks for one"


def test_a_file_of_others_is_no_store(site: Site) -> None:
    with sqlite3.connect(site.path) as db:
        db.execute("CREATE TABLE birds (name)")
    db.close()
    for words in (("list",), ("add", "anna")):
        assert site.call(*words) == DIED
        assert str(site.path) in site.err
        assert "Traceback" not in site.err
    assert site.bare("list", "--store", str(site.folder)) == DIED


def test_a_locked_store_gives_a_sentence(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert site.call("add", "anna") == OK
    monkeypatch.setattr("shadesocks.service.store.sqlite.BUSY", 0.05)
    monkeypatch.setattr("shadesocks.service.store.sqlite.SqliteStore.__init__.__kwdefaults__", {"busy": 0.05})
    db = sqlite3.connect(site.path, isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE")
        assert site.call("set", "anna", "--disable") == DIED
        assert "locked" in site.err
        assert site.call("list") == OK, "whoever reads waits for nobody"
    finally:
        db.close()
    assert site.user("anna").limits.enabled


def test_a_definition_that_cannot_be_read_is_told(site: Site) -> None:
    site.on_store(lambda store: store.put("odd", '{"quota": "canary"}'))
    assert site.call("list") == OK
    assert "odd: quota" in site.err
    assert "canary" not in site.err
    assert "odd" not in site.out
    site.on_store(lambda store: store.put("\u202e" + "a" * 100_000, "{}"))
    assert site.call("list") == OK
    assert "\\u202eaaa" in site.err
    assert len(site.err) < 1000


def test_a_url_needs_its_extra_and_shows_no_password(site: Site) -> None:
    code = site.bare("list", "--store", "postgresql+psycopg://anna:canary@127.0.0.1:1/users")
    assert code == DIED
    assert "canary" not in site.err
