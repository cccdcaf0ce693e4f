"""Names asked of name servers through aiodns, which is c-ares: over UDP, and over TCP where an answer is cut short.

What c-ares does for us: a random id; an answer counts only if it matches the id, the question and the server; two
seconds for the first try, longer for the next; every server in turn; a server that fails is avoided for a while.

What is done here: A and AAAA are asked at once, and neither waits for the other for long (RFC 8305 §3). A channel,
as c-ares calls it, keeps one source port while it is busy, and remembers every answer, without a bound, for as long as
it lives: so each lives for `QUERIES_MOST` names or `AGE_MOST` seconds, and a new one has new ports and no memory.
Search domains are not tried: a target's name is whole. The names of the system (mDNS, VPNs) are `dns: system`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from socket import AF_INET, AF_INET6, if_indextoname
from time import monotonic
from typing import Any, Final, cast
from weakref import WeakSet

import aiodns
import pycares
from pycares import errno as ares

from ..core.address import pack_zoned
from ..core.errors import DialError
from ..core.nameserver import NameServer, Transport
from .lookup import ADDRESSES_MOST, RESOLUTION_DELAY, TTL_EMPTY, TTL_PARTIAL, Found, Outcome

TRY: Final = 2.0
"""Seconds of the first try at each server."""
TRIES: Final = 3
"""Rounds over all servers, each longer than the last. Whoever waits gives up after ten seconds in any case."""
QUERIES_MOST: Final = 64
"""Names asked over one channel. Making one costs 0.3 ms, so 5 us a name."""
PER_TURN: Final = 4
"""Names begun in one turn of the loop, at 0.3 ms each: 500 at once would hold up everybody else for 150 ms."""
AGE_MOST: Final = 30.0
"""Seconds that one channel is asked."""
RESOLV_CONF: Final = Path("/etc/resolv.conf")
FALLBACK: Final = ("8.8.8.8", "8.8.4.4")
"""Asked where the system names nobody: what the Python original did."""

_RECORDS: Final[dict[int, tuple[str, int]]] = {
    AF_INET: ("A", pycares.QUERY_TYPE_A),
    AF_INET6: ("AAAA", pycares.QUERY_TYPE_AAAA),
}
_NONE: Final = frozenset({ares.ARES_ENOTFOUND, ares.ARES_ENODATA, ares.ARES_EBADNAME})
"""Answers that are no failures: the name does not exist, or has no such address."""
_UNANSWERED: Final = frozenset({ares.ARES_ETIMEOUT})

log = logging.getLogger(__name__)


def system_servers(path: Path = RESOLV_CONF) -> tuple[NameServer, ...]:
    """Return the name servers of the system, IPv6 ones too; Google's, and a warning, where it names none."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    named = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    found = [host for host in named if pack_zoned(host) is not None]
    if not found:
        log.warning("%s names no name server; asking %s; set dns to choose others", path, " and ".join(FALLBACK))
    return tuple(NameServer(Transport.UDP, host) for host in found or FALLBACK)


