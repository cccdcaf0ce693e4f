"""A server with a few users of every kind, a load on it that goes on whatever becomes of the server, and what it says.

Called by the tests of what survives: deaths, full disks.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag

from shadesocks.cli.running import find
from shadesocks.config.user import parse_user
from shadesocks.service.store.roll import write_user
from shadesocks.service.store.sqlite import SqliteStore
from tests.interop.streams import HOST
from tests.peers import PASSWORDS, PEERS, Program, start

from .crowd import LIMIT, eventually
from .herd import lasting_port
from .traffic import SURE_SIZES, Client, Member, Sums, Targets, key_of

METHOD: Final = "2022-blake3-aes-128-gcm"
USERS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"quota": "1T", "note": "third floor"},
    {"quota": {"size": 1 << 40, "window": "month", "day": 3}, "connections": 100},
    {"quota": {"size": 1 << 40, "window": "days"}, "expires": "2099-01-31", "sessions": 50},
    {"up_speed": "1G", "down_speed": "1G"},
    {},
)
"""The limits of each: none that hinders."""
OF_FILE: Final = 2
"""So many of them stand in the file, the others in the store."""

Stand = dict[str, tuple[int, int]]
"""Payload bytes up and down, by user."""


class Site:
    """A server with users that are kept."""

    def __init__(self, folder: Path, targets: Targets, workers: int, path: Path | None = None, **more: Any) -> None:
        """`path` is where the server finds the store, if that is not where it is made."""
        self.folder, self.targets, self.workers = folder, targets, workers
        self.path, self.control, self.file = folder / "users.db", folder / "run", folder / "c.json"
        self.control.mkdir()
        self.port = lasting_port()
        server, names = PASSWORDS[METHOD], [f"u{number}" for number in range(len(USERS))]
        self.members = [
            Member(number, name, METHOD, self.port, key_of(name, METHOD), server) for number, name in enumerate(names)
        ]
        entries = [
            {"name": member.name, "password": member.password, **USERS[member.number]} for member in self.members
        ]
        at = {"server": HOST, "server_port": self.port, "method": METHOD, "password": server, "mode": "tcp_and_udp"}
        config = {
            "servers": [{**at, "users": entries[:OF_FILE]}],
            "allow_private": True,
            "store": str(path or self.path),
            "workers": workers,
            "control": f"{self.control}/",
            "handshake_timeout": 2,
            **more,
        }
        self.file.write_text(json.dumps(config))
        store = SqliteStore(self.path)
        store.open()
        for entry in entries[OF_FILE:]:
            write_user(store, parse_user(entry["name"], {**entry, "port": self.port}))
        self.definitions = {user.name: user.definition for user in store.users()}
        store.close()

    @property
    def command(self) -> tuple[str, ...]:
        return (*PEERS["ours"].server, "-c", str(self.file))

    @contextlib.contextmanager
    def serve(self, command: Sequence[str] = ()) -> Iterator[Program]:
        """Run it until the block ends; another `command` has it run as well."""
        with start(command or self.command, self.port, self.folder, udp=True) as program:
            eventually(lambda: len(self.ask("about")) == self.workers, "its control sockets are there")
            yield program

    def ask(self, what: str) -> list[dict[str, Any]]:
        """Return what each process says."""
        services = find(str(self.control)).services
        for service in services:
            service.sock.settimeout(LIMIT)
        try:
            return [service.ask(what) for service in services]
        finally:
            for service in services:
                service.close()

    def told(self) -> Stand:
        """Return what a server says that the store has, while nothing passes; see that nothing else was lost."""
        rows = self._rows()
        assert list(rows) == [member.name for member in self.members]
        for member in self.members:
            row, limits = rows[member.name], USERS[member.number]
            assert row["refused"] is None
            assert row["note"] == limits.get("note", "")
            if "quota" in limits:
                assert row["quota"] == 1 << 40
                assert row["used"] == row["up"] + row["down"]
        return self.stored()

    def stored(self) -> Stand:
        """Return what a server says that the store has."""
        return {name: (row["up"], row["down"]) for name, row in self._rows().items()}

    def _rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in self.ask("users")[0]["users"]}

    def counted(self) -> Stand:
        """Return what the targets counted."""
        return {member.name: self.targets.sums.of(member.number) for member in self.members}

    def look(self) -> Stand:
        """Return what the store has, from its file; see that nothing else was lost."""
        store = SqliteStore(self.path)
        store.open()
        users = store.users()
        store.close()
        assert not store.notes
        kept = {user.name: user.definition for user in users if user.definition}
        assert kept == {name: text for name, text in self.definitions.items() if text}
        assert [each.name for each in self.folder.glob("users.db.corrupt*")] == []
        return {user.name: (user.counts.up, user.counts.down) for user in users}


class Load:
    """A client for each user, who goes on whatever becomes of the server."""

    def __init__(self, site: Site, seed: int) -> None:
        self._over = threading.Event()
        self._clients = [
            Client(member, site.targets, random.Random(f"{seed} {member.number}"), Sums(), SURE_SIZES, 0.5)  # noqa: S311
            for member in site.members
        ]
        self._threads = [threading.Thread(target=self._live, args=(client,)) for client in self._clients]
        self.trips = 0
        """Connections and sessions that went as they should."""
        self.failures: list[str] = []

    def _live(self, client: Client) -> None:
        while not self._over.is_set():
            try:
                client.live(1, is_clean=False)
                self.trips += 1
            except (OSError, EOFError, InvalidTag) as error:
                self.failures.append(repr(error))
                self._over.wait(0.01)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
