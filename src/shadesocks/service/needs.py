"""What a configuration needs before anything is bound: sockets' options, access lists, name servers, plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError, Problem
from .names import make_resolver
from .plugins.plugins import check_plugins
from .rules import AclShelf
from .sockets import check_sockets

if TYPE_CHECKING:
    from ..config.model import Config
    from ..net.resolve import Resolver


def prepare(config: Config) -> tuple[AclShelf, Resolver]:
    """Return what can be had without a socket; raises ConfigError with all that is missing."""
    problems: list[Problem] = []
    made: list[Any] = []
    for make in (check_sockets, AclShelf, make_resolver, check_plugins):
        try:
            made.append(make(config))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return made[1], made[2]
