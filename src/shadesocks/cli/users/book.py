"""Where users stand, for the commands that manage them: a store, a config, or both.

The store is the one that is named, else the config's. It is opened in this process, beside a server that uses it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ...config.user import Credential, name_shown
from ..exits import CONFIG, Failed, tell
from .owner import hand_over

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...config.model import Config, ServerConfig
    from ...config.user import UserConfig
    from ...core.errors import Problem
    from ...service.store.roll import Roll
    from ...service.store.store import Store

Function = TypeVar("Function", bound=Callable[..., Any])


def place_options(function: Function) -> Function:
    """Give a command the options that say where users stand: `file`, `store`."""
    for option in (
        click.option("--store", metavar="FILE", help="The store, in the place of the config's."),
        click.option("-c", "--config", "file", metavar="FILE", help="The config that names the store."),
    ):
        function = option(function)
    return function


@dataclass(slots=True)
class Book:
    """What is known of users."""

    file: str | None
    """The config."""
    config: Config | None
    path: str
    """Of the store; empty where there is none."""
    in_file: dict[str, UserConfig] = field(default_factory=dict)
    """Users of the config."""
    by_number: dict[str, UserConfig] = field(default_factory=dict)
    """Whoever has the password of a port where nobody has a name, and is called by its number."""
    store: Store | None = None
    """Open, while somebody uses it; None where there is none yet."""

    @property
    def named(self) -> str:
        """What messages call the store."""
        from ...service.store.naming import name_of

        return name_of(self.path)

    @property
    def ready(self) -> Store:
        """The store, for whoever changes it."""
        assert self.store is not None, "it was opened to be changed"
        return self.store

    def servers(self, users: Iterable[UserConfig]) -> tuple[ServerConfig, ...]:
        """Return the servers of the config with these users at theirs; none without a config."""
        return self._with(users)[0]

    def problems(self, users: Iterable[UserConfig]) -> list[Problem]:
        """Return what keeps some of these from being served; their names are the keys."""
        return self._with(users)[1]

    def _with(self, users: Iterable[UserConfig]) -> tuple[tuple[ServerConfig, ...], list[Problem]]:
        from ...config.stored import with_stored

        if self.config is None:
            return (), []
        if not self.path:
            return self.config.servers, []
        config, problems = with_stored(self.config, [user for user in users if user.name not in self.in_file])
        return config.servers, problems

    def alone(self, user: UserConfig) -> str:
        """Say what a user cannot have who is the only one at a port; nothing where he has no such thing, or is not."""
        if len(user.credentials) < 2 and all(each == Credential(each.password) for each in user.credentials):
            return ""
        if all(server.owner is None or server.owner.name != user.name for server in self.servers([user])):
            return ""
        return "has a port of his own, and so one password, valid for good: give it with --password, or --rotate 0"

    def roll(self) -> Roll:
        """Return who stands in the store; nobody where there is none. Definitions that cannot be read are told."""
        from ...service.store.roll import call_roll, roll_of

        roll = roll_of(()) if self.store is None else call_roll(self.store)
        for name, fault in roll.faults.items():
            tell(f"warning: {self.named}: {name_shown(name)}: {fault}")
        return roll


_NO_STORE: Final = (
    'names no store, so its users cannot be changed here; add "store": "users.db" to it, or name one with --store FILE'
)


@contextmanager
def opened(file: str | None, store: str | None, *, change: bool = False, new: bool = False) -> Iterator[Book]:
    """Find the users, open their store, and close it in the end.

    To `change` it, it is made where there is none; one that was named on the command line, by what makes `new` users.

    Raises:
        click.UsageError: nothing is named, and no config was found.
        Failed: there is no store.
        ConfigError: the config cannot be read.
        StoreError: the store cannot be used.
    """
    book = _find(file, store)
    if change and not book.path:
        raise Failed(f"{book.file} {_NO_STORE}", CONFIG)
    if not new and not _is_there(book.path):
        if store is not None:
            raise Failed(f"there is no store at {store}; `shadesocks user add --store {store} NAME` makes one", CONFIG)
        if not change:
            yield book
            return
    from ...config.urls import is_url
    from ...service.store.choose import open_store

    made = open_store(book.path)
    made.open()
    try:
        book.store = made
        yield book
    finally:
        for note in made.notes:
            tell(f"warning: {note}")
        book.store = None
        made.close()
        if change and not is_url(book.path):
            hand_over(book.path, None if book.config is None else book.config.user)


def store_of(file: str | None, store: str | None) -> str:
    """Return the path or the URL of the store; empty where there is none. Raises as `opened` does."""
    return _find(file, store).path


def _is_there(path: str) -> bool:
    from ...config.urls import is_url

    return bool(path) and (is_url(path) or os.path.lexists(path))


def _find(file: str | None, store: str | None) -> Book:
    from ...config.stored import people_of, with_stored

    if file is None and store is not None:
        return Book(None, None, store)
    if file is None:
        from ...config.files import find_config

        found = find_config("server")
        if found is None:
            raise click.UsageError("no store is named, and no config was found; give --store FILE or -c FILE")
        file = str(found)
    config = _read(file)
    path = store if store is not None else config.store.reveal() if config.store is not None else ""
    book = Book(file, config, path, people_of(config))
    if path:
        everybody = people_of(with_stored(config, ())[0])
        book.by_number = {name: user for name, user in everybody.items() if name not in book.in_file}
    return book


def _read(file: str) -> Config:
    from ...config.load import load
    from ...wire.uri import parse_link
    from ..source import Source

    source = Source(file)
    old = {"allow_legacy": "true"}  # nothing is started here
    return load(source.take(), where=file, read_link=parse_link, fallbacks=old, base=source.base, starts=False)
