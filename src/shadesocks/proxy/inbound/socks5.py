"""The client's face: SOCKS5 (RFC 1928). The dialogue itself is `wire/socks5.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.address import Address
from ...core.errors import LimitError, RemoteProtocolError
from ...core.reasons import reason
from ...net.end import End
from ...net.options import NOW
from ...net.pipe import READ_MIN
from ...net.poller import READ
from ...net.story import ready
from ...wire.reader import Reader
from ...wire.socks5 import CONNECT, SUCCEEDED, UDP_ASSOCIATE, Command, pack_reply, reply_code, serve
from ..seams import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from socket import SocketType

    from ...net.lane import Lane
    from ...net.pipe import Scratch
    from ...net.reactor import Reactor
    from .associations import Associations


class Socks5Inbound:
    """One SOCKS5 port. `deadline` bounds the dialogue; `header_lane` is how long a first payload is waited for.

    With `associations` it serves UDP ASSOCIATE; without `streams` it refuses CONNECT. `reply_port` is what the answer
    to a CONNECT that succeeded names as bound: it says nothing, but each old program has one number that some look for.
    """

    def __init__(
        self,
        reactor: Reactor,
        scratch: Scratch,
        deadline: Lane,
        header_lane: Lane,
        users: Mapping[str, str] | None = None,
        associations: Associations | None = None,
        *,
        streams: bool = True,
        reply_port: int = 0,
    ) -> None:
        self._reactor = reactor
        self._scratch = scratch
        self._deadline = deadline
        self._users = users
        self._associations = associations
        self._commands = (CONNECT,) * streams + (UDP_ASSOCIATE,) * (associations is not None)
        self._bound = Address("0.0.0.0", reply_port)  # noqa: S104 - "no address", nothing is bound to it
        self.header_lane: Lane | None = header_lane

    async def handshake(self, sock: SocketType, client: Any) -> Request | None:
        """Hold the dialogue up to the request; see `seams.Inbound`. The reply waits for the dial."""

        def send(message: bytes) -> None:
            sock.send(message, NOW)  # a few bytes: an empty send buffer takes them whole

        story = self._reactor.current
        assert story is not None, "a handshake is a story"
        reader = Reader(serve(send, self._commands, self._users))
        self._deadline.start(story)
        try:
            command = await self._read(reader, sock)
        finally:
            self._deadline.cancel(story)
        if command.code == UDP_ASSOCIATE:
            self._associate(sock, client, command, send)
            return None
        end = End(sock)
        end.held = reader.rest

        def answer(word: str) -> None:
            code = reason(word).reply
            send(pack_reply(code, self._bound) if code == SUCCEEDED else pack_reply(code))

        return Request(end, command.target, answer=answer)

    def _associate(self, sock: SocketType, client: Any, command: Command, send: Callable[[bytes], None]) -> None:
        """Hand the connection over to an association, and say where its datagrams go."""
        assert self._associations is not None, "the command is served where there are associations"
        try:
            bound = self._associations.open(sock, client, command.target)
        except LimitError as error:
            send(pack_reply(reply_code(error.code)))
            raise RemoteProtocolError(error.code) from error
        send(pack_reply(SUCCEEDED, bound))

    async def _read(self, reader: Reader[Command], sock: SocketType) -> Command:
        scratch = self._scratch.inward
        fd = sock.fileno()
        while True:
            await ready(fd, READ)
            try:
                size = sock.recv_into(scratch, READ_MIN, NOW)
            except BlockingIOError:
                continue
            if not size:
                raise RemoteProtocolError("left_early")
            command = reader.feed(scratch[:size])
            if command is not None:
                return command

    def release(self, sock: SocketType) -> None:
        """Nothing authenticates here, so nothing can fail to."""
        self._reactor.close(sock)
