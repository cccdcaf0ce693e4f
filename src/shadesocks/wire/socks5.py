"""SOCKS5: the bytes of RFC 1928 and RFC 1929, and the talk that opens a connection (protocol §12.1).

    client   05 count methods...                    server   05 method           00 none, 02 login, FF none fits
             01 size user size password                      01 status           00 welcome; only after method 02
             05 command 00 ADDRESS                           05 reply 00 ADDRESS
             payload                                         payload

Who calls it: the SOCKS inbound drives `serve`, whoever goes through a SOCKS5 proxy
drives `ask`. Each is a parser for `reader.Reader`, so any split and any pipelining
of the peer's bytes is one to it, and payload that came early is the reader's rest.
What they have to say to the peer they hand to `send`, in the order it must leave; the
caller sends it after every feed, the one that raised included. Nothing here waits,
dials or resolves, and no error repeats what a peer sent. Datagrams (RFC 1928 §7) are in `packet_plain.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..core.address import IPV4, IPV6, NAME, Address, Buffer, parse_address
from ..core.errors import LocalProtocolError, RemoteProtocolError
from ..core.reasons import reason
from ..crypto.digests import compare_digest

if TYPE_CHECKING:
    from .shadow import Parser

VERSION: Final = 5
LOGIN_VERSION: Final = 1
"""RFC 1929 §2: the version of the login, not of SOCKS."""

# Methods, RFC 1928 §3.
NO_LOGIN: Final = 0x00
LOGIN: Final = 0x02
NO_METHOD: Final = 0xFF

# Commands, RFC 1928 §4.
CONNECT: Final = 1
BIND: Final = 2
UDP_ASSOCIATE: Final = 3

SUCCEEDED: Final = 0
"""REP of a success; all others come from `reply_code`."""

WELCOME: Final = 0x00
UNWELCOME: Final = 0xFF
"""RFC 1929 §2: any status but 0 is a failure; this is what shadowsocks-rust sends."""

REPLY_WORDS: Final = {
    2: "denied",
    3: "unreachable",
    4: "host_unreachable",
    5: "refused",
    6: "dial_timeout",
    7: "bad_command",
    8: "bad_address",
}
"""REP codes of RFC 1928 §6 and the reason word each means to a client."""

_REST_OF_IP: Final = {IPV4: 4 + 2, IPV6: 16 + 2}
"""Bytes after ATYP: host and port."""
_LOGIN_FIELD_MAX: Final = 255
_UNBOUND: Final = Address("0.0.0.0", 0)  # noqa: S104 - nothing is bound to it: "no address", which clients ignore

Send = Callable[[bytes], object]
"""Takes bytes for the peer; `bytearray.extend` does."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a client asks for once it is let in."""

    code: int
    """CONNECT or UDP_ASSOCIATE."""
    target: Address
    """For UDP_ASSOCIATE the address the client means to send from, often 0.0.0.0:0."""
    user: str = ""
    """Who logged in; empty where nobody has to."""


def serve(
    send: Send, commands: Collection[int] = (CONNECT,), users: Mapping[str, str] | None = None
) -> Parser[Command]:
    """The server's side, up to the request; the reply to it is the caller's, once it has dialled.

    Args:
        commands: the codes that are served; others are refused with reply 07.
        users: names and passwords; None lets everybody in without a login.

    Raises:
        RemoteProtocolError: once the answer to it was handed to `send`: `bad_greeting`, `no_method`, `bad_login`,
            `bad_command`, `bad_address`, or a word of `parse_address`.
    """
    version, count = yield 2
    if version != VERSION:
        raise RemoteProtocolError("bad_greeting")  # another protocol: no answer would be understood
    method = choose_method((yield count), login=users is not None)
    send(pack_method(method))
    if method == NO_METHOD:
        raise RemoteProtocolError("no_method")
    user = ""
    if users is not None:
        user = yield from _serve_login(send, users)
    try:
        return (yield from _serve_request(commands, user))
    except RemoteProtocolError as error:
        send(pack_reply(reply_code(error.code)))
        raise


def choose_method(offered: Buffer, *, login: bool) -> int:
    """Return the method to answer: LOGIN or NO_LOGIN, whichever is ours, NO_METHOD when it was not offered."""
    ours = LOGIN if login else NO_LOGIN
    return ours if ours in bytes(offered) else NO_METHOD


