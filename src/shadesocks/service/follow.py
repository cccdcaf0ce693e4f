"""What of a changed configuration a running service goes by, and what of it needs a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

from ..config.model import Config
from ..core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from ..config.model import ServerConfig

_FOLLOWED: Final = frozenset(("servers", "online", "template", "warnings", "allow_none", "allow_legacy"))
_OF_EACH_SERVER: Final = frozenset(("handshake_timeout", "dial_timeout", "outbound", "acl"))
"""Every server has them itself. A client goes by them where it has no server: at its own ports, and straight ways."""
_BY_ROLE: Final = {
    "server": frozenset((*_FOLLOWED, *_OF_EACH_SERVER, "locals")),
    "local": _FOLLOWED,
}
"""The fields that are followed; all others need a restart."""


def follow(before: Config, after: Config, role: str) -> tuple[Config, list[str]]:
    """Return the configuration to go by, and the fields of `after` that it has not got."""
    kept = [field.name for field in fields(Config) if field.name not in _BY_ROLE[role]]
    changed = [name for name in kept if getattr(after, name) != getattr(before, name)]
    return replace(after, **{name: getattr(before, name) for name in kept}), changed


def usable(
    servers: Iterable[ServerConfig], known: Iterable[ServerConfig], check: Callable[[ServerConfig], None]
) -> tuple[list[ServerConfig], tuple[Problem, ...]]:
    """Return those that are known or pass a check, and what is wrong with the others; the check raises ConfigError."""
    known = set(known)
    good: list[ServerConfig] = []
    problems: list[Problem] = []
    for server in servers:
        try:
            if server not in known:
                check(server)
        except ConfigError as error:
            problems += error.problems
        else:
            good.append(server)
    return good, tuple(problems)
