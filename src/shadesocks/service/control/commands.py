"""What may be asked of a running service over its control socket: the tables of commands, one for each end.

A handler gets the arguments as they came, unjudged, and returns what JSON can hold. Keys and passwords are in no
answer, and targets only where the configuration says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ...wire.control import ARGUMENTS, NOT_FOUND, ControlError
from ..sessions import Numbers
from ..store.naming import name_of
from . import live, users

if TYPE_CHECKING:
    from ..ports import OpenPort, Ports
    from ..service import Service
    from ..shared import Shared
    from .socket import Commands

Args = Mapping[str, Any]
Handle = Callable[["Asked", Args], Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """The service that is asked."""

    service: Service
    shared: Shared
    ports: Ports
    numbers: Numbers
    """By which its sessions are called."""


def commands_of(service: Service, shared: Shared, ports: Ports) -> Commands:
    """Return what may be asked of a started service."""
    ports.numbers = ports.numbers or Numbers()
    asked = Asked(service, shared, ports, ports.numbers)
    return {word: partial(handle, asked) for word, handle in _table(service).items()}


def _table(service: Service) -> dict[str, Handle]:
    words = dict(_TABLES[service.role])
    if service.reread is None:  # an embedding program, or a service without a file
        del words["reload"]
    return words


def _about(asked: Asked, _args: Args) -> dict[str, Any]:
    service = asked.service
    about = {"role": service.role, "pid": os.getpid(), "config": service.config.where}
    if asked.shared.siblings is not None:
        about["master"] = os.getppid()
    if service.config.store is not None:
        about["store"] = name_of(service.config.store.reveal())
    return {**about, "commands": list(_table(service))}


# -- a client --------------------------------------------------------------------------------------


def _client_servers(asked: Asked, _args: Args) -> dict[str, Any]:
    return {"role": "local", "servers": [row for roster in asked.shared.rosters for row in roster.table()]}


def _pin(asked: Asked, args: Args) -> dict[str, Any]:
    name = args.get("name")
    if not isinstance(name, str) or not name:
        raise ControlError(ARGUMENTS, '"with" has "name": the name, id or address of a server, in quotes')
    try:
        pinned = [roster.pin(name) for roster in asked.shared.rosters]
    except LookupError as error:
        raise ControlError(NOT_FOUND, str(error.args[0])) from None
    if not pinned:
        raise ControlError(NOT_FOUND, f"no server is called {name!r}")
    return {"pinned": pinned[0]}


def _unpin(asked: Asked, _args: Args) -> dict[str, Any]:
    return {"unpinned": sum(roster.unpin() for roster in asked.shared.rosters) > 0}


# -- a server --------------------------------------------------------------------------------------


def _server_servers(asked: Asked, _args: Args) -> dict[str, Any]:
    return {"role": "server", "servers": [_port(asked, port) for port in asked.ports if port.server is not None]}


def _port(asked: Asked, port: OpenPort) -> dict[str, Any]:
    server = port.server
    assert server is not None, "only those of servers are asked for"
    flow, packets = port.face.flow, port.face.packets
    row: dict[str, Any] = {
        "name": server.remarks or str(server.address),
        "address": str(server.address),
        "id": server.id,
        "method": server.method.name,
        "mode": server.mode.value,
        "live": 0 if flow is None else len(flow.relays),
        "sessions": 0 if packets is None else len(packets.sessions),
        "bytes": port.passed,
    }
    plugin = asked.shared.plugins.before(server)
    return row if plugin is None else {**row, "plugin": plugin.about()}


_LIVE: Final[Mapping[str, Handle]] = {
    "status": live.status,
    "sessions": live.sessions,
    "kick": live.kick,
    "reload": live.reload,
}
_TABLES: Final[Mapping[str, Mapping[str, Handle]]] = {
    "local": {"about": _about, "servers": _client_servers, "pin": _pin, "unpin": _unpin, **_LIVE},
    "server": {"about": _about, "servers": _server_servers, "users": users.users, **_LIVE},
}
