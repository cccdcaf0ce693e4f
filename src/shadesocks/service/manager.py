"""The manager: commands of old programs' tools to ports of a running service, and the statistics they wait for.

    a datagram -> Request -> add, remove, ... -> an answer to whoever sent it
    every ten seconds -> what passed -> whoever asked before

What the four programs did differently is in `wire/manager.py`; how one is reached, in `manager_socket.py`. Mended:
 - only a command that could be read makes its sender the one who gets the statistics;
 - what could not be sent is told again, with what came since;
 - a port that cannot be listened on is answered (`err` where Python's program was silent), and ends nothing;
 - bytes are counted for as long as the service lives: none is lost or told twice when a port is removed and added.

Bytes are of payload, up and down; Python's counted those of its ciphers, too. A number has counted from its first `add`
on; replacing its password does not begin anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..config.manager import added_server
from ..core.address import Address
from ..core.errors import ConfigError, RemoteProtocolError
from ..crypto.methods import find_method
from ..wire.manager import DIALECTS, PortRow, Request, pack_answer, pack_list, pack_stat, parse_request, split_request

if TYPE_CHECKING:
    from ..config.model import Config, ServerConfig
    from ..core.errors import Problem

log = logging.getLogger(__name__)

SENDERS_MAX: Final = 64
"""Who get go's statistics: nobody has as many tools, and each costs a datagram every ten seconds."""
PASSED_OVER_MAX: Final = 10
"""Lines about commands that cannot be read, between two reports: a flood of them is not to fill a disk."""

WARNED_MAX: Final = 256
"""Different warnings that are kept in mind: more than all methods and settings have between them."""

Send = Callable[[bytes, Any], bool]
"""(message, address): send it; False where it cannot be sent."""


class Managed(Protocol):
    """What is managed: a started service."""

    @property
    def config(self) -> Config:
        """What added servers have where their command does not say."""

    @property
    def servers(self) -> tuple[ServerConfig, ...]:
        """Those that listen."""

    def passed(self) -> dict[int, int]:
        """Return payload bytes by port number, of all that ever were."""

    async def add(self, server: ServerConfig) -> Address:
        """Serve one more; raises ConfigError."""

    async def change(self, server: ServerConfig) -> None:
        """Serve one in the place of the one on its address; raises ConfigError."""

    async def remove(self, which: Address | int) -> bool:
        """End those on a port, and their connections."""


