"""What of a changed configuration a running service goes by, and what of it needs a restart."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

from ..config.model import Config
from ..core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from ..config.model import ServerConfig

_FOLLOWED: Final = frozenset(("servers", "online", "template", "warnings", "allow_none", "allow_legacy"))
"""The fields that both ends follow."""


def follow(before: Config, after: Config, also: Collection[str] = ()) -> tuple[Config, list[str]]:
    """Return the configuration to go by, and the fields of `after` that it has not got.

    `also` has the fields that one end follows beside those of both; all others need a restart.
    """
    kept = [field.name for field in fields(Config) if field.name not in _FOLLOWED and field.name not in also]
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
