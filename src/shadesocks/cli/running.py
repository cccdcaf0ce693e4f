"""Services that run on this machine: where their control sockets are, and what they say to a command.

find() -> Running for each live one -> ask("servers") ...
"""

from __future__ import annotations

import errno
import glob
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import ShadesocksError
from ..service.control.socket import ENDING, connect, directories
from ..wire.control import SYNTAX, ControlError, Lines, Request, pack_request, parse_answer

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

LIMIT: Final = 5.0
"""Seconds that a service may take for an answer: one that is busy, or stopped by a debugger."""
ANSWER_LIMIT: Final = 30.0
"""Seconds until all of an answer is there, at least: who sends a byte now and then holds up nobody for long."""
ANSWER_MAX: Final = 64 * 1024 * 1024
"""Bytes of an answer: tens of thousands of rows."""
_OF_ALL: Final = ("/run/shadesocks-*", "/run/user/*/shadesocks")
"""Where services of the system's and of other users have their sockets: root may look, and others where they may."""


MISFIT: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What comes of an answer that has another form than it should: of another version, or of whoever made a socket where
root looks."""
NOT_UNDERSTOOD: Final = "its answer is not understood; its version is another one's"


class SilentError(ShadesocksError):
    """A service does not answer, or nothing that is understood; a sentence."""

    code = "silent"


@dataclass(slots=True)
class Running:
    """One service that runs, and the talk with it."""

    path: str
    sock: socket.socket
    role: str = ""
    pid: int = 0
    config: str = ""
    words: frozenset[str] = frozenset()
    """What it can be asked."""
    master: int | None = None
    """The process whose worker it is; None: it is alone."""
    store: str = ""
    """Where its users are kept; empty: nowhere."""
    _lines: Lines = field(default_factory=lambda: Lines(ANSWER_MAX))
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def introduce(self) -> None:
        """Ask it what it is; raises as `ask`."""
        about = self.ask("about")
        try:
            self.role, self.config = shown(about["role"]), shown(about["config"])
            self.pid, self.words = int(about["pid"]), frozenset(map(str, about["commands"]))
            self.master = int(about["master"]) if about.get("master") else None
            self.store = str(about.get("store") or "")
        except MISFIT:
            raise SilentError(f"{self.path}: what listens there is no service of ours") from None

    def ask(self, do: str, **args: Any) -> Any:
        """Let a service do something, and return what came of it.

        Raises:
            ControlError: it did not do it.
            SilentError: it did not answer.
        """
        until = time.monotonic() + max(ANSWER_LIMIT, self.sock.gettimeout() or 0.0)
        try:
            with suppress(BrokenPipeError):  # who is not heard is told why before he speaks
                self.sock.sendall(pack_request(Request(do, args, next(self._numbers))))
            while data := self.sock.recv(64 * 1024):
                if time.monotonic() > until:
                    raise SilentError(f"{self.path}: its answer has no end")
                for line in self._lines.feed(data):
                    return parse_answer(line)
            raise ConnectionResetError
        except TimeoutError:
            raise SilentError(f"{self.path}: no answer within {LIMIT:g} seconds") from None
        except ConnectionError:
            raise SilentError(f"{self.path}: the service has ended") from None
        except OSError as error:
            raise SilentError(f"{self.path}: {error.strerror or error}") from None
        except ControlError as error:
            if error.code == SYNTAX:
                raise SilentError(f"{self.path}: {error}") from None
            raise ControlError(error.code, shown(str(error)), error.id) from None

    def close(self) -> None:
        """Hang up."""
        self.sock.close()


@dataclass(slots=True)
class Found:
    """What runs, and what was seen of more."""

    services: list[Running] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    """Sockets of other users."""
    silent: list[str] = field(default_factory=list)
    """What others said, or did not."""

    def close(self) -> None:
        """Hang up everywhere."""
        for service in self.services:
            service.close()


def find(path: str | None = None) -> Found:
    """Return the services whose sockets can be opened: the one at a path, or its workers, all in a directory, or all in
    the usual ones."""
    found = Found()
    for place in _sockets(path):
        try:
            service = Running(place, connect(place, LIMIT))
        except PermissionError:
            found.closed.append(shown(place))
            continue
        except (ConnectionRefusedError, FileNotFoundError):
            continue  # of a process that died, or is about to
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:  # a manager's, which is one of datagrams
                found.silent.append(shown(f"{place}: {error.strerror or error}"))
            continue
        try:
            service.introduce()
        except (SilentError, ControlError) as error:
            service.close()
            found.silent.append(shown(error))
        else:
            found.services.append(service)
    return found


def ask_for(service: Running, member: str, do: str, **args: Any) -> Any:
    """Let a service do something, and return one member of the result; raises as `Running.ask`."""
    answer = service.ask(do, **args)
    try:
        return answer[member]
    except MISFIT:
        raise SilentError(f"{service.path}: {NOT_UNDERSTOOD}") from None


def _sockets(path: str | None) -> list[str]:
    if path is not None and not os.path.isdir(path):
        return [path, *_of_workers(path)]
    folders = [path] if path is not None else [*directories(), *_others()]
    places = dict[str, None]()
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        # One place may have two names: systemd has /run/x for /run/private/x.
        places.update({os.path.realpath(os.path.join(folder, name)): None for name in names if name.endswith(ENDING)})
    return list(places)


def _of_workers(path: str) -> list[str]:
    """Return the sockets of workers whose config has this path: each has its number in the name."""
    root, ending = os.path.splitext(path)
    number = re.compile(re.escape(root) + r"-[0-9]+" + re.escape(ending))
    return sorted(
        place for place in glob.glob(f"{glob.escape(root)}-*{glob.escape(ending)}") if number.fullmatch(place)
    )


def shown(value: Any) -> str:
    """Return a text that others chose, for a terminal: no command for that is in it."""
    return "" if value is None else "".join(char if char.isprintable() else "?" for char in str(value))


def _others() -> list[str]:
    return [folder for pattern in _OF_ALL for folder in sorted(glob.glob(pattern))]
