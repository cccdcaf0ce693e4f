"""The socket of a manager: a UDP port, or a Unix socket that the user alone may write to.

The socket file of a process that died is replaced; that of a live one is an error. Commands wait in a short queue and
are done one after the other, with a turn of the loop between: however many come, connections go on.

A UDP port can be reached by others: `Rules` says who may command there. What they may not is dropped without a word to
them, and before it waits.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from socket import SOCK_DGRAM, SocketType
from typing import TYPE_CHECKING, Any, Final

from ...config.hosts import UnfitError
from ...config.manager import manager_place
from ...core.address import Address, pack_ip
from ...core.errors import ConfigError, Problem, RemoteProtocolError
from ...core.networks import NetworkSet, parse_network
from ...net.poller import READ
from ...wire.manager.command import COMMAND_MAX
from ...wire.manager.signed import Seen
from ..ports import taken_by
from ..socket_file import identity
from .manager import UNSENT, Managed, Manager

if TYPE_CHECKING:
    from ...config.model import Config
    from ...net.reactor import Reactor
    from ..given import GivenSockets
    from .figures import Figures
    from .hands import Hands
    from .kept import KeptPorts

log = logging.getLogger(__name__)

INTERVAL: Final = 10.0
"""Seconds between two reports: as the old programs had it."""
QUEUE_MAX: Final = 8192
QUEUE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Commands that wait, and their bytes: those of tools that send thousands and wait for no answer. Beyond that they stay
in the socket, which holds hundreds; and then the system drops them."""
TAKEN_AT_ONCE: Final = 16
"""Datagrams taken from the socket in a turn: 0.1 ms. One a turn let the socket fill up, which holds hundreds."""
PER_SECOND: Final = 2_000
"""Commands a second: tools that restore thousands of users at once are served within seconds, and a flood takes at most
a fifth of a core."""

PAUSES: Final = (0.001, 0.004, 0.016, 0.064)
"""Seconds until an answer is sent again that could not be, while nothing else could either: a tool that does not read
costs 85 ms a go."""


async def open_manager(text: str, given: GivenSockets | None = None) -> SocketType:
    """Return the socket of a manager: one of those given, or bound.

    Raises:
        ConfigError: it cannot be bound.
    """
    with _told(text, given):
        place = manager_place(text)
        if isinstance(place, str):
            return _taken(given, place) or _bind_path(place)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(place.host, place.port, type=SOCK_DGRAM)
        return _taken(given, found[0][4]) or _bound(found[0][0], found[0][4])


def bind_manager(text: str, given: GivenSockets) -> SocketType:
    """Do the same where nothing else runs: in a master, before there are workers."""
    with _told(text, given):
        place = manager_place(text)
        if isinstance(place, str):
            return _taken(given, place) or _bind_path(place)
        found = socket.getaddrinfo(place.host, place.port, type=SOCK_DGRAM)
        return _taken(given, found[0][4]) or _bound(found[0][0], found[0][4])


@contextmanager
def _told(text: str, given: GivenSockets | None) -> Iterator[None]:
    """Let what is wrong with a place be a problem of the configuration."""
    try:
        yield
    except UnfitError as unfit:
        why = str(unfit)
    except OSError as error:
        why = f"cannot take commands there: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            place = manager_place(text)
            rival = given.rival(place, SOCK_DGRAM) if given is not None and isinstance(place, Address) else ""
            why += taken_by(rival, "address")
    else:
        return
    raise ConfigError([Problem("config", None, "manager_listen", why)])


def _taken(given: GivenSockets | None, where: Any) -> SocketType | None:
    sock = None if given is None else given.take(where, SOCK_DGRAM)
    if sock is not None:
        sock.setblocking(False)
    return sock


def _bind_path(path: str) -> SocketType:
    """Bind a Unix socket that only its owner may use, from its first moment on."""
    if not hasattr(socket, "AF_UNIX"):
        raise UnfitError("this system has no Unix sockets; give HOST:PORT")
    _clear_path(path)
    mask = os.umask(0o177)
    try:
        return _bound(socket.AF_UNIX, os.path.abspath(path))
    finally:
        os.umask(mask)


