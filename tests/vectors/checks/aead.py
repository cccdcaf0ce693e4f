"""aead.json: SIP004 streams."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from shadesocks.crypto.subkeys import subkey_sha1
from shadesocks.wire.chunks import Sealer
from tests.vectors.checks.streams import (
    generated,
    hears_payload,
    hears_request,
    make,
    payloads_of,
    refuses,
    same_hash,
)
from tests.vectors.vector import Vector, same
from tests.wire.hearing import ClientHearing, ServerHearing, make_request, make_response, say

if TYPE_CHECKING:
    from shadesocks.wire.shadow import Shadow


def request(vector: Vector) -> str:
    """A client's stream, both ways."""
    shadow, stream = make(vector), vector.data("stream_hex")
    same(_make_request(vector, shadow), stream, "stream")
    hears_request(vector, stream, partial(ServerHearing, shadow))
    return ""


def _make_request(vector: Vector, shadow: Shadow) -> bytes:
    chunks, address, salt = vector.datas("chunks_hex"), vector.target.pack(), vector.data("salt_hex")
    if chunks[0].startswith(address):
        return make_request(shadow, vector.target, [chunks[0][len(address) :], *chunks[1:]], salt=salt)

    # Our client never cuts its address, so that of one that does is bulk to the sealer.
    def start(sealer: Sealer, source: memoryview, size: int, out: memoryview) -> tuple[int, int]:
        sealer.rekey(subkey_sha1(vector.data("key_hex"), salt))
        out[: len(salt)] = salt
        return 0, len(salt)

    return say(Sealer(vector.method, start, owes=True), chunks)


def response(vector: Vector) -> str:
    """A server's stream, both ways."""
    stream = vector.data("stream_hex")
    same(_make_response(vector, vector.datas("chunks_hex")), stream, "stream")
    hears_payload(vector.data("payload_hex"), stream, _client(vector))
    return ""


def response_hashed(vector: Vector) -> str:
    """A long one, both ways; chunks of the largest size also fall out of one bulk call."""
    chunks = generated(vector)
    stream = _make_response(vector, chunks)
    same_hash(stream, vector)
    if all(len(chunk) == vector.method.max_payload for chunk in chunks[:-1]):
        same_hash(_make_response(vector, [b"".join(chunks)]), vector)
    hears_payload(b"".join(chunks), stream, _client(vector))
    return ""


def _make_response(vector: Vector, payloads: list[bytes]) -> bytes:
    return make_response(make(vector), payloads, salt=vector.data("salt_hex"), request_salt=_request_salt(vector))


def _client(vector: Vector) -> partial[ClientHearing]:
    return partial(ClientHearing, make(vector), _request_salt(vector))


def _request_salt(vector: Vector) -> bytes:
    """Any salt but the answer's."""
    return bytes(byte ^ 0xFF for byte in vector.data("salt_hex"))


def request_error(vector: Vector) -> str:
    """A client's stream to refuse."""
    chunks = vector.datas("chunks_hex")
    address = vector.target.pack() if "target" in vector else b""
    return refuses(vector, partial(ServerHearing, make(vector)), payloads_of(chunks, address))


def response_error(vector: Vector) -> str:
    """A server's stream to refuse."""
    return refuses(vector, _client(vector), vector.datas("chunks_hex"))
