"""What an end needs to be started: a server, and places to listen at of which no two are one.

Called by `load.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from ..core.address import Address
from .findings import Findings
from .model import DEFAULT_LOCAL, Config, LocalConfig, Mode, ServerConfig
from .reader import Mark
from .setting import Role
from .settings import SETTINGS

_NO_SERVER: Final = (
    "no server is named; give server, server_port, method and password, or -s, -m and -k, or a link by --server-url"
)
_NAMING: Final = frozenset(
    word for name in ("server_url", "online_urls") for word in (SETTINGS[name].path, *SETTINGS[name].flags)
)
"""Keys and flags that name servers as a whole: what is wrong with one was told, and it was meant to be a server."""

Way = tuple[str, Address]
"""What follows "is taken", and an address to listen on: a port of TCP and the same port of UDP are two."""
Listener = tuple[Iterable[Way], Mark, str]
"""Where an entry listens, and the place and key of the entry."""


def ways_of(entry: ServerConfig | LocalConfig) -> Iterator[Way]:
    """Yield where an entry listens."""
    if isinstance(entry, LocalConfig):
        yield "", entry.address  # whatever the mode: associations are connections
        if entry.mode.udp and not entry.udp_socket_per_association:
            yield " for UDP", entry.udp_address
        return
    if entry.mode.tcp:
        yield "", entry.address
    if entry.mode.udp:
        yield " for UDP", entry.address


def check_needs(has_server: bool, listeners: Iterable[Listener], mark: Mark, findings: Findings) -> None:
    """Report what an end lacks to be started."""
    if not has_server and not any({problem.where, problem.key} & _NAMING for problem in findings.problems):
        findings.problem(mark, "", _NO_SERVER)
    seen: set[Way] = set()
    for ways, place, key in listeners:
        found = set(ways)
        if found & seen:
            which, address = min(found & seen, key=lambda way: way[0])
            text = f"{address} is taken{which} by an entry before this one; choose another port"
            findings.problem(place, key, text)
        seen |= found


def filled(config: Config, role: Role | None) -> Config:
    """Add what an end has by default: a listener for what the servers serve."""
    if role == "local" and not config.locals:
        modes = {server.mode for server in config.servers}
        mode = modes.pop() if len(modes) == 1 else Mode.TCP_AND_UDP
        return replace(config, locals=(replace(DEFAULT_LOCAL, mode=mode, acl=config.acl),))
    return config