class AresLookup:
    """A `lookup.Lookup` over the plain name servers given; of the system where none are."""

    def __init__(
        self,
        servers: Sequence[NameServer] = (),
        families: Sequence[int] = (AF_INET, AF_INET6),
        *,
        queries_most: int = QUERIES_MOST,
        find_servers: Callable[[], Sequence[NameServer]] = system_servers,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Make a look-up; nothing is asked yet.

        Args:
            servers: asked in their order; over TCP, all of them, where one is `tcp://`: UDP does not get through.
            families: AF_INET, AF_INET6 or both: what is asked for.
            queries_most: names asked over one channel; 1 where nothing is to be remembered.
            find_servers: whom the system asks; called once.
            clock: seconds of a monotonic clock.
        """
        servers = servers or find_servers()
        self._families = tuple(families)
        self._queries_most = queries_most
        self._clock = clock
        streams = any(server.transport is Transport.TCP for server in servers)
        self._options: dict[str, Any] = {
            "nameservers": [_written(server) for server in servers],
            "timeout": TRY,
            "tries": TRIES,
            "flags": pycares.ARES_FLAG_EDNS | (pycares.ARES_FLAG_USEVC if streams else 0),
        }
        self._channel: aiodns.DNSResolver | None = None
        self._channels: WeakSet[aiodns.DNSResolver] = WeakSet()
        """The one in use, and those that still have queries under way."""
        self._asked = 0
        self._made_at = 0.0
        self._waiting: deque[_Question] = deque()
        self._begun = 0
        """In this turn."""

    def start(self, name: str) -> asyncio.Future[Outcome]:
        """See `lookup.Lookup`. A cancelled query is forgotten; c-ares lets it run out."""
        question = _Question(name)
        self._waiting.append(question)
        if not self._begun:
            self._begin_some()
        return question.outcome

    def _begin_some(self) -> None:
        """Begin some of the questions that wait, and the others with the turns that follow."""
        self._begun = 0
        while self._waiting and self._begun < PER_TURN:
            question = self._waiting.popleft()
            if not question.outcome.done():
                self._begin(question)
                self._begun += 1
        if self._begun:
            asyncio.get_running_loop().call_soon(self._begin_some)

    def _begin(self, question: _Question) -> None:
        try:
            channel = self._fresh_channel()
        except (pycares.AresError, OSError) as error:
            question.outcome.set_exception(DialError("no_name", f"the name servers cannot be asked: {error}"))
            return
        for family in self._families:
            word, number = _RECORDS[family]
            question.ask(family, number, channel.query_dns(question.name, word))

    def _fresh_channel(self) -> aiodns.DNSResolver:
        now = self._clock()
        channel = self._channel
        if channel is None or self._asked >= self._queries_most or now - self._made_at >= AGE_MOST:
            # The old one ends by itself with its last query.
            channel = self._channel = aiodns.DNSResolver(loop=asyncio.get_running_loop(), **self._options)
            self._channels.add(channel)
            self._asked = 0
            self._made_at = now
        self._asked += 1
        return channel

    async def close(self) -> None:
        """See `lookup.Lookup`."""
        self._channel = None
        for question in self._waiting:
            question.outcome.cancel()
        self._waiting.clear()
        for channel in list(self._channels):
            await channel.close()


def _written(server: NameServer) -> str:
    """Return a server as c-ares reads it: a zone is the name of an interface, and stands at the end."""
    host, _, zone = server.host.partition("%")
    if zone.isdecimal():
        with suppress(OSError):
            zone = if_indextoname(int(zone))
    text = f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}"
    return f"{text}%{zone}" if zone else text


def _meaning(code: int) -> str:
    """Return c-ares's words for an error."""
    text = ares.strerror(code)
    return text.decode() if isinstance(text, bytes) else text


class _Question:
    """One name that is asked about: one query for each family, and what they brought."""

    __slots__ = ("_empty", "_failure", "_found", "_open", "_patience", "_ttl", "name", "outcome")

    def __init__(self, name: str) -> None:
        self.name = name
        loop = asyncio.get_running_loop()
        self.outcome: asyncio.Future[Outcome] = loop.create_future()
        self._open: dict[int, asyncio.Future[pycares.DNSResult]] = {}
        self._found: dict[int, list[Found]] = {}
        self._ttl = float("inf")
        self._empty = False
        self._failure: int | None = None
        self._patience: asyncio.TimerHandle | None = None
        self.outcome.add_done_callback(self._forget)

    def ask(self, family: int, number: int, query: asyncio.Future[pycares.DNSResult]) -> None:
        """Take a query that is under way."""
        self._open[family] = query
        query.add_done_callback(partial(self._arrive, family, number))

    def _forget(self, _outcome: asyncio.Future[Outcome]) -> None:
        """The outcome is known, or nobody wants it any more."""
        if self._patience is not None:
            self._patience.cancel()
        for query in self._open.values():
            query.cancel()
        self._open.clear()

    def _arrive(self, family: int, number: int, query: asyncio.Future[pycares.DNSResult]) -> None:
        if self._open.pop(family, None) is None:
            if not query.cancelled():
                query.exception()  # asked for, or the loop would complain that nobody did
            return
        error = query.exception()
        if error is None:
            self._take(family, number, query.result())
        elif isinstance(error, aiodns.error.DNSError) and error.args and error.args[0] in _NONE:
            self._empty = True
        else:
            self._failure = error.args[0] if error.args else ares.ARES_ESERVFAIL
        if not self._open:
            self._finish()
        elif self._found and self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(RESOLUTION_DELAY, self._finish)

    def _take(self, family: int, number: int, result: pycares.DNSResult) -> None:
        found: list[Found] = []
        for record in result.answer:
            self._ttl = min(self._ttl, record.ttl)
            if record.type == number and len(found) < ADDRESSES_MOST:
                # The record's type says which of fourteen classes its data is of.
                found.append((family, cast("pycares.ARecordData", record.data).addr))
        if found:
            self._found[family] = found
        else:
            self._empty = True

    def _finish(self) -> None:
        if self.outcome.done():
            return
        if self._found:
            addresses = tuple(found for family in sorted(self._found) for found in self._found[family])
            # Without the one that came late: soon asked for again.
            self.outcome.set_result(Outcome(addresses, min(self._ttl, TTL_PARTIAL) if self._open else self._ttl))
        elif self._failure is None:
            self.outcome.set_result(Outcome((), TTL_EMPTY))
        elif self._failure in _UNANSWERED:
            self.outcome.set_exception(DialError("dial_timeout", f"no name server answered for {self.name}"))
        else:
            text = f"the name servers have no answer for {self.name}: {_meaning(self._failure)}"
            self.outcome.set_exception(DialError("no_name", text))
