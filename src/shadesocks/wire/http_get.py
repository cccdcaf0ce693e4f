"""A page as it is asked for over HTTP/1.1 (RFC 9112): one request, and the status of the answer.

    client   GET /path HTTP/1.1             server   HTTP/1.1 204 No Content
             Host: host                              whatever else
             Connection: close
             (empty line)

Who probes a server wants to know that an answer came, and of which kind: nothing behind the status is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from ..core.address import Address, in_ascii
from ..core.errors import DialError, LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from .shadow import Parser
    from .socks5 import Send

PORT: Final = 80
_PATH: Final = re.compile(r"/[\x21-\x7e]*")
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])")
_STATUS_SIZE: Final = len(b"HTTP/1.1 200")


@dataclass(frozen=True, slots=True)
class Page:
    """What is asked for, and where."""

    target: Address
    authority: str
    """Host and port as the request names them."""
    path: str


def parse_page(url: str) -> Page:
    """Return the page of an http:// URL.

    Raises:
        LocalProtocolError: `bad_url`; the text says what is wrong, without repeating it.
    """
    parts = _split(url)
    if parts is None or parts.scheme != "http":
        raise LocalProtocolError("bad_url", "the URL begins with http://")
    if "@" in parts.netloc or not parts.hostname:
        raise LocalProtocolError("bad_url", "the URL names a host, and no user")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if _PATH.fullmatch(path) is None:
        raise LocalProtocolError("bad_url", "the path of the URL is ASCII without blanks")
    try:
        port = parts.port or PORT
        target = in_ascii(Address(parts.hostname, port))
        target.pack()
    except (DialError, ValueError, LocalProtocolError):
        raise LocalProtocolError("bad_url", "the URL names no host and port that can be connected to") from None
    host = f"[{target.host}]" if ":" in target.host else target.host
    return Page(target, host if port == PORT else f"{host}:{port}", path)


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def ask(send: Send, page: Page) -> Parser[int]:
    """Ask for a page; returns the status.

    Raises:
        RemoteProtocolError: `bad_answer` for what is no HTTP.
    """
    lines = (f"GET {page.path} HTTP/1.1", f"Host: {page.authority}", "Accept: */*", "Connection: close", "", "")
    send("\r\n".join(lines).encode("ascii"))
    found = _STATUS.match(bytes((yield _STATUS_SIZE)))
    if found is None:
        raise RemoteProtocolError("bad_answer", "the answer is no HTTP")
    return int(found[1])
