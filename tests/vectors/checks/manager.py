"""manager.json: the manager protocol, each request given to a manager whose ports are a table."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import cache
from typing import Any

from shadesocks.config.manager import added_server
from shadesocks.config.model import Config, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import RemoteProtocolError
from shadesocks.service.manager.manager import Manager
from shadesocks.wire.manager import DIALECTS
from shadesocks.wire.manager.answers import pack_stat
from shadesocks.wire.manager.command import parse_command
from tests.vectors.vector import Mismatch, Vector, same


class Table:
    """Ports that are remembered, and not opened."""

    def __init__(self, dialect: str) -> None:
        template, _ = added_server(Config(), {"server_port": 1, "password": "pw", "method": "aes-256-gcm"})
        self.config = Config(manager_dialect=dialect, template=template)
        self._servers: dict[int, ServerConfig] = {}

    @property
    def servers(self) -> tuple[ServerConfig, ...]:
        """What was added."""
        return tuple(self._servers.values())

    def passed(self) -> dict[int, int]:
        """Nothing passes here."""
        return {}

    def passed_at(self, port: int) -> int:
        """Nothing."""
        return 0

    async def add(self, server: ServerConfig) -> Address:
        """Remember a port."""
        self._servers[server.address.port] = server
        return server.address

    async def change(self, server: ServerConfig, *, cuts: bool = False) -> None:
        """Remember another."""
        await self.add(server)

    async def remove(self, which: Address | int) -> bool:
        """Forget a port."""
        assert isinstance(which, int)
        return self._servers.pop(which, None) is not None


class Desk:
    """A manager, and what it answered."""

    def __init__(self, dialect: str) -> None:
        self.table = Table(dialect)
        self.said: list[bytes] = []
        self._manager = Manager(self.table, self._say)

    def _say(self, message: bytes, _to: Any) -> bool:
        self.said.append(message)
        return True

    def ask(self, request: str) -> str | None:
        """Return the answer to a request."""
        self.said.clear()
        _finish(self._manager.take(request.encode(), "somebody"))
        return b"".join(self.said).decode() if self.said else None


def _finish(story: Coroutine[Any, Any, None]) -> None:
    try:
        story.send(None)
    except StopIteration:
        return
    raise Mismatch("it waits, though nothing here takes time")


@cache
def _libev_session() -> tuple[tuple[str, str], ...]:
    """The requests of libev's exchanges, in the order of the file: they are one session."""
    from tests.vectors.runner import HERE, load

    vectors = load(HERE / "manager.json")
    return tuple(
        (vector.id, vector.text("request"))
        for vector in vectors
        if vector.kind == "exchange" and vector.text("dialect") == "libev"
    )


def exchange(vector: Vector) -> str:
    """Answer a request: libev's after all those before it, the others with port 8388 open."""
    dialect = vector.text("dialect")
    desk = Desk(dialect)
    if dialect == "libev":
        for name, request in _libev_session():
            if name == vector.id:
                break
            desk.ask(request)
    elif dialect == "rust":
        desk.ask('add: {"server_port": 8388, "password": "pw"}')
    same(desk.ask(vector.text("request")), vector.fields.get("response"), "answer")
    return ""


def request(vector: Vector) -> str:
    """Read a request."""
    wanted = vector.table("parsed")
    got = parse_command(vector.text("request").encode())
    same(got.name, wanted.pop("command"), "command")
    same(got.port, wanted.pop("server_port", None), "port")
    same(got.password, wanted.pop("password", None), "password")
    same(dict(got.stat), wanted.pop("stat", {}), "stat")
    same(dict(got.options), wanted, "options")
    return ""


def request_error(vector: Vector) -> str:
    """Refuse a request: no dialect does anything, libev's answers `err`."""
    text = vector.text("request")
    data = bytes.fromhex(text) if vector.fields.get("request_is_hex") else text.encode()
    for name in DIALECTS:
        desk = Desk(name)
        said = desk.ask(data.decode())
        same(desk.table.servers, (), "ports")
        if name == "libev":
            same(said, "err", "answer")
    try:
        parse_command(data)
    except RemoteProtocolError as error:
        return error.code
    raise Mismatch("accepted")


def stat_report(vector: Vector) -> str:
    """Read what a server says of itself; say the same, but for what stands behind it."""
    port, size = vector.number("port"), vector.number("bytes")
    same(dict(parse_command(vector.data("datagram_hex")).stat), {str(port): size}, "stat")
    [(message, group)] = pack_stat(DIALECTS[vector.text("dialect")], {port: size})
    same(message.rstrip(b"\n"), vector.data("datagram_hex").rstrip(b"\0\n"), "message")
    same(group, {port: size}, "ports")
    return ""
