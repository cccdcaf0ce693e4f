"""The users of a store beside those of a configuration: each at the servers that are his, or with one of his own.

What a store says is an operator's word, as the file is, but it is not the file: one mistake in it leaves one user out,
with a warning, and keeps nobody else from being served.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..core.address import PORT_MAX
from ..core.errors import ConfigError, KeyTextError, Problem
from ..core.limits import FREE
from ..core.secret import Secret
from ..crypto.keys import parse_keys
from ..crypto.methods import Edition
from .hops import from_environment
from .hosts import UnfitError
from .manager import added_server
from .urls import is_url
from .user import UserConfig

if TYPE_CHECKING:
    from .findings import Findings
    from .model import Config, ServerConfig
    from .sections import Section

_BY_NUMBER: Final = "the store"
"""Where users stand who are called by the number of a port."""


def store_of(top: Section, base: str, environ: Mapping[str, str], findings: Findings) -> Secret | None:
    """Return the path or the URL of the store, None where there is none; a path of a file starts at that file."""
    text = top.value("store", findings)
    if not isinstance(text, str) or not text:
        return None
    entry = top.entries["store"]
    try:
        text = from_environment(text, environ)
    except UnfitError as unfit:
        findings.problem(entry.mark, entry.key, str(unfit))
        return None
    return Secret(text if is_url(text) or entry.mark.line is None else os.path.join(base, text))


def check_same(servers: Iterable[tuple[Section, ServerConfig | None]], findings: Findings) -> None:
    """Report a name that has one limit here and another one there: it is the same user everywhere."""
    known: dict[str, UserConfig] = {}
    for section, server in servers:
        for user in server.users or () if server is not None else ():
            other = known.setdefault(user.name, user)
            if user.limits is FREE or user.limits == other.limits:
                continue
            if other.limits is FREE:
                known[user.name] = user
                continue
            entry = section.entries["users"]
            text = (
                f"{user.name!r} has other limits at another server ({other.where}); a name is one user with one "
                "account: give the limits once, or choose another name"
            )
            findings.problem(entry.mark, entry.key, text)


def people_of(config: Config) -> dict[str, UserConfig]:
    """Return all users of a configuration by name, each as he stands where his limits are."""
    found: dict[str, UserConfig] = {}
    for server in config.servers:
        for user in server.users or ():
            if user.name not in found or found[user.name].limits is FREE:
                found[user.name] = user
    return found


def with_stored(config: Config, users: Sequence[UserConfig]) -> tuple[Config, list[Problem]]:
    """Return a configuration with the users of its store, and what is wrong with those who are left out.

    A user without a port is at every server that has a list of users; one with a port is at the server there, or has a
    server of his own, as a manager would add it. One who is called by the number of a port where nobody has a name, and
    has no password, is whoever has that port's. Where the file and the store know the same name, the file goes before.
    """
    known = {user.name: user for user in users}
    servers: list[ServerConfig] = [named(server, known) for server in config.servers]
    may_come = config.manager_listen is not None  # ports, by commands
    owned = {server.owner.name for server in servers if server.owner is not None and _is_by_number(server)}
    problems: list[Problem] = []
    people = people_of(config)
    added: dict[int, list[UserConfig]] = {}
    keys = [_Keys(server) for server in servers]
    shared = [place for place, server in enumerate(servers) if server.is_shared]
    by_port: dict[int, list[int]] = {}
    for place, server in enumerate(servers):
        by_port.setdefault(server.address.port, []).append(place)
    for user in users:
        if user.name in people:
            where = people[user.name].where or "the config"
            problems.append(_problem(user, f"stands in {where}, too, which goes before"))
            continue
        if not user.credentials and (user.name in owned or (may_come and _is_number(user.name))):
            continue
        places = shared if user.port is None else by_port.get(user.port)
        if not places:
            try:
                servers.append(_own_server(config, user))
                keys.append(_Keys(servers[-1]))
                by_port[servers[-1].address.port] = [len(servers) - 1]
            except ConfigError as error:
                problems += [_problem(user, problem.text) for problem in error.problems]
            continue
        for place in places:
            why = keys[place].refuse(user)
            if why:
                problems.append(_problem(user, why))
            else:
                added.setdefault(place, []).append(user)
    for place, more in added.items():
        servers[place] = replace(servers[place], users=(*(servers[place].users or ()), *more))
    return replace(config, servers=tuple(servers)), problems


def named(server: ServerConfig, known: Mapping[str, UserConfig]) -> ServerConfig:
    """Where there is a store whoever has the password of a port is called by its number, and has the limits that those
    who are known have under that name."""
    if not server.address.port or server.destinations or (server.users is not None and not _is_by_number(server)):
        return server
    name = str(server.address.port)
    user = replace(known.get(name, UserConfig(name)), credentials=(), port=None, where=_BY_NUMBER)
    return replace(server, users=(user,))


def unnamed(server: ServerConfig) -> ServerConfig:
    """Return what a server was before it was named by its number."""
    return replace(server, users=None) if _is_by_number(server) else server


def _is_by_number(server: ServerConfig) -> bool:
    return server.owner is not None and server.owner.where == _BY_NUMBER


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and 1 <= len(name) <= 5 and 0 < int(name) <= PORT_MAX and name[0] != "0"


def _own_server(config: Config, user: UserConfig) -> ServerConfig:
    """Return a server for one user; raises ConfigError."""
    if user.port is None:
        text = (
            "is at no server: none of the config has a list of users; give him a port of his own (--port), or one of "
            'the servers a list: "users": []'
        )
        raise ConfigError([_problem(user, text)])
    if not user.credentials:
        raise ConfigError([_problem(user, "has no password")])
    keys: dict[str, Any] = {"server_port": user.port, "password": user.credentials[0].password.reveal()}
    server, _ = added_server(config, keys)
    return replace(server, users=(replace(user, credentials=()),))


class _Keys:
    """The keys that are taken at a server."""

    def __init__(self, server: ServerConfig) -> None:
        self._server = server
        self._taken: set[bytes] = set()
        if server.method.edition is not Edition.PLAIN:
            self._taken.update(parse_keys(server.method, server.password.reveal()) if server.password else ())
            self._taken.update(each.key(server.method) for user in server.users or () for each in user.credentials)

    def refuse(self, user: UserConfig) -> str:
        """Return why a user cannot be at this server; take his keys if he can, and return nothing."""
        server = self._server
        if not server.is_shared:
            return f"the server at port {server.address.port} has no list of users, so only one can use it"
        if not user.credentials:
            return "has no password"
        try:
            found = [each.key(server.method) for each in user.credentials]
        except KeyTextError as error:
            if error.code == "several_keys":
                return "has two keys with a colon between as his password; the server's own does not stand before his"
            return f"{error}; make one with: shadesocks genkey -m {server.method.name}"
        if len({*found}) != len(found) or not self._taken.isdisjoint(found):
            return "has a key that is another one's; each needs keys of his own"
        self._taken.update(found)
        return ""


def _problem(user: UserConfig, text: str) -> Problem:
    return Problem("store", None, user.name, text)
