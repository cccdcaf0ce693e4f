"""A folder with a config and its store, and the commands that manage its users, called in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shadesocks.cli.exits import run
from shadesocks.cli.programs import group
from shadesocks.config.user import UserConfig
from shadesocks.service.store.roll import Roll, call_roll
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Batch, Row
from tests.cli.asked import Stub, found
from tests.cli.programs import KEY, METHOD

FAY = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
"""The key of the user who stands in the config."""


@dataclass
class Site:
    """Where users are managed."""

    folder: Path
    patch: pytest.MonkeyPatch
    captured: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""

    @property
    def config(self) -> Path:
        return self.folder / "c.json"

    @property
    def path(self) -> Path:
        return self.folder / "users.db"

    def write(self, **settings: Any) -> None:
        """Write a config: a port with a list of users, in which one stands, and one of one user."""
        shared = {"server": "127.0.0.1", "server_port": 8388, "method": METHOD, "password": KEY}
        alone = {"server": "127.0.0.1", "server_port": 8389, "method": "aes-256-gcm", "password": "mVt5-kd93Qpz_0Lr2"}
        users = [{"name": "fay", "password": FAY, "quota": "5G"}]
        keys = {"store": "users.db", "servers": [{**shared, "users": users}, alone], **settings}
        self.config.write_text(json.dumps(keys, indent=1))

    def running(self, *stubs: Stub, closed: tuple[str, ...] = ()) -> None:
        """Let these services run."""
        self.patch.setattr("shadesocks.cli.users.live.find", found(*stubs, closed=closed))

    def call(self, *words: str) -> int:
        """Run `shadesocks user WORDS -c CONFIG` and keep what it said."""
        return self.bare(*words, "-c", str(self.config))

    def bare(self, *words: str) -> int:
        """Run `shadesocks user WORDS`."""
        code = run(group, "shadesocks", ["user", *words])
        self.out, self.err = self.captured.readouterr()
        return code

    def json(self, *words: str) -> Any:
        """Run a command that prints JSON, and return that."""
        assert self.call(*words, "--json") == 0, self.err
        return json.loads(self.out)

    def on_store(self, do: Callable[[SqliteStore], Any]) -> Any:
        """Do something with the store, as another process would."""
        store = SqliteStore(self.path)
        store.open()
        try:
            return do(store)
        finally:
            store.close()

    def roll(self) -> Roll:
        """Return who stands in the store."""
        roll: Roll = self.on_store(call_roll)
        return roll

    def user(self, name: str) -> UserConfig:
        """Return a user of the store."""
        return self.roll().users[name]

    def passed(self, *rows: Row, writer: str = "w", sequence: int = 1) -> None:
        """Let bytes have passed."""
        self.on_store(lambda store: store.write(Batch(writer, sequence, rows)))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    made = Site(tmp_path, monkeypatch, capsys)
    made.write()
    made.running()
    return made
