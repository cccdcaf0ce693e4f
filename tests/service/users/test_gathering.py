"""The users of a store for the process that binds the ports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shadesocks.config.model import Config
from shadesocks.core.errors import ConfigError
from shadesocks.core.secret import Secret
from shadesocks.service.store.roll import write_user
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.users.gathering import gathered

from .test_accounting import kept, stored, with_store
from .test_tables import shared


def names(config: Config) -> list[list[str]]:
    return [[user.name for user in server.users or ()] for server in config.servers]


def test_they_join_and_the_store_is_closed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fill(store: SqliteStore) -> None:
        write_user(store, stored("s"))
        write_user(store, stored("a"))
        store.put("odd", "{")

    path = tmp_path / "users.db"
    kept(path, fill)
    config = gathered(with_store(path, shared(port=8388), shared(names="", port=8389)))
    assert names(config) == [["a", "b", "s"], ["s"]]
    assert "store: odd is left out" in caplog.text
    assert "store: a is left out: stands in the config, too" in caplog.text
    path.unlink()


def test_names_that_cannot_be_are_told_as_a_log_can_bear_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fill(store: SqliteStore) -> None:
        for name in ("a" * 100_000, "x\u202ey\u2066z", "b\n2026 all is well"):
            store.put(name, "{}")

    path = tmp_path / "users.db"
    kept(path, fill)
    gathered(with_store(path, shared(port=8388)))
    lines = [record.message for record in caplog.records if "is left out" in record.message]
    assert len(lines) == 3
    assert all(line.isprintable() and len(line) < 300 for line in lines)
    assert any("x\\u202ey\\u2066z is left out" in line for line in lines)
    path.unlink()


def test_without_a_store_nothing_is_asked() -> None:
    config = replace(with_store(Path("/nowhere"), shared()), store=None)
    assert gathered(config) is config


def test_one_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="store"):
        gathered(replace(with_store(tmp_path, shared()), store=Secret(str(tmp_path))))
