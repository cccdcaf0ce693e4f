"""stream.json: stream ciphers, and the one method in it that needs no cipher, `none`."""

from __future__ import annotations

from functools import partial

from tests.vectors.checks.streams import hears_payload, hears_request, make, refuses
from tests.vectors.vector import Vector, same
from tests.wire.hearing import ClientHearing, ServerHearing, make_request, make_response


def request(vector: Vector) -> str:
    """A client's stream, both ways."""
    shadow, stream = make(vector), vector.data("stream_hex")
    same(vector.target.pack() + vector.data("payload_hex"), vector.data("plaintext_hex"), "plaintext")
    for payloads in ([vector.data("payload_hex")], [b"", vector.data("payload_hex")]):
        same(make_request(shadow, vector.target, payloads, salt=vector.data("iv_hex")), stream, "stream")
    hears_request(vector, stream, partial(ServerHearing, shadow))
    return ""


def response(vector: Vector) -> str:
    """A server's stream, both ways; the request has another IV."""
    shadow, payload, stream, iv = make(vector), *map(vector.data, ("payload_hex", "stream_hex", "iv_hex"))
    request_iv = bytes(byte ^ 0xFF for byte in iv)
    same(payload, vector.data("plaintext_hex"), "plaintext")
    same(make_response(shadow, [payload], salt=iv, request_salt=request_iv), stream, "stream")
    hears_payload(payload, stream, partial(ClientHearing, shadow, request_iv))
    return ""


def request_error(vector: Vector) -> str:
    """A stream to refuse."""
    return refuses(vector, partial(ServerHearing, make(vector)), [])
