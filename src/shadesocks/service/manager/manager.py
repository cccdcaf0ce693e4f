"""The manager: commands of old programs' tools to ports of a running service, and the statistics they wait for.

    a datagram -> Command -> add, remove, ... -> an answer to whoever sent it
    every ten seconds -> what passed -> whoever asked before

What the four programs did differently is in `wire/manager/`; how one is reached, in `socket.py`. Mended:
 - only a command that could be read makes its sender the one who gets the statistics;
 - what could not be sent is told again, with what came since;
 - a port that cannot be listened on is answered (`err` where Python's program was silent), and ends nothing;
 - an `add` of an open port takes its place as a whole or not at all, and it counts on;
 - bytes are counted for as long as the service lives: none is lost or told twice when a port is removed and added.

Bytes are of payload, up and down; Python's counted those of its ciphers, too. A number has counted from its first `add`
on; replacing its password does not begin anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...config.manager import added_server
from ...config.model import Mode
from ...config.stored import unnamed
from ...core.errors import ConfigError, RemoteProtocolError
from ...core.limits import MOST
from ...crypto.methods import find_method
from ...wire.manager import DIALECTS
from ...wire.manager.answers import pack_answer, pack_list, pack_stat
from ...wire.manager.command import Command, PortRow, parse_command, split_command
from .change import Change
from .figures import OwnFigures
from .hands import OwnHands
from .kept import beside

if TYPE_CHECKING:
    from ...config.model import Config, ServerConfig
    from ...core.address import Address
    from ...core.errors import Problem
    from .figures import Figures
    from .hands import Hands
    from .kept import KeptPorts

log = logging.getLogger(__name__)

SENDERS_MAX: Final = 64
"""Who get go's statistics: nobody has as many tools, and each costs a datagram every ten seconds."""
PASSED_OVER_MAX: Final = 10
"""Lines about commands that cannot be read, between two reports: a flood of them is not to fill a disk."""

WARNED_MAX: Final = 256
"""Different warnings that are kept in mind: more than all methods and settings have between them."""

UNSENT: Final = "manager: an answer could not be sent"

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

    def passed_at(self, port: int) -> int:
        """Return the same of one port."""

    async def add(self, server: ServerConfig) -> Address:
        """Serve one more; raises ConfigError."""

    async def change(self, server: ServerConfig, *, cuts: bool = False) -> None:
        """Serve one in the place of the one on its address; with `cuts` its connections end. Raises ConfigError."""

    async def remove(self, which: Address | int) -> bool:
        """End those on a port, and their connections."""


