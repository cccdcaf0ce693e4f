"""The servers that run on a store, as the commands that manage users see them: asked for what lives, and to serve anew.

A change is written to the store first. Then whoever serves from it is asked to read it again, as by SIGHUP, so that
there is one way for every change. Where nobody runs, nobody is asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ...proxy.users.counts import Counts
from ...wire.control import NOT_FOUND, ControlError
from ..asking import Report, ask, called, one_of_each
from ..exits import tell
from ..overview import RELOAD_LIMIT
from ..running import MISFIT, NOT_UNDERSTOOD, Found, Running, SilentError, find, shown

if TYPE_CHECKING:
    from ...config.user import UserConfig
    from .book import Book

_SHOWN: Final = 5
"""Names that a sentence has at most."""
_LIVE: Final = ("connections", "sessions", "sources")
"""What a row has, beside `name`, `refused` and `used`, or it is of a version that we do not know."""
_SUMMED: Final = ("connections", "sessions")
"""Of a user in several workers: together. What else a row has, all of them know."""


class Live:
    """Those that serve from a store, or a config."""

    def __init__(self, found: Found, book: Book) -> None:
        self.services: Final = [service for service in found.services if _serves(service, book)]
        self.closed: Final = found.closed

    def rows(self, name: str | None = None) -> dict[str, dict[str, Any]]:
        """Return what lives of each user, or of one, by name; of several processes together."""
        rows: dict[str, dict[str, Any]] = {}
        args = {} if name is None else {"name": name}
        for service in self.services:
            if "users" not in service.words:
                continue
            answer = _ask(service, args)
            for row in [] if answer is None else answer["users"]:
                known = rows.get(row["name"])
                if known is None:
                    rows[row["name"]] = dict(row)
                else:
                    known |= {word: known[word] + row[word] for word in _SUMMED}
                    known |= {word: max(known[word] or 0, row[word] or 0) for word in ("sources", "used")}
                    known["refused"] = known["refused"] or row["refused"]
        return rows

    def reload(self) -> bool:
        """Let them serve what the store says now; False where one does not, which is told."""
        good = True
        for service in one_of_each(self.services):
            if "reload" not in service.words:
                tell(f"warning: {called(service)} cannot read its config again: the change is served after a restart")
                good = False
                continue
            service.sock.settimeout(RELOAD_LIMIT)
            answer = ask(service, "reload")
            if answer is None:
                tell(f"warning: {called(service)} has the change not yet; try: shadesocks reload")
                good = False
                continue
            problems = answer.get("problems")
            for problem in problems if isinstance(problems, list) else ():
                tell(f"warning: {called(service)}: {shown(problem)}")
            if answer.get("applied") is not True:
                tell(f"error: {called(service)} refused to reload: it serves as before; the store has the change")
                good = False
        self.tell_closed()
        return good

    def serve(self, users: Iterable[UserConfig]) -> bool:
        """Do the same, and see that these users are served then; false where one is not, which is told."""
        if not self.reload():
            return False
        names = [user.name for user in users if user.credentials]  # of others a port may not be there yet
        lacking = []
        for service in one_of_each(self.services) if names else ():
            answer = _ask(service, {"name": names[0]} if len(names) == 1 else {}) if "users" in service.words else None
            if answer is not None:
                served = {row["name"] for row in answer["users"]}
                lacking += [name for name in names if name not in served]
        if lacking:
            more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
            who = ", ".join(map(shown, lacking[:_SHOWN]))
            tell(f"warning: the server that runs leaves out {who}{more}; its log says why")
        return not lacking

    def tell_closed(self) -> None:
        """Say that what runs here could not be asked, where that may matter."""
        if not self.services and self.closed:
            places = ", ".join(map(shown, self.closed))
            tell(
                f"note: what runs here is another user's ({places}); if it has this store, ask as that user, or as root"
            )


def _ask(service: Running, args: dict[str, Any]) -> Report | None:
    """Ask for all users, or one; that it does not know one, who may be new, is nothing to tell."""
    try:
        answer: Report = service.ask("users", **args)
    except ControlError as error:
        if error.code == NOT_FOUND:
            return {"users": []}
        tell(f"warning: {called(service)}: {error}")
        return None
    except SilentError as error:
        tell(f"warning: {called(service)}: {error}")
        return None
    try:
        return {"users": [_row(row) for row in answer["users"]]}
    except MISFIT:
        tell(f"warning: {called(service)}: {NOT_UNDERSTOOD}")
        return None


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a user, each of its own kind: whoever answers may be anybody's program."""
    refused, used = row["refused"], row["used"]
    return {
        **row,
        "name": str(row["name"]),
        "refused": None if refused is None else str(refused),
        "used": None if used is None else int(used),
        **{word: int(row[word]) for word in _LIVE},
        **{word: int(row.get(word) or 0) for word in Counts._fields},
    }


@contextmanager
def living(book: Book, path: str | None) -> Iterator[Live]:
    """Find those that serve, at a path, where the config has its socket, or in the usual places; hang up in the end."""
    found = find(path or (book.config and book.config.control) or None)
    try:
        for sentence in found.silent:
            tell(f"warning: {sentence}")
        yield Live(found, book)
    finally:
        found.close()


def _serves(service: Running, book: Book) -> bool:
    """Whether a service has this store, or this config: its own store may be new in it."""
    if service.role != "server":
        return False
    if service.store and book.path and same_place(service.store, book.path):
        return True
    if book.file is None or not service.config:
        return False
    return same_place(os.path.join(_folder(service.pid), service.config), book.file)


def same_place(one: str, other: str) -> bool:
    """Whether two paths, or URLs, are of the same thing."""
    from ...service.store.naming import name_of

    return name_of(one) == name_of(other)


def _folder(pid: int) -> str:
    """Return where the relative paths of a process start, as far as the system says."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""
