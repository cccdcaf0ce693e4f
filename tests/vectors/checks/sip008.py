"""sip008.json: documents of servers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from shadesocks.wire.sip008 import Sip008Error, parse_document
from tests.vectors.vector import Mismatch, Vector, same


def document(vector: Vector) -> str:
    """Read a document: every server of it, and what it says of traffic."""
    try:
        read = parse_document(vector.text("json"))
    except Sip008Error as error:
        raise Mismatch(f"refused: {error.code}") from None
    same(len(read.left_out), 0, "left out")
    same(len(read.servers), vector.number("server_count"), "servers")
    same(
        [_said(asdict(server)) for server in read.servers], [_said(each) for each in vector.items("servers")], "servers"
    )
    same(read.bytes_used, vector.fields.get("bytes_used"), "bytes_used")
    same(read.bytes_remaining, vector.fields.get("bytes_remaining"), "bytes_remaining")
    return ""


def document_error(vector: Vector) -> str:
    """Refuse a document, or leave out the server that is meant."""
    try:
        read = parse_document(vector.text("json"))
    except Sip008Error as error:
        return error.code
    if read.left_out and not read.servers:
        return read.left_out[0].error.code
    raise Mismatch("accepted")


def _said(server: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a server that say something: what is null or empty is as good as absent."""
    return {name: value for name, value in server.items() if value not in (None, "")}
