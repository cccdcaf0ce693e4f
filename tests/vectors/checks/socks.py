"""socks.json: the client's bytes and the server's answers, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shadesocks.core.address import Address, parse_address
from shadesocks.core.errors import RemoteProtocolError
from shadesocks.wire import socks5
from shadesocks.wire.packet_plain import SOCKS5_PACKETS
from shadesocks.wire.reader import Reader
from tests.vectors.vector import Mismatch, Vector, holds, same, to_address
from tests.wire.splits import bytewise
from tests.wire.talking import Client, Server

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SUCCESS = b"\x05\x00\x00"
_RELAY = Address("192.0.2.1", 1080)
"""Where the datagrams of an association go."""


class _Server:
    """The server's side, granting whatever is asked as if the dial had succeeded."""

    def __init__(self, users: Mapping[str, str] | None, *, datagrams: bool) -> None:
        self.said = bytearray()
        self.target: Address | None = None
        self.closed = False
        commands = (socks5.CONNECT, socks5.UDP_ASSOCIATE)[: 1 + datagrams]
        self._reader = Reader(socks5.serve(self.said.extend, commands, users))
        self._payload = bytearray()

    def hears(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            if self.closed:
                return
            if self.target is not None:
                self._payload += piece
                continue
            try:
                command = self._reader.feed(piece)
            except RemoteProtocolError:
                self.closed = True
                return
            if command is not None:
                self.target = command.target
                associates = command.code == socks5.UDP_ASSOCIATE
                self.said += socks5.pack_reply(socks5.SUCCEEDED, *[_RELAY] * associates)
                self._payload += self._reader.rest

    def take(self, size: int) -> bytes:
        taken = bytes(self.said[:size])
        del self.said[:size]
        return taken

    def take_payload(self, size: int) -> bytes:
        taken = bytes(self._payload[:size])
        del self._payload[:size]
        return taken


def server(vector: Vector) -> str:
    """Play the steps, with the client's messages whole and byte by byte."""
    steps = vector.items("steps")
    for split in (lambda data: [data], bytewise):
        side = _Server(vector.fields.get("auth"), datagrams=any("bnd_is_udp_relay" in step for step in steps))
        for step in steps:
            _play(side, step, split)
        holds(side.closed or not any("server_closes" in step for step in steps), "not closed")
        holds(not side.closed or any("server_closes" in step for step in steps), "closed")
        same(side.take(len(side.said)), b"", "more was said")
    return ""


def _play(side: _Server, step: dict[str, Any], split: Any) -> None:
    if "client_hex" in step:
        side.hears(split(bytes.fromhex(step["client_hex"])))
    if "server_hex" in step:
        wanted = bytes.fromhex(step["server_hex"])
        if wanted.startswith(_SUCCESS):  # where it is bound is free
            same(side.take(len(_SUCCESS)), _SUCCESS, "answer")
            side.take(parse_address(side.said)[1])
        else:
            same(side.take(len(wanted)), wanted, "answer")
    if "server_reply_code" in step:
        answer = side.take(len(side.said))
        same(answer[1], step["server_reply_code"], "reply code")
        if step.get("bnd_is_udp_relay"):
            same(parse_address(answer, 3)[0], _RELAY, "bound")
    if step.get("hold_until_client_closes"):
        holds(not side.closed, "closed")
    if step.get("server_any_failure"):
        answer = side.take(len(side.said))
        holds(not answer or answer[1] != 0, "a success")
    if step.get("server_closes"):
        holds(side.closed, "not closed")
    if "connect" in step:
        same(side.target, to_address(step["connect"]), "target")
    if "relay_hex" in step:
        wanted = bytes.fromhex(step["relay_hex"])
        same(side.take_payload(len(wanted)), wanted, "payload")


def reply(vector: Vector) -> str:
    """Write a reply."""
    same(socks5.pack_reply(vector.number("reply_code")), vector.data("hex"), "reply")
    return ""


def datagram(vector: Vector) -> str:
    """Read a datagram; write it where its reserved bytes are the ones we write."""
    data, target, payload = vector.data("datagram_hex"), vector.target, vector.data("payload_hex")
    heard = Server(SOCKS5_PACKETS).hears(data)
    same(heard.target, target, "target")
    same(heard.payload, payload, "payload")
    if not any(data[:2]):
        same(Client(SOCKS5_PACKETS).says(target, payload), data, "datagram")
    return ""


def datagram_error(vector: Vector) -> str:
    """Refuse a datagram."""
    try:
        Server(SOCKS5_PACKETS).hears(vector.data("datagram_hex"))
    except RemoteProtocolError as error:
        return error.code
    raise Mismatch("accepted")
