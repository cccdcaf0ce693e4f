"""URLs as people write them: what is one, and which of them name a document of servers (`online_config.config_url`).

    https://HOST[:PORT]/PATH        fetched as it is
    ssconf://HOST[:PORT]/PATH       the same under the name that Outline gives it
    http://127.0.0.1:PORT/PATH      from this machine only

Whoever holds such an address gets the keys, so no sentence repeats a part of one, and logs name its host only.
"""

from __future__ import annotations

import re
from typing import Final

from .hosts import UnfitError, check_host, check_port, is_loopback, split_port

URL_MAX: Final = 4096
"""Characters: servers of the Web refuse longer ones (most of them above 8,000)."""
OUTLINE: Final = "ssconf"
"""Outline's scheme of addresses of documents."""
FOR_CLIENTS: Final = "ssconf:// is where a client finds its servers; a server has no use for it"

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*://")
"""What a URL begins with. No path has two slashes behind a colon, unless somebody wants it so."""
_SHAPE: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)(?:#.*)?")
_EXPECTED: Final = "this is no address of a document: one begins with https:// or ssconf:// and the name of a host"
_OPEN: Final = (
    "http:// would let anybody on the way read the keys and hand out servers of his own; write https://, which the "
    "place of the document must serve (http:// is taken from this machine only)"
)


def is_url(text: str) -> bool:
    """Whether this is a URL, and no file's path."""
    return _SCHEME.match(text) is not None


def check_url(text: str) -> str:
    """Return the https:// (or loopback http://) address of a document, without the label behind a `#`.

    Raises:
        UnfitError: it is none.
    """
    text = text.strip()
    # Before the shape, which takes a time that grows with the square of what a line end is in.
    if len(text) > URL_MAX or not (text.isascii() and text.isprintable()) or " " in text:
        raise UnfitError(_EXPECTED)
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise UnfitError(_EXPECTED)
    scheme, place, path = found[1].lower(), found[2], found[3]
    if scheme not in ("https", "http", OUTLINE):
        raise UnfitError(_EXPECTED)
    if "@" in place:
        raise UnfitError("the address of a document has no user and no password; its secret stands in the path")
    host, port = split_port(place)
    name = check_host(host)
    if port:
        check_port(port)
    if scheme == "http" and not is_loopback(name):
        raise UnfitError(_OPEN)
    if not path.startswith("/"):
        path = f"/{path}"
    return f"{'http' if scheme == 'http' else 'https'}://{place}{path}"


def host_of(url: str) -> str:
    """Return the host of a checked address, with its port: what may stand in a log."""
    return url.partition("://")[2].partition("/")[0]
