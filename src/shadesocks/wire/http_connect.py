"""HTTP CONNECT as its client speaks it (RFC 9110 §9.3.6, RFC 9112): one request, and the head of the answer.

    client   CONNECT host:port HTTP/1.1             proxy   HTTP/1.1 200 Connection established
             Host: host:port                                any headers
             Proxy-Authorization: Basic ...                 (empty line)
             (empty line)
             payload                                        payload

Of the answer only the status counts: a success has no body whatever its headers say, and a refusal ends the
connection. So headers are not taken apart; folded ones, and lines without CR, are no case of their own. What comes
behind the empty line is the reader's rest.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from ..core.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from ..core.address import Address
    from .shadow import Parser
    from .socks5 import Send

HEAD_MAX: Final = 16 * 1024
"""Bytes of all heads of one answer: what proxies say is some hundred."""

STATUS_WORDS: Final = {
    401: "bad_login",
    407: "bad_login",
    404: "host_unreachable",
    405: "bad_command",
    501: "bad_command",
    408: "dial_timeout",
    504: "dial_timeout",
}
"""Statuses that say more than their class, and the reason word of each."""
_CLASS_WORDS: Final = {3: "bad_hop", 4: "denied", 5: "host_unreachable"}

_START: Final = b"HTTP/1."
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[0-9] +([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")
_NO_HOST: Final = frozenset('/?#@\\[]<>"^`{|}%')
"""Characters that would make a name something else where it stands in a request (RFC 3986 §3.2.2)."""


def ask(send: Send, target: Address, *, login: tuple[str, str] | None = None) -> Parser[int]:
    """Ask for a tunnel; returns the status, 200 to 299.

    Args:
        send: takes the request.
        login: user and password for `Basic` (RFC 7617), sent unasked.

    Raises:
        LocalProtocolError: the target or the login has no form in a request. Nothing was sent.
        RemoteProtocolError: `bad_hop` for what is no answer; for a refusal the dial word that stands for its status.
    """
    send(pack_request(target, login))
    room = HEAD_MAX
    status = 0
    while status < 200:  # 1xx are interim: more follows (RFC 9110 §15.2)
        head = yield from _read_head(room)
        room -= len(head)
        line = _STATUS_LINE.match(head)
        if line is None:
            raise RemoteProtocolError("bad_hop", "the HTTP proxy's answer has no status line")
        status = int(line[1])
        if status == 101:
            raise RemoteProtocolError("bad_hop", "the HTTP proxy switches protocols instead of tunnelling")
    if status >= 300:
        word = STATUS_WORDS.get(status) or _CLASS_WORDS[status // 100]
        raise RemoteProtocolError(word, f"the HTTP proxy answered {status}")
    return status


def _read_head(room: int) -> Parser[bytes]:
    """Read up to the empty line. Asked for is never more than what must come at least: what follows is payload."""
    head = bytearray()
    while True:
        one = head.endswith((b"\n", b"\n\r"))  # one byte may complete it; else it takes two
        head += yield 1 if one else 2
        if head[: len(_START)] != _START[: len(head)]:
            raise RemoteProtocolError("bad_hop", "the HTTP proxy speaks another protocol")
        if head.endswith((b"\n\n", b"\n\r\n")):
            return bytes(head)
        if len(head) > room - 2:
            raise RemoteProtocolError("bad_hop", "the HTTP proxy's answer is too long")


def pack_request(target: Address, login: tuple[str, str] | None = None) -> bytes:
    """Return the request.

    Raises:
        LocalProtocolError: `bad_domain`, `bad_port`, `bad_login`.
    """
    authority = _authority(target)
    lines = [b"CONNECT " + authority + b" HTTP/1.1", b"Host: " + authority]
    if login is not None:
        lines.append(b"Proxy-Authorization: Basic " + b64encode(pack_login(*login)))
    return b"\r\n".join([*lines, b"", b""])


def pack_login(user: str, password: str) -> bytes:
    """Return `user:password` (RFC 7617 §2).

    Raises:
        LocalProtocolError: there is a colon in the user's name, or a control character in either.
    """
    if ":" in user or any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in user + password):
        raise LocalProtocolError("bad_login", "an HTTP user name has no colon, and a login no control characters")
    return f"{user}:{password}".encode()


def _authority(target: Address) -> bytes:
    """Return host and port as a request names them: IPv6 in brackets, a name as IDNA."""
    packed = target.pack()  # raises where the address is none
    host = target.host
    if packed[0] == 3:
        if ":" in host or not _NO_HOST.isdisjoint(host):
            raise LocalProtocolError("bad_domain", "the name has characters that no HTTP request can name")
        host = packed[2:-2].decode("ascii")
    elif ":" in host:
        host = f"[{host}]"
    return f"{host}:{target.port}".encode()
