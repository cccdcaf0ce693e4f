"""aead2022_tcp.json: SIP022 streams."""

from __future__ import annotations

from functools import partial

from shadesocks.crypto.replay import open_salts
from shadesocks.wire.aead2022 import Aead2022Shadow
from tests.vectors.checks.streams import generated, heard, hears_payload, hears_request, make, refuses, same_hash
from tests.vectors.vector import Mismatch, Vector, holds, same
from tests.wire.hearing import ClientHearing, ServerHearing, make_request, make_response


def request(vector: Vector) -> str:
    """A client's stream, both ways."""
    stream = vector.data("stream_hex")
    same(_make_request(vector), stream, "stream")
    hears_request(vector, stream, _server(vector))
    return ""


def _make_request(vector: Vector) -> bytes:
    padding = vector.data("padding_hex")
    shadow = Aead2022Shadow(vector.method, vector.datas("psk_hex")[-1], lambda _size, _random: padding)
    payloads = [vector.data("initial_payload_hex"), *vector.datas("chunks_hex")]
    salt, now = vector.data("salt_hex"), vector.number("timestamp")
    return make_request(shadow, vector.target, payloads, salt=salt, now=now)


def _server(vector: Vector) -> partial[ServerHearing]:
    return partial(ServerHearing, make(vector), vector.number("server_now"))


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
    return make_response(
        make(vector),
        payloads,
        salt=vector.data("salt_hex"),
        request_salt=vector.data("request_salt_hex"),
        now=vector.number("timestamp"),
    )


def _client(vector: Vector) -> partial[ClientHearing]:
    return partial(ClientHearing, make(vector), vector.data("request_salt_hex"), vector.number("client_now"))


def request_error(vector: Vector) -> str:
    """A client's stream to refuse."""
    return refuses(vector, _server(vector), [vector.data("initial_payload_hex"), *vector.datas("chunks_hex")])


def response_error(vector: Vector) -> str:
    """A server's stream to refuse."""
    return refuses(vector, _client(vector), vector.datas("chunks_hex"))


def request_first_read(vector: Vector) -> str:
    """A first read of some size, with the letter of the specification on; accepted at leisure without it."""
    stream, size = vector.data("stream_hex"), vector.number("first_read_len")
    begin = _server(vector)
    relaxed = begin()
    relaxed.hears([stream[:size], stream[size:]])
    same(relaxed.word, "", "refusal without strict_first_read")
    same(relaxed.request and relaxed.request.target, vector.target, "target without strict_first_read")
    server = begin(strict_first_read=True)
    server.hears([stream[:size], stream[size:]])
    if "error" not in vector:
        heard(vector, server)
    else:
        holds(bool(server.word), "accepted")
        same(server.payload, b"", "payload before the refusal")
    return server.word


def request_replay(vector: Vector) -> str:
    """The same stream twice to one server."""
    salts = open_salts(None, vector.method.edition, clock=float)
    try:
        begin = partial(_server(vector), known=salts.known, insert=salts.insert)
        first = begin()
        first.hears([vector.data("stream_hex")])
        heard(vector, first)
        second = begin()
        second.hears([vector.data("stream_hex")])
        if not second.word:
            raise Mismatch("the second was accepted")
        same(second.word, "salt_reused", "refusal of the second")
        same(second.payload, b"", "payload of the second")
    finally:
        salts.close()
    return ""
