"""What a configuration needs before anything is bound: sockets' options, access lists, name servers, plugins."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError, Problem
from .names import make_resolver
from .plugins.plugins import check_plugins
from .rules import AclShelf
from .sockets import check_sockets

if TYPE_CHECKING:
    from ..config.model import Config
    from ..net.resolve import Resolver


def check_metrics(config: Config) -> None:
    """See that counters can be told.

    Raises:
        ConfigError: the library for that is not installed.
    """
    if config.metrics is not None and find_spec("prometheus_client") is None:
        text = "counters are told through prometheus-client, which is not installed; pip install 'shadesocks[metrics]'"
        raise ConfigError([Problem("config", None, "metrics", text)])


def prepare(config: Config) -> tuple[AclShelf, Resolver]:
    """Return what can be had without a socket; raises ConfigError with all that is missing."""
    problems: list[Problem] = []
    made: list[Any] = []
    for make in (check_sockets, AclShelf, make_resolver, check_plugins, check_metrics):
        try:
            made.append(make(config))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return made[1], made[2]
