"""stream.json: the one method in it that needs no cipher, `none`."""

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
        same(make_request(shadow, vector.target, payloads, salt=b""), stream, "stream")
    hears_request(vector, stream, partial(ServerHearing, shadow))
    return ""


def response(vector: Vector) -> str:
    """A server's stream, both ways."""
    shadow, payload, stream = make(vector), vector.data("payload_hex"), vector.data("stream_hex")
    same(make_response(shadow, [payload], salt=b"", request_salt=b""), stream, "stream")
    hears_payload(payload, stream, partial(ClientHearing, shadow, b""))
    return ""


def request_error(vector: Vector) -> str:
    """A stream to refuse."""
    return refuses(vector, partial(ServerHearing, make(vector)), [])
