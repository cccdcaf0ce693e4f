"""The talk with a proxy on the way: ask, hear the answer, and hand the connection on as a tunnel.

What lies before the proxy does not matter: the bytes of the talk go through whatever the end they travel by does to
them, so a proxy can be asked through a Shadowsocks server, and another through that proxy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from ...core.errors import DialError, RemoteProtocolError
from ...net.options import NOW
from ...net.pipe import READ_MIN
from ...net.poller import READ, WRITE
from ...net.story import ready
from ...wire.nested import PlainAhead
from ...wire.reader import Reader
from ...wire.socks5 import REPLY_WORDS, Send
from ..seams import First
from .shadowsocks import Connect

if TYPE_CHECKING:
    from ...net.end import End
    from ...net.lane import Lane
    from ...net.pipe import Scratch
    from ...net.reactor import Reactor
    from ...wire.shadow import Parser

Result = TypeVar("Result")

_TOLD: Final = frozenset(REPLY_WORDS.values()) | {"bad_login", "no_method"}
"""What a proxy says of a target, or of us. Any other word is about its bytes: `bad_hop`."""


@dataclass(frozen=True, slots=True)
class Means:
    """What every talk needs."""

    reactor: Reactor
    scratch: Scratch
    deadline: Lane
    """How long one proxy has to answer, from the moment it is connected to."""


async def converse(
    means: Means, connect: Connect, parse: Callable[[Send], Parser[Result]], first: First = b""
) -> tuple[End, Result]:
    """Connect to a proxy, talk as `parse` says, and send `first` behind the talk.

    Returns:
        The end, as the proxy's tunnel: what came behind the answer is in its `held`, what the socket did not take of
        `first` in its `tail`; and what the parser returned.

    Raises:
        DialError: of the connect; what the proxy said; `bad_hop`, `bad_server` (a Shadowsocks server before it),
            `dial_timeout`.
        LocalProtocolError: the parser's, for what cannot be said.
    """
    said = bytearray()
    reader = Reader(parse(said.extend))
    opening = bytes(said)
    said.clear()
    end = await connect(opening)
    story = means.reactor.current
    assert story is not None, "a proxy is talked to in a story"
    means.deadline.start(story)
    try:
        result = await _hear(means.scratch, end, reader, said)
        if first:
            _say(means.scratch, end, first)
        _flush(end)
    except BaseException as error:
        means.reactor.close(end.sock)
        raise _dial_error(error) from None
    finally:
        means.deadline.cancel(story)
    return end, result


async def _hear(scratch: Scratch, end: End, reader: Reader[Result], said: bytearray) -> Result:
    """Talk up to the parser's result, sending what it says meanwhile."""
    sock, fd = end.sock, end.fd
    there = bool(end.held)  # an earlier proxy's answer may have had some of this one's behind it
    while True:
        if said:
            _say(scratch, end, said)
            said.clear()
        while not _flush(end):
            await ready(fd, WRITE)
        upto = len(end.held)
        if not there:
            await ready(fd, READ)
            try:
                size = sock.recv_into(scratch.inward[upto:], READ_MIN, NOW)
            except BlockingIOError:
                continue
            if not size:
                raise DialError("bad_hop", "the proxy ended the connection instead of answering")
            upto += size
        there = False
        result = reader.feed(_open(scratch, end, upto))
        if result is not None:
            break
    if said:  # it answered before it was asked
        _say(scratch, end, said)
    rest = reader.rest
    if rest and end.opener is not None:
        end.opener = PlainAhead(end.opener, len(rest))
    end.held = rest + end.held
    return result


def _open(scratch: Scratch, end: End, upto: int) -> memoryview:
    """Return what is whole of the end's bytes up to there, open."""
    inward = scratch.inward
    inward[: len(end.held)] = end.held
    end.held = b""
    if end.opener is None:
        return inward[:upto]
    out = scratch.outward
    try:
        used, made = end.opener.open(inward, upto, out)
    except RemoteProtocolError:
        raise DialError("bad_server") from None
    end.held = bytes(inward[used:upto])
    return out[:made]


def _say(scratch: Scratch, end: End, message: First) -> None:
    """Put a message behind what is to be sent."""
    if end.sealer is None:
        end.tail += bytes(message)
        return
    out = scratch.outward
    end.tail += bytes(out[: end.sealer.seal(memoryview(message), len(message), out)])


def _flush(end: End) -> bool:
    """Send what the socket takes; True when that was all."""
    if end.tail:
        try:
            end.tail = end.tail[end.sock.send(end.tail, NOW) :]
        except BlockingIOError:
            return False
    return not end.tail


def _dial_error(error: BaseException) -> BaseException:
    """Return what a dialer raises for it."""
    if isinstance(error, RemoteProtocolError):
        return DialError(error.code if error.code in _TOLD else "bad_hop", str(error))
    if isinstance(error, TimeoutError):
        return DialError("dial_timeout", "the proxy did not answer in time")
    if isinstance(error, OSError):
        return DialError("bad_hop", f"the connection to the proxy broke: {error.strerror}")
    return error
