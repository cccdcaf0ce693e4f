"""The ports that a manager's commands added, on disk: `manager_keep`.

    {"format": 1, "ports": [{"server_port": 8001, "password": "..", "method": ".."}, ...]}

The file is a list of `add` commands as they were said, and what is said in the config counts for them at the next start
as it did at the first. It is written within a second after a command, whole and in one step, for its owner alone. One
that cannot be read is set aside, never deleted; while it cannot be written the manager goes on, and tries again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ...config.files import is_planted, write_private
from ...core.errors import ConfigError, RemoteProtocolError
from ...wire.manager.command import Command, parse_command

log = logging.getLogger(__name__)

FORMAT: Final = 1
DELAY: Final = 1.0
"""Seconds in which commands gather: a tool that adds 2,000 ports writes 2,000 lines, not 2,000 files."""
RETRY: Final = 30.0
"""Seconds until a file that could not be written is tried again."""


class KeptPorts:
    """The file, and what is to stand in it."""

    def __init__(self, path: str) -> None:
        """Touch nothing yet."""
        self.path: Final = Path(path)
        self._ports: Final[dict[int, dict[str, Any]]] = {}
        self._is_behind = False
        """True while the file does not say what is to stand in it."""
        self._writing: asyncio.Task[None] | None = None
        """Writes, until it does."""
        self._closes: Final = asyncio.Event()
        self._is_told = False
        """True once it was said that the file cannot be written."""

    def read(self) -> list[Command]:
        """Return the commands that were kept; one that makes no sense is left out, and said."""
        if is_planted(self.path):
            log.error("manager_keep: %s is another user's, where everybody may make files", self.path)
            self._set_aside()
            return []
        try:
            data = self.path.read_bytes()
            content = json.loads(data)
        except FileNotFoundError:
            return []
        except OSError as error:
            log.error("manager_keep: %s cannot be read, so no port is added: %s", self.path, error.strerror)
            return []
        except (ValueError, RecursionError):
            content = None
        entries = content.get("ports") if isinstance(content, dict) and content.get("format") == FORMAT else None
        if not isinstance(entries, list):
            self._set_aside()
            return []
        commands = [command for entry in entries if (command := _command(entry)) is not None]
        for command in commands:
            self._ports[command.port or 0] = command.members
        if len(commands) < len(entries):
            log.error("manager_keep: %d ports in %s make no sense", len(entries) - len(commands), self.path)
            self._set_aside()
            self._write_soon()
        return commands

    def _set_aside(self) -> None:
        aside = self.path.with_name(f"{self.path.name}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
        try:
            self.path.rename(aside)
        except OSError as error:
            log.error("manager_keep: %s cannot be used, nor be set aside: %s", self.path, error.strerror)
        else:
            log.error("manager_keep: %s cannot be used; it is now %s", self.path, aside.name)

    def add(self, command: Command) -> None:
        """Keep a port."""
        entry = command.members
        if self._ports.get(command.port or 0) != entry:
            self._ports[command.port or 0] = entry
            self._write_soon()

    def remove(self, port: int) -> None:
        """Keep a port no longer."""
        if self._ports.pop(port, None) is not None:
            self._write_soon()

    def _write_soon(self) -> None:
        self._is_behind = True
        if self._writing is None:
            with suppress(RuntimeError):  # no loop: a master reads what its workers write
                self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        """Write what has changed, in a thread: a disk that is busy takes seconds to be sure of a file."""
        delay = DELAY
        while self._is_behind:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closes.wait(), delay)
            self._is_behind = False
            try:
                await asyncio.to_thread(write_private, self.path, self._text())
            except ConfigError as error:
                if not self._is_told:
                    self._is_told = True
                    log.error("manager_keep: added ports are not kept: %s", error)
                if self._closes.is_set():
                    break
                self._is_behind, delay = True, RETRY
            else:
                self._is_told, delay = False, DELAY
        self._writing = None

    def _text(self) -> str:
        lines = ",\n".join(json.dumps(entry) for entry in self._ports.values())
        return f'{{"format": {FORMAT}, "ports": [\n{lines}\n]}}\n'

    async def close(self) -> None:
        """Write what is not written yet, for the last time."""
        self._closes.set()
        if self._writing is not None:
            await self._writing


class PassedOn(KeptPorts):
    """The file as one worker after another has it: what is to stand in it is known, and written where it does not."""

    def __init__(self, path: str, ports: Mapping[int, Mapping[str, Any]]) -> None:
        """Take what is to stand in it, by port: the members of `add` commands."""
        super().__init__(path)
        self._ports.update({port: dict(members) for port, members in ports.items()})

    def read(self) -> list[Command]:
        """Add nothing: all workers serve it."""
        try:
            is_there = self.path.read_bytes() == self._text().encode()
        except OSError:
            is_there = not self._ports
        if not is_there:
            self._write_soon()
        return []


def beside(commands: Iterable[Command], taken: Container[int | None]) -> Iterator[Command]:
    """Yield those whose port the config does not take: it goes before. Who is passed over is told, and the sum."""
    count = 0
    for command in commands:
        if command.port in taken:
            log.info("manager: port %d is in the config, so the one that was kept is not added", command.port)
            continue
        count += 1
        yield command
    if count:
        log.info("manager: %d ports were kept, and added again", count)


def _command(entry: object) -> Command | None:
    """Return the command that an entry says: by the one parser of commands."""
    try:
        return parse_command(b"add:" + json.dumps(entry).encode())
    except RemoteProtocolError:
        return None
