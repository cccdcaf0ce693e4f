"""The old programs as peers: those of `tests/ancestors.py`, each in the methods that it shares with the load.

shadowsocks-libev stands in `systems.py`: it speaks the newer methods as well.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.ancestors import ANCESTORS, Ancestor, missing, settings_for

from .old_wire import OLD

if TYPE_CHECKING:
    from .wire import Account

RACED: Final = ("python", "go-1.1.5", "go-1.2.2", "procurator", "lite", "node")
EFFORT: Final = 1 / 4
"""Their share of the usual bulk: the slowest need ten seconds of their core for a gigabyte."""


def methods(name: str) -> frozenset[str]:
    return frozenset(OLD) & frozenset(ANCESTORS[name].methods)


def version(name: str) -> str | None:
    """Which version of it is here and answers as that one, or None."""
    ancestor = ANCESTORS[name]
    if missing(name) is not None or any(shutil.which(tool) is None for tool in ancestor.tools):
        return None
    return ancestor.version


def command(name: str, directory: Path, port: int, account: Account) -> list[str]:
    """Write its configuration as a server, and return what to execute."""
    return with_settings(name, directory, _settings(ANCESTORS[name], port, account))


def command_of_ports(name: str, directory: Path, passwords: dict[int, str], method: str) -> list[str]:
    """The same with many ports of one method, each with a password of its own: `port_password`."""
    ancestor = ANCESTORS[name]
    settings = settings_for(ancestor, "server", method, min(passwords), 0)
    del settings["server_port"]
    if name != "node":  # which asks for one, and then says that it does not need it
        del settings["password"]
    settings["port_password"] = {str(port): password for port, password in passwords.items()}
    # The name of its file is made of these.
    return with_settings(name, directory, settings | {"server_port": min(passwords), "local_port": 1})


def with_settings(name: str, directory: Path, settings: dict[str, Any]) -> list[str]:
    ancestor = ANCESTORS[name]
    return list(ancestor.command(ancestor, "server", settings, directory, ()))


def _settings(ancestor: Ancestor, port: int, account: Account) -> dict[str, Any]:
    return settings_for(ancestor, "server", account.method.name, port, 0) | {"password": account.password}
