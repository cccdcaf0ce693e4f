"""The access lists of a configuration, and the judges made from them and from the keys beside them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING

from ..core.errors import ConfigError, Problem
from ..core.networks import NetworkSet, parse_network
from ..net.origin import OriginPolicy

if TYPE_CHECKING:
    from ..config.model import Config
    from ..proxy.acl import Acl
    from ..proxy.targets import TargetRules

    TargetJudge = OriginPolicy | TargetRules
    """What judges the targets of a server."""


class AclShelf:
    """Every access list that a configuration names, read once each."""

    def __init__(self, config: Config) -> None:
        """Read them all.

        Raises:
            ConfigError: with every problem of every file.
        """
        self._acls: dict[str, Acl] = {}
        self._dialect = config.acl_dialect
        problems: list[Problem] = []
        for path in dict.fromkeys(_paths(config)):
            try:
                self.fetch(path)
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)

    def fetch(self, path: str | None) -> None:
        """Read a list that is not here yet.

        Raises:
            ConfigError: with every problem of it.
        """
        if path is not None and path not in self._acls:
            self._acls[path] = read_acl(path, self._dialect)

    def take(self, fresh: AclShelf) -> tuple[str, ...]:
        """Let the lists be what another shelf has read since; return the files that say something else now.

        Whoever goes by a list goes by what it says now.
        """
        self._dialect = fresh._dialect
        changed = []
        for path, acl in fresh._acls.items():
            mine = self._acls.setdefault(path, acl)
            if not mine.says_as(acl):
                mine.become(acl)
                changed.append(path)
        return tuple(changed)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What was passed over in the files."""
        return tuple(warning for acl in self._acls.values() for warning in acl.warnings)

    def at(self, path: str | None) -> Acl | None:
        """Return the list in a file, None where there is no path."""
        return None if path is None else self._acls[path]


async def read_shelf(config: Config) -> AclShelf:
    """Read them while others are served: in a thread, for a list of ten thousand rules takes 0.1 s.

    Raises:
        ConfigError: with every problem of every file.
    """
    if any(True for _ in _paths(config)):
        return await asyncio.to_thread(AclShelf, config)
    return AclShelf(config)


def _paths(config: Config) -> Iterator[str]:
    for server in config.servers:
        if server.acl is not None:
            yield server.acl
    for local in config.locals:
        if local.acl is not None:
            yield local.acl


def files_of(config: Config) -> tuple[str, ...]:
    """Return the files that a configuration stands in: its own, if it has one, and those of its access lists."""
    own = (config.where,) if os.path.isfile(config.where) else ()
    return (*own, *dict.fromkeys(_paths(config)))


def read_acl(path: str, dialect: str) -> Acl:
    """Read one access list.

    Raises:
        ConfigError: it cannot be read, or it has mistakes: all of them, with their lines.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError([Problem(path, None, "acl", f"this access list cannot be read: {error.strerror}")]) from None
    from ..proxy.acl_file import parse_acl  # 1 MiB, for whoever has some

    return parse_acl(text, path, "libev" if dialect == "libev" else "rust")


def origin_policy(config: Config, own_ports: Container[int]) -> OriginPolicy:
    """What a server may dial where no access list speaks: the safe default, or what stands in its place."""
    forbidden = None
    if config.forbidden_ip is not None:
        forbidden = NetworkSet(map(parse_network, config.forbidden_ip))
    return OriginPolicy(allow_private=config.allow_private, forbidden=forbidden, own_ports=own_ports)


def has_rules(config: Config, acl: Acl | None) -> bool:
    """True where the operator said what may be dialled."""
    return acl is not None or bool(config.forbidden_port) or config.forbidden_ip is not None


def target_judge(config: Config, origin: OriginPolicy, acl: Acl | None) -> TargetJudge:
    """The judge of what one server dials."""
    if acl is None and not config.forbidden_port:
        return origin
    from ..proxy.targets import TargetRules

    return TargetRules(origin, acl, config.forbidden_port)
