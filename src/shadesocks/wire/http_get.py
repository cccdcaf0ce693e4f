"""A page as it is asked for over HTTP/1.1 (RFC 9112): one request, and the status of the answer.

    client   GET /path HTTP/1.1             server   HTTP/1.1 204 No Content
             Host: host                              whatever else
             Connection: close
             (empty line)

Who probes a server wants to know that an answer came, and of which kind: nothing behind the status is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..core.errors import RemoteProtocolError

if TYPE_CHECKING:
    from ..core.page import Page
    from .shadow import Parser
    from .socks5 import Send

_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])")
_STATUS_SIZE: Final = len(b"HTTP/1.1 200")


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