class Manager:
    """Does what commands say, in one dialect."""

    def __init__(
        self,
        service: Managed,
        send: Send,
        kept: KeptPorts | None = None,
        hands: Hands | None = None,
        figures: Figures | None = None,
    ) -> None:
        """Begin with the ports that the service has; `kept` remembers those that are added, for the next start.

        Where several processes serve, `hands` change the ports of all, and `figures` are of all, and outlive this one.
        """
        self._service: Final = service
        self._kept: Final = kept
        self._send: Final = send
        self._hands: Final[Hands] = OwnHands(service) if hands is None else hands
        self.at_once: Final = self._hands.at_once
        """Commands for different ports that may be done at once."""
        self._dialect: Final = DIALECTS[service.config.manager_dialect]
        self._figures: Final[Figures] = OwnFigures(service) if figures is None else figures
        self._senders: Final[dict[Hashable, None]] = dict.fromkeys(self._figures.senders())
        """Who get statistics unasked, the latest last."""
        self._warned: Final[set[str]] = set()
        """Warnings that were told."""
        self._passed_over = 0
        """Commands since the last report that could not be read."""

    async def restore(self) -> None:
        """Add the ports that were kept; those of the configuration stay as it says."""
        commands = self._kept.read() if self._kept is not None else ()
        for command in beside(commands, {server.address.port for server in self._service.servers}):
            await self._add(command, None)

    async def take(self, data: bytes, sender: Any) -> None:
        """Do what a datagram says, and answer its sender (None: who cannot be answered)."""
        if self.answer(await self.do([(data, sender)])):
            log.info(UNSENT)

    async def do(self, commands: Sequence[tuple[bytes, Any]]) -> list[tuple[bytes, Any]]:
        """Do what datagrams say, each of another port (`port_of`), at once; return the answers, in their order."""
        if len(commands) == 1:
            answers = [await self._answers(*commands[0])]
        else:
            answers = await asyncio.gather(*(self._answers(*each) for each in commands))
        return [
            (message, sender)
            for messages, (_, sender) in zip(answers, commands, strict=True)
            for message in messages
            if sender is not None
        ]

    def answer(self, answers: Sequence[tuple[bytes, Any]]) -> Sequence[tuple[bytes, Any]]:
        """Send answers; return those that cannot be sent now: from the first such on."""
        for place, (message, sender) in enumerate(answers):
            if not self._send(message, sender):
                return answers[place:]
        return ()

    def port_of(self, data: bytes) -> int | None:
        """Return the port that a command changes; None where it changes none, or says nothing that makes sense."""
        if not _is_change(data):
            return None
        try:
            return parse_command(data, self._dialect).port
        except RemoteProtocolError:
            return None

    async def close(self) -> None:
        """Wait for nothing any more."""
        await self._hands.close()

    def report(self) -> None:
        """Send what passed to those who wait for it; called every ten seconds."""
        more, self._passed_over = self._passed_over - PASSED_OVER_MAX, 0
        if more > 0:
            log.warning("manager: %d more commands were passed over", more)
        passed, told = self._figures.passed(), self._figures.told
        if self._dialect.pushes == "totals":
            for sender in self._senders:
                for message, _ in pack_stat(self._dialect, self._totals(passed)):
                    self._send(message, sender)
        elif self._dialect.pushes == "deltas":
            deltas = {port: size for port, total in passed.items() if (size := total - told[port])}
            for sender in self._senders if deltas else ():
                for message, group in pack_stat(self._dialect, deltas):
                    if self._send(message, sender):
                        for port in group:
                            told[port] = passed[port]

    def _totals(self, passed: dict[int, int]) -> dict[int, int]:
        told, heard = self._figures.told, self._figures.heard
        return {number: passed.get(number, 0) - told[number] + heard[number] for number in self._open_numbers()}

    def _open_numbers(self) -> dict[int, None]:
        return dict.fromkeys(server.address.port for server in self._service.servers)

    async def _answers(self, data: bytes, sender: Any) -> list[bytes]:
        try:
            command = parse_command(data, self._dialect)
        except RemoteProtocolError as error:
            self._passed_over += 1
            if self._passed_over <= PASSED_OVER_MAX:
                log.warning("manager: a command was passed over: %s", error)
            return self._answer("bad") if _is_change(data) else []
        if self._dialect.pushes == "deltas" and sender is not None and sender not in self._senders:
            self._senders.clear()
            self._senders[sender] = None
            self._figures.remember(self._senders)
        return await _COMMANDS[command.name](self, command, sender)

    def _answer(self, outcome: str, *, word: str = "", why: str = "") -> list[bytes]:
        answer = pack_answer(self._dialect, outcome, word=word, why=why)
        return [] if answer is None else [answer]

    # -- commands ----------------------------------------------------------------------------------

    async def _add(self, command: Command, _sender: Any) -> list[bytes]:
        port = command.port or 0
        for key, is_known in _WORDS.items():
            word = command.options.get(key)
            if isinstance(word, str) and not is_known(word):
                log.warning("manager: port %d was not added: this %s is not known", port, key)
                return self._answer(key, word=word)
        there = [server for server in self._service.servers if server.address.port == port]
        if there and not self._dialect.replaces:
            log.warning("manager: port %d is open already, and stays as it is", port)
            return self._answer("ok")
        keys = command.members
        try:
            server, warnings = added_server(self._service.config, keys)
        except ConfigError as error:
            for problem in error.problems:
                log.warning("manager: port %d was not added: %s", port, _said(problem))
            return self._answer("refused")
        self._warn(port, warnings)
        try:
            await self._put(server, there, keys, keeps_hosts="server" not in command.options)
        except ConfigError as error:
            why = "; ".join(problem.text for problem in error.problems)
            log.warning("manager: port %d was not added: %s", port, why)
            return self._answer("taken", why=why)
        if self._kept is not None:
            self._kept.add(command)
        return self._answer("ok")

    def _warn(self, port: int, warnings: tuple[Problem, ...]) -> None:
        """Tell what is odd of a port: two thousand users with one fault are one line."""
        for warning in warnings:
            said = _said(warning)
            if said in self._warned:
                continue
            if len(self._warned) >= WARNED_MAX:
                self._warned.clear()
            self._warned.add(said)
            log.warning("manager: port %d: %s; not told again of others", port, said)

    async def _put(
        self, server: ServerConfig, there: list[ServerConfig], keys: dict[str, Any], *, keeps_hosts: bool
    ) -> None:
        """Open a port; or put it in the place of what listens on its number, on the same hosts unless one is named.

        Raises:
            ConfigError: it cannot be had. All is as before.
        """
        port = server.address.port
        hosts = [old.address for old in there] if keeps_hosts else []
        servers = [replace(server, address=address) for address in hosts or [server.address]]
        if {*map(unnamed, servers)} == {*map(unnamed, there)}:
            return
        if not there:
            self._figures.heard[port] = 0
            if self._dialect.pushes != "deltas":
                self._figures.told[port] = self._figures.passed_at(port)
        await self._hands.put(
            Change(port, keys, tuple(one.address.host for one in servers), bool(there) and self._dialect.cuts), servers
        )
        log.info("manager: port %d was %s, with %s", port, "replaced" if there else "added", server.method.name)

    async def _remove(self, command: Command, _sender: Any) -> list[bytes]:
        port = command.port or 0
        if await self._hands.remove(port):
            log.info("manager: port %d was removed", port)
        else:
            log.info("manager: port %d is not open, so it was not removed", port)
        self._figures.heard[port] = 0
        if self._kept is not None:
            self._kept.remove(port)
        return self._answer("ok")

    async def _list(self, _command: Command, _sender: Any) -> list[bytes]:
        rows = [
            PortRow(
                server.address.port,
                server.password.reveal(),
                server.method.name,
                tuple((user.name, each.password.reveal()) for user in server.users or () for each in user.credentials),
            )
            for server in self._service.servers
        ]
        return pack_list(self._dialect, rows)

    async def _ping(self, _command: Command, sender: Any) -> list[bytes]:
        if not self._dialect.pushes:
            return [message for message, _ in pack_stat(self._dialect, self._totals(self._figures.passed()))]
        if sender is not None:
            self._senders.pop(sender, None)
            self._senders[sender] = None
            if len(self._senders) > SENDERS_MAX:
                del self._senders[next(iter(self._senders))]
            self._figures.remember(self._senders)
        return self._answer("pong")

    async def _ping_stop(self, _command: Command, sender: Any) -> list[bytes]:
        self._senders.pop(sender, None)
        self._figures.remember(self._senders)
        return self._answer("pong")

    async def _stat(self, command: Command, _sender: Any) -> list[bytes]:
        """Hear what a server of another process says of itself: all that passed since its start."""
        if self._dialect.hears:
            numbers = self._open_numbers()
            for port, size in command.stat.items():
                if int(port) in numbers and size <= MOST:  # no server has more; sums of workers are words
                    self._figures.heard[int(port)] = size
        return []


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


def _is_mode(name: str) -> bool:
    return name in [mode.value for mode in Mode]


def _is_method(name: str) -> bool:
    try:
        find_method(name)
    except KeyError:
        return False
    return True


def _is_change(data: bytes) -> bool:
    """True for what wants to add or remove, whatever else it says."""
    try:
        return split_command(data)[0] in ("add", "remove")
    except RemoteProtocolError:
        return False


_WORDS: Final = {"method": _is_method, "mode": _is_mode}
"""Keys of an `add` whose words are known or not, each with the outcome of its own name."""
