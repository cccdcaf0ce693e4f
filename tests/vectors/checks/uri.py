"""uri.json: links."""

from __future__ import annotations

from dataclasses import fields, replace

from shadesocks.wire.uri import Link, UriError, format_link, parse_link
from tests.vectors.vector import Mismatch, Unsupported, Vector, same

_FIELDS = [field.name for field in fields(Link)]


def parse(vector: Vector) -> str:
    """Read a link; writing it and reading it again changes nothing."""
    try:
        link = parse_link(vector.text("uri"))
    except UriError as error:
        if vector.fields.get("optional"):
            raise Unsupported("an optional form") from None
        raise Mismatch(f"refused: {error.code}") from None
    wanted = vector.table("result")
    for name in _FIELDS:  # one that is not there is null
        same(getattr(link, name), wanted.get(name), name)
    written = parse_link(format_link(link))
    same(written == replace(link, host=_in_ascii(link.host)), True, "round trip")
    return ""


def parse_error(vector: Vector) -> str:
    """Refuse a link."""
    try:
        parse_link(vector.text("uri"))
    except UriError as error:
        return error.code
    raise Mismatch("accepted")


def generate(vector: Vector) -> str:
    """Write the exact text."""
    known = {name: value for name, value in vector.table("input").items() if name in _FIELDS}
    same(format_link(Link(**known)), vector.text("uri"), "link")
    return ""


def _in_ascii(host: str) -> str:
    """Return a host as it is written: a name beyond ASCII in its IDNA form."""
    return host if host.isascii() else host.encode("idna").decode()
