"""ota.json: one-time authentication of stream ciphers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from shadesocks.core.address import parse_address
from shadesocks.crypto.stream import CIPHERS
from shadesocks.wire.editions import make_shadow
from shadesocks.wire.ota import FLAG, HASH_SIZE
from shadesocks.wire.shadow import Quirks
from tests.vectors.checks import packets
from tests.vectors.checks.streams import hears_request, keys_of, refuses
from tests.vectors.vector import Vector, same
from tests.wire.hearing import ServerHearing, make_request

if TYPE_CHECKING:
    from shadesocks.wire.shadow import Shadow


def _make(vector: Vector, *, required: bool) -> Shadow:
    return make_shadow(*keys_of(vector), Quirks(one_time_auth=required))


def request(vector: Vector) -> str:
    """A client's stream, both ways; a server takes it whether it must have the flag or not."""
    stream, chunks = vector.data("stream_hex"), vector.datas("chunks_hex")
    plain = _plain(vector, stream)
    same(plain, vector.data("plaintext_hex"), "plaintext")
    same(_header_hash(plain), vector.data("header_hmac_hex"), "hash of the header")
    made = make_request(_make(vector, required=True), vector.target, chunks, salt=vector.data("iv_hex"))
    same(made, stream, "stream")
    for required in (True, False):
        hears_request(vector, stream, partial(ServerHearing, _make(vector, required=required)))
    return ""


def _plain(vector: Vector, stream: bytes) -> bytes:
    method, (key,) = keys_of(vector)
    plain = memoryview(bytearray(len(stream) - method.salt_size))
    CIPHERS[method.cipher](key).open(stream[: method.salt_size])(stream[method.salt_size :], plain)
    return bytes(plain)


def _header_hash(plain: bytes) -> bytes:
    _, size = parse_address(bytes((plain[0] & ~FLAG,)) + plain[1:])
    return plain[size : size + HASH_SIZE]


def request_error(vector: Vector) -> str:
    """A stream to refuse."""
    required = bool(vector.fields.get("server_requires_ota"))
    return refuses(vector, partial(ServerHearing, _make(vector, required=required)), vector.datas("chunks_hex"))


def datagram(vector: Vector) -> str:
    """A client's packet, both ways."""
    same(_plain(vector, vector.data("packet_hex")), vector.data("plaintext_hex"), "plaintext")
    return packets.request(vector, Quirks(one_time_auth=True))


def datagram_error(vector: Vector) -> str:
    """A packet that both sides refuse."""
    return packets.packet_error(vector)