class Manager:
    """Does what commands say, in one dialect."""

    def __init__(self, service: Managed, send: Send) -> None:
        self._service: Final = service
        self._send: Final = send
        self._dialect: Final = DIALECTS[service.config.manager_dialect]
        self._senders: Final[dict[Hashable, None]] = {}
        """Who get statistics unasked, the latest last."""
        self._told: Final[dict[int, int]] = {}
        """Bytes by port that were told, or that had passed when it was added: what is told counts from there."""
        self._warned: Final[set[str]] = set()
        """Warnings that were told."""
        self._passed_over = 0
        """Commands since the last report that could not be read."""

    async def take(self, data: bytes, sender: Any) -> None:
        """Do what a datagram says, and answer its sender (None: who cannot be answered)."""
        for message in await self._answers(data, sender):
            if sender is not None and not self._send(message, sender):
                log.info("manager: an answer could not be sent")

    def report(self) -> None:
        """Send what passed to those who wait for it; called every ten seconds."""
        more, self._passed_over = self._passed_over - PASSED_OVER_MAX, 0
        if more > 0:
            log.warning("manager: %d more commands were passed over", more)
        passed = self._service.passed()
        if self._dialect.pushes == "totals":
            for sender in self._senders:
                for message, _ in pack_stat(self._dialect, self._totals(passed)):
                    self._send(message, sender)
        elif self._dialect.pushes == "deltas":
            deltas = {port: size for port, total in passed.items() if (size := total - self._told.get(port, 0))}
            for sender in self._senders if deltas else ():
                for message, group in pack_stat(self._dialect, deltas):
                    if self._send(message, sender):
                        self._told.update({port: passed[port] for port in group})

    def _totals(self, passed: dict[int, int]) -> dict[int, int]:
        numbers = dict.fromkeys(server.address.port for server in self._service.servers)
        return {number: passed.get(number, 0) - self._told.get(number, 0) for number in numbers}

    async def _answers(self, data: bytes, sender: Any) -> list[bytes]:
        try:
            request = parse_request(data, self._dialect)
        except RemoteProtocolError as error:
            self._passed_over += 1
            if self._passed_over <= PASSED_OVER_MAX:
                log.warning("manager: a command was passed over: %s", error)
            return self._answer("bad") if _is_change(data) else []
        if self._dialect.pushes == "deltas" and sender is not None:
            self._senders.clear()
            self._senders[sender] = None
        return await _COMMANDS[request.command](self, request, sender)

    def _answer(self, outcome: str, *, method: str = "", why: str = "") -> list[bytes]:
        answer = pack_answer(self._dialect, outcome, method=method, why=why)
        return [] if answer is None else [answer]

    # -- commands ----------------------------------------------------------------------------------

    async def _add(self, request: Request, _sender: Any) -> list[bytes]:
        port = request.port or 0
        method = request.options.get("method")
        if isinstance(method, str) and not _is_method(method):
            log.warning("manager: port %d was not added: this method is not known", port)
            return self._answer("method", method=method)
        there = [server for server in self._service.servers if server.address.port == port]
        if there and not self._dialect.replaces:
            log.warning("manager: port %d is open already, and stays as it is", port)
            return self._answer("ok")
        keys = {**request.options, "server_port": port, "password": request.password}
        try:
            server, warnings = added_server(self._service.config, keys)
        except ConfigError as error:
            for problem in error.problems:
                log.warning("manager: port %d was not added: %s", port, _said(problem))
            return self._answer("refused")
        for warning in warnings:
            said = _said(warning)
            if said not in self._warned:  # two thousand users with one fault are one line
                if len(self._warned) >= WARNED_MAX:
                    self._warned.clear()
                self._warned.add(said)
                log.warning("manager: port %d: %s; not told again of others", port, said)
        try:
            await self._put(server, there, keeps_hosts="server" not in request.options)
        except ConfigError as error:
            why = "; ".join(problem.text for problem in error.problems)
            log.warning("manager: port %d was not added: %s", port, why)
            return self._answer("taken", why=why)
        return self._answer("ok")

    async def _put(self, server: ServerConfig, there: list[ServerConfig], *, keeps_hosts: bool) -> None:
        """Open a port; or put it in the place of what listens on its number, on the same hosts unless one is named."""
        port = server.address.port
        hosts = [old.address for old in there] if keeps_hosts else []
        servers = [replace(server, address=address) for address in hosts or [server.address]]
        if set(servers) == set(there):
            return
        if there and self._dialect.cuts:
            await self._service.remove(port)
        if not there and self._dialect.pushes != "deltas":
            self._told[port] = self._service.passed().get(port, 0)
        for one in servers:
            if there and not self._dialect.cuts:
                await self._service.change(one)
            else:
                await self._service.add(one)
        log.info("manager: port %d was %s, with %s", port, "replaced" if there else "added", server.method.name)

    async def _remove(self, request: Request, _sender: Any) -> list[bytes]:
        port = request.port or 0
        if await self._service.remove(port):
            log.info("manager: port %d was removed", port)
        else:
            log.info("manager: port %d is not open, so it was not removed", port)
        return self._answer("ok")

    async def _list(self, _request: Request, _sender: Any) -> list[bytes]:
        rows = [
            PortRow(server.address.port, server.password.reveal(), server.method.name)
            for server in self._service.servers
        ]
        return pack_list(self._dialect, rows)

    async def _ping(self, _request: Request, sender: Any) -> list[bytes]:
        if not self._dialect.pushes:
            return [message for message, _ in pack_stat(self._dialect, self._totals(self._service.passed()))]
        if sender is not None:
            self._senders.pop(sender, None)
            self._senders[sender] = None
            if len(self._senders) > SENDERS_MAX:
                del self._senders[next(iter(self._senders))]
        return self._answer("pong")

    async def _ping_stop(self, _request: Request, sender: Any) -> list[bytes]:
        self._senders.pop(sender, None)
        return self._answer("pong")

    async def _stat(self, _request: Request, _sender: Any) -> list[bytes]:
        return []  # what a server of another process says of itself; ours are counted here


_COMMANDS: Final = {
    "add": Manager._add,
    "remove": Manager._remove,
    "list": Manager._list,
    "ping": Manager._ping,
    "ping-stop": Manager._ping_stop,
    "stat": Manager._stat,
}


def _said(problem: Problem) -> str:
    """Return the text of a problem behind its key; what comes from the file that all ports share has none here."""
    return f"{problem.key}: {problem.text}" if problem.key else problem.text


def _is_method(name: str) -> bool:
    try:
        find_method(name)
    except KeyError:
        return False
    return True


def _is_change(data: bytes) -> bool:
    """True for what wants to add or remove, whatever else it says."""
    try:
        return split_request(data)[0] in ("add", "remove")
    except RemoteProtocolError:
        return False