def _bound(family: int, where: Any) -> SocketType:
    sock = SocketType(family, SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _clear_path(path: str) -> None:
    """Remove the socket of a process that is dead; raises OSError for anything else that is there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "a file that is no socket has that name; move it, or choose another name")
    probe = SocketType(socket.AF_UNIX, SOCK_DGRAM)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
        return
    finally:
        probe.close()
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


class Rules:
    """Who may command at a UDP port."""

    def __init__(self, config: Config) -> None:
        """Take what a configuration says; where it says nothing, whoever reaches the port may, as on loopback."""
        allow, secret = config.manager_allow, config.manager_secret
        self._allow: Final = None if allow is None else NetworkSet(map(parse_network, allow))
        self._seen: Final = None if secret is None else Seen(secret.reveal().encode())

    def open(self, data: bytes, sender: Any) -> bytes:
        """Return the command of a datagram.

        Raises:
            RemoteProtocolError: its sender may not command.
        """
        if self._allow is not None:
            packed = pack_ip(sender[0].partition("%")[0])
            if packed is None or not self._allow.holds(packed):
                raise RemoteProtocolError("not_allowed", f"{sender[0]} is not in manager_allow")
        return data if self._seen is None else self._seen.open(data, time.time())


class ManagerSocket:
    """Reads commands, and reports every ten seconds, until it is closed."""

    def __init__(
        self,
        sock: SocketType,
        service: Managed,
        reactor: Reactor,
        interval: float = INTERVAL,
        *,
        keeps: bool = False,
        kept: KeptPorts | None = None,
        rules: Rules | None = None,
        hands: Hands | None = None,
        figures: Figures | None = None,
    ) -> None:
        """Begin to take commands from a bound socket, which is ours from now on.

        With `keeps` its file stays when it is closed: whoever gave us the socket listens on. The ports that were `kept`
        are added before the first command is done. For `hands` and `figures` see `Manager`.
        """
        self._sock: Final = sock
        self._reactor: Final = reactor
        self._kept: Final = kept
        self._manager: Final = Manager(service, self._send, kept, hands, figures)
        self._queue: Final[asyncio.Queue[tuple[bytes, Any]]] = asyncio.Queue(QUEUE_MAX)
        self._queued = 0
        """Bytes of the commands in it."""
        self._held: tuple[bytes, Any] | None = None
        """One that was taken out, and waits for those before it."""
        name = sock.getsockname()
        self.address: Final[Address | str] = name if isinstance(name, str) else Address(*name[:2])
        """Where commands come in."""
        self._rules: Final = None if isinstance(name, str) else rules
        self._refused = 0
        """Datagrams since the last report whose senders may not command."""
        self._file = identity(name) if isinstance(name, str) and not keeps else None
        self.report: Final = self._manager.report
        self._restored: Final = asyncio.Event()
        self._interval: Final = interval
        self._ticking = reactor.loop.call_later(interval, self._tick)
        self._work = reactor.loop.create_task(self._serve())
        self._listen()

    async def restore(self) -> None:
        """Add the ports that were kept; commands are done from then on."""
        try:
            await self._manager.restore()
        finally:
            self._restored.set()

    def _listen(self) -> None:
        self._reactor.watch(self._sock.fileno(), READ, self._on_event)

    def _on_event(self, _events: int) -> None:
        """Take some datagrams: a turn does one command, and the socket must not fill up meanwhile."""
        for _ in range(TAKEN_AT_ONCE):
            try:
                data, sender = self._sock.recvfrom(COMMAND_MAX)
            except OSError:  # an ICMP error, which is told once; or nothing
                return
            if self._rules is not None:
                try:
                    data = self._rules.open(data, sender)
                except RemoteProtocolError as error:
                    self._refuse(error)
                    continue
            self._queue.put_nowait((data, sender or None))
            self._queued += len(data)
            if self._queue.full() or self._queued > QUEUE_BYTES_MAX:
                self._reactor.watch(self._sock.fileno(), 0, self._on_event)
                return

    def _refuse(self, error: RemoteProtocolError) -> None:
        self._refused += 1
        if self._refused == 1:
            log.warning("manager: a command is not taken: %s", error)

    async def _serve(self) -> None:
        """Do what the commands say, one after the other; of changes of different ports as many as may be at once."""
        loop, second, done = self._reactor.loop, 0.0, 0
        await self._restored.wait()
        while True:
            commands = await self._some()
            self._listen()
            now = loop.time()
            if now - second >= 1.0:
                second, done = now, 0
            done += len(commands)
            if done > PER_SECOND:
                await asyncio.sleep(second + 1.0 - now)
            try:
                await self._answer(await self._manager.do(commands))
            except Exception as error:  # one command, not the manager
                self._reactor.failed(error)
            await asyncio.sleep(0)

    async def _answer(self, answers: Sequence[tuple[bytes, Any]]) -> None:
        """Send answers; a tool that sent hundreds of commands reads them one by one, and its socket may hold ten."""
        answers = self._manager.answer(answers)
        for pause in PAUSES:
            if not answers:
                return
            await asyncio.sleep(pause)
            rest = self._manager.answer(answers)
            while rest and len(rest) < len(answers):  # it reads
                answers = rest
                await asyncio.sleep(PAUSES[0])
                rest = self._manager.answer(answers)
            answers = rest
        if answers:
            log.info(UNSENT)

    async def _some(self) -> list[tuple[bytes, Any]]:
        """Return the next command, and those behind it that may be done with it."""
        first, self._held = self._held or await self._take(), None
        commands = [first]
        if self._manager.at_once == 1:
            return commands
        ports = {self._manager.port_of(first[0])}
        while None not in ports and len(commands) < self._manager.at_once and not self._queue.empty():
            command = await self._take()
            port = self._manager.port_of(command[0])
            if port is None or port in ports:
                self._held = command
                break
            ports.add(port)
            commands.append(command)
        return commands

    async def _take(self) -> tuple[bytes, Any]:
        data, sender = await self._queue.get()
        self._queued -= len(data)
        return data, sender

    def _tick(self) -> None:
        self._ticking = self._reactor.loop.call_later(self._interval, self._tick)
        if self._refused > 1:
            log.warning("manager: %d more commands were not taken", self._refused - 1)
        self._refused = 0
        self._reactor.guard(self.report)

    def _send(self, message: bytes, to: Any) -> bool:
        try:
            self._sock.sendto(message, to)
        except OSError as error:
            log.debug("manager: cannot send: %s", error)
            return False
        return True

    async def close(self) -> None:
        """Take no more commands, remove the socket's file, and write what is kept."""
        self._ticking.cancel()
        self._work.cancel()
        with suppress(asyncio.CancelledError):
            await self._work
        await self._manager.close()
        if self._kept is not None:
            await self._kept.close()
        self._reactor.close_shared(self._sock)
        self._reactor.settle()
        if isinstance(self.address, str) and self._file and self._file == identity(self.address):
            with suppress(OSError):
                os.unlink(self.address)