def _serve_login(send: Send, users: Mapping[str, str]) -> Parser[str]:
    """Read one login whole, then judge it: a byte left unread would turn the close into a reset (RFC 1929)."""
    version, size = yield 2
    if version != LOGIN_VERSION:
        send(pack_login_status(UNWELCOME))
        raise RemoteProtocolError("bad_login")
    user = bytes((yield size))  # a copy: the view is of the caller's buffer, which the next read fills anew
    (size,) = yield 1
    password = yield size
    name = user.decode(errors="replace")
    # An unknown name costs the same comparison as a known one.
    known = users.get(name, "").encode()
    if not compare_digest(password, known) or not user or not password:
        send(pack_login_status(UNWELCOME))
        raise RemoteProtocolError("bad_login")
    send(pack_login_status(WELCOME))
    return name


def _serve_request(commands: Collection[int], user: str) -> Parser[Command]:
    version, code, _, kind = yield 4
    if version != VERSION:
        raise RemoteProtocolError("bad_greeting")
    target = yield from _read_address(kind)
    if code not in commands:
        raise RemoteProtocolError("bad_command")
    return Command(code, target, user)


def _read_address(kind: int) -> Parser[Address]:
    """Read what follows ATYP."""
    if kind == NAME:
        size = yield 1
        packed = bytes((NAME, *size)) + (yield size[0] + 2)
    elif kind in _REST_OF_IP:
        packed = bytes((kind,)) + (yield _REST_OF_IP[kind])
    else:
        raise RemoteProtocolError("bad_address")
    return parse_address(packed)[0]


def ask(
    send: Send, target: Address, *, command: int = CONNECT, login: tuple[str, str] | None = None
) -> Parser[Address]:
    """The client's side, whole: returns the address of the server's reply.

    Args:
        login: name and password, used when the server wants them.

    Raises:
        LocalProtocolError: the target or the login has no form on the wire.
        RemoteProtocolError: `bad_greeting` for what is no SOCKS5, `no_method`, `bad_login`, `bad_address`,
            or for a refusal the dial word that stands for its reply code.
    """
    request = pack_request(command, target)
    send(pack_greeting(login=login is not None))
    version, method = yield 2
    if version != VERSION:
        raise RemoteProtocolError("bad_greeting")
    if method == LOGIN and login is not None:
        send(pack_login(*login))
        _, status = yield 2
        if status != WELCOME:
            raise RemoteProtocolError("bad_login")
    elif method != NO_LOGIN:
        raise RemoteProtocolError("no_method")
    send(request)
    version, code, _, kind = yield 4
    if version != VERSION:
        raise RemoteProtocolError("bad_greeting")
    if code != SUCCEEDED:
        raise RemoteProtocolError(REPLY_WORDS.get(code, "refused"), f"the SOCKS5 proxy answered {code:#04x}")
    return (yield from _read_address(kind))


def reply_code(word: str) -> int:
    """Return the REP code that tells a client about a reason word (or a word of the wire)."""
    return reason(word).reply


def pack_greeting(*, login: bool) -> bytes:
    """The client's first message: no login, and a login if it has one."""
    return bytes((VERSION, 2, NO_LOGIN, LOGIN)) if login else bytes((VERSION, 1, NO_LOGIN))


def pack_method(method: int) -> bytes:
    """The server's answer to the greeting."""
    return bytes((VERSION, method))


def pack_login(user: str, password: str) -> bytes:
    """A login, RFC 1929 §2.

    Raises:
        LocalProtocolError: a field is empty or longer than 255 bytes.
    """
    fields = [text.encode() for text in (user, password)]
    if not all(0 < len(field) <= _LOGIN_FIELD_MAX for field in fields):
        raise LocalProtocolError("bad_login", "a SOCKS5 user name and its password have 1 to 255 bytes each")
    return bytes((LOGIN_VERSION,)) + b"".join(bytes((len(field),)) + field for field in fields)


def pack_login_status(status: int) -> bytes:
    """The server's answer to a login."""
    return bytes((LOGIN_VERSION, status))


def pack_request(command: int, target: Address) -> bytes:
    """The client's request."""
    return bytes((VERSION, command, 0)) + target.pack()


def pack_reply(code: int, bound: Address = _UNBOUND) -> bytes:
    """The server's reply; always whole, since libev's four bytes for 07 and 08 leave clients waiting."""
    return bytes((VERSION, code, 0)) + bound.pack()
