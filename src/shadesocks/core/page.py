"""A page: what an http:// URL names. No login, no fragment: what probes ask for has neither."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from .address import Address, in_ascii
from .errors import DialError, LocalProtocolError

PORT: Final = 80
_PATH: Final = re.compile(r"/[\x21-\x7e]*")


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
