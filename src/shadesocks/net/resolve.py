"""Names become addresses: literals, the hosts file, a cache, and then a look-up that all who ask for the name share.

Called by `connect` in stories, which need not be tasks, and for datagrams: `cached` answers at once, `lookup` returns a
plain future. Literals and the hosts file come near no name server, so dead ones do not touch them. Nothing here judges
an address (`origin` does, after us) and nothing asks twice: the addresses that are judged are the ones dialled.

One look-up is under way for a name, whoever waits for it. A waiter gives up after 10 s, or when it is cancelled; a
look-up that nobody waits for any more is cancelled, too. Where the name servers fail, what they said before serves
on: at once when they failed the last time, else after 1.8 s (RFC 8767 §5).
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from ..core.address import pack_ip
from ..core.errors import DialError
from ..core.names import fold_name
from .lookup import Lookup, Outcome
from .name_cache import Answer, NameCache

TIMEOUT: Final = 10.0
"""Seconds that a waiter waits: as long as a dial."""
STALE_AFTER: Final = 1.8
"""Seconds that it waits where an old answer is at hand (RFC 8767 §5: the client response timer)."""
TOLD_AGE: Final = 1.0
"""Seconds that a turn lasts at the most."""
PENDING_MOST: Final = 1024
"""Waiters at once. At 50 ms an answer, 20,000 names a second; with dead name servers, 100 a second that give up."""
NAME_SIZE_MOST: Final = 253
"""Characters of a name (RFC 1035 §2.3.4: 255 bytes on the wire)."""

log = logging.getLogger(__name__)

_NAME: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
"""Letters, digits, hyphens (RFC 1123 §2.1), and underscores, which many names have."""
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.DOTALL)
"""Ends in a number: some system's spelling of an IPv4 address, and no name (RFC 1123 §2.1; WHATWG URL)."""

_ZONE: Final = re.compile(r"0|[1-9][0-9]{0,8}|(?![0-9]+$)[A-Za-z0-9._-]{1,15}")
"""An interface's number, or its name (RFC 4007 §11.2); only multicast and link-local addresses have one (§6)."""


class HostsFile(Protocol):
    """The names that the system's own file gives; `hosts.Hosts`."""

    def find(self, name: str) -> Answer | None:
        """Return the addresses of a name; None where the file does not say."""


class NoHosts:
    """A hosts file that says nothing."""

    def find(self, _name: str) -> Answer | None:
        """Say nothing."""
        return None


def fold(host: str) -> str:
    """Return a name as it is looked up: ASCII, lower case, without the dot at the end.

    Raises:
        DialError: `no_name`, it cannot be a host's name.
    """
    try:
        name = fold_name(host)
    except ValueError:
        name = ""
    if len(name) > NAME_SIZE_MOST or not _NAME.fullmatch(name) or _NUMBER.fullmatch(name):
        raise DialError("no_name", f"{host} cannot be a host's name")
    return name


def literal(host: str) -> Answer | None:
    """Return an IP text as the one address that it is; None for a name. A zone stays where it means something."""
    ip, percent, zone = host.partition("%") if ":" in host else (host, "", "")
    packed = pack_ip(ip)
    if packed is None or (percent and not _ZONE.fullmatch(zone)):
        return None
    if percent and (packed[0] == 0xFF or (packed[0] == 0xFE and packed[1] & 0xC0 == 0x80)):
        ip = host
    return ((int(socket.AF_INET if len(packed) == 4 else socket.AF_INET6), ip),)


class _Query:
    """A name that is looked up, and who waits for it."""

    __slots__ = ("began_at", "name", "outcome", "waiters")

    def __init__(self, name: str, began_at: float, outcome: asyncio.Future[Outcome]) -> None:
        self.name = name
        self.began_at = began_at
        self.outcome = outcome
        self.waiters: dict[asyncio.Future[Answer], asyncio.TimerHandle] = {}
        """Each with what ends its patience."""


class Resolver:
    """Looks names up for one event loop."""

    def __init__(
        self,
        lookup: Lookup,
        cache: NameCache,
        hosts: HostsFile | None = None,
        *,
        ipv6_first: bool = False,
        ipv6_only: bool = False,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Make a resolver, which owns the look-up from now on.

        Args:
            lookup: whom to ask for what neither the hosts file nor the cache has.
            cache: what is remembered.
            hosts: the names of this machine; none by default.
            ipv6_first: put the IPv6 addresses of an answer in front; else the order of the look-up holds.
            ipv6_only: names have IPv6 addresses only.
            timeout: seconds that a waiter waits.
            clock: seconds of a monotonic clock, for the ages of answers.
        """
        self._lookup = lookup
        self._cache = cache
        self._hosts = hosts or NoHosts()
        self._ipv6_first = ipv6_first
        self._ipv6_only = ipv6_only
        self._timeout = timeout
        self._clock = clock
        self._queries: dict[str, _Query] = {}
        self._told: dict[str, tuple[Answer, float]] = {}
        """What waiters are told in this turn, and when: `cached` says it to them again, though the cache may not."""
        self._pending = 0
        self._closed = False
        self._before: Lookup | None = None
        """Who was asked until the last change, and may still be about to answer."""
        self.hits = 0
        """How often a name was known already."""
        self.results: Counter[str] = Counter()
        """What came of look-ups: `found`, a reason word, or `left` where nobody waited for it any more."""
        self.seconds = 0.0
        """How long those took that came to something."""

    def cached(self, host: str) -> Answer | None:
        """Return the addresses of a literal, or of a name that is known; None where it must be looked up.

        Raises:
            DialError: `no_name`, if that is what is known.
        """
        entry = self._cache.find(host)  # most come as they were folded; and a literal never got in
        if entry is None:
            if (itself := literal(host)) is not None:
                return itself
            name = fold(host)
            entry = self._cache.find(name)
        else:
            name = host
        if (found := self._hosts.find(name)) is not None and (found := self._ordered(found)):
            return found
        if entry is None:
            return self._just_told(name)
        now = self._clock()
        if now >= entry.until:
            if not entry.failing or not entry.answer or now >= entry.stale_until:
                return self._just_told(name)
            self._refresh(name)
        elif not entry.answer:
            self.hits += 1
            raise DialError("no_name", f"{host} has no address")
        self.hits += 1
        return entry.answer

    def lookup(self, host: str) -> asyncio.Future[Answer]:
        """Return a future of the addresses.

        It may be cancelled. It raises DialError: `no_name`, `dial_timeout`, `limit` when too many wait already,
        `stopped` when the resolver is closed.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            answer = self.cached(host)
            if answer is None:
                self._join(fold(host), future)
            else:
                future.set_result(answer)
        except DialError as error:
            future.set_exception(error)
        return future

    async def resolve(self, host: str) -> Answer:
        """Return the addresses of a host: `cached` or `lookup` in one, where speed is not all."""
        return self.cached(host) or await self.lookup(host)

    async def follow(self, other: Resolver) -> None:
        """Ask whom another resolver would, and remember as it would, from now on; that one is used up.

        Look-ups that are under way go on. What was remembered is forgotten.
        """
        before, self._before = self._before, self._lookup
        self._lookup, self._cache = other._lookup, other._cache
        self._ipv6_first, self._ipv6_only = other._ipv6_first, other._ipv6_only
        if before is not None:
            await before.close()

    async def close(self) -> None:
        """End the look-ups, and whoever waits for them."""
        self._closed = True
        for query in list(self._queries.values()):
            self._answer(query, DialError("stopped", "the resolver was closed"))
            query.outcome.cancel()
        await self._lookup.close()
        if self._before is not None:
            await self._before.close()
            self._before = None

    def _join(self, name: str, future: asyncio.Future[Answer]) -> None:
        """Make the future a waiter for the name, the first or one more."""
        if self._closed:
            raise DialError("stopped", "the resolver is closed")
        if self._pending >= PENDING_MOST:
            raise DialError("limit", f"{PENDING_MOST} look-ups are waiting already; {name} is not looked up")
        query = self._queries.get(name) or self._ask(name)
        self._pending += 1
        entry = self._cache.find(name)
        patience = self._timeout if entry is None or not entry.answer else min(STALE_AFTER, self._timeout)
        query.waiters[future] = asyncio.get_running_loop().call_later(patience, self._give_up, query, future)
        future.add_done_callback(lambda future: self._leave(query, future))

    def _ask(self, name: str) -> _Query:
        query = self._queries[name] = _Query(name, self._clock(), self._lookup.start(name))
        query.outcome.add_done_callback(lambda _outcome: self._arrive(query))
        return query

    def _refresh(self, name: str) -> None:
        """Look a name up again for whoever comes later, unless that is done already."""
        if name not in self._queries and not self._closed and len(self._queries) < PENDING_MOST:
            self._ask(name)

    def _give_up(self, query: _Query, future: asyncio.Future[Answer]) -> None:
        if future.done():
            return
        stale = self._cache.fail(query.name, self._clock())
        if stale is not None:
            future.set_result(stale)
        else:
            future.set_exception(DialError("dial_timeout", f"{query.name} was not found in {self._timeout:g} s"))

    def _leave(self, query: _Query, future: asyncio.Future[Answer]) -> None:
        """A waiter has its answer, or gave up, or was cancelled."""
        query.waiters.pop(future).cancel()
        self._pending -= 1
        if query.waiters or self._queries.get(query.name) is not query:
            return
        entry = self._cache.find(query.name)
        if entry is None or not entry.answer:  # else it goes on, to replace the old answer
            del self._queries[query.name]
            query.outcome.cancel()
            self.results["left"] += 1

    def _arrive(self, query: _Query) -> None:
        """The look-up is over."""
        if query.outcome.cancelled():
            return
        error = query.outcome.exception()
        now = self._clock()
        answer: Answer | DialError
        if error is None:
            outcome = query.outcome.result()
            answer = self._ordered(outcome.addresses)
            self._cache.put(query.name, answer, outcome.ttl, now)
            answer = answer or DialError("no_name", f"{query.name} has no address")
        elif isinstance(error, DialError):
            answer = self._cache.fail(query.name, now) or error
        else:
            log.error("looking up a name failed: %r", error, exc_info=error)
            answer = DialError("internal", f"{query.name} could not be looked up")
        came = error if isinstance(error, DialError) else answer  # an old answer serves, and yet it failed
        self.results[came.code if isinstance(came, DialError) else "found"] += 1
        self.seconds += now - query.began_at
        self._answer(query, answer)

    def _answer(self, query: _Query, answer: Answer | DialError) -> None:
        if self._queries.get(query.name) is query:
            del self._queries[query.name]
        for future in query.waiters:
            if future.done():
                continue
            if isinstance(answer, DialError):
                future.set_exception(DialError(answer.code, str(answer)))
            else:
                future.set_result(answer)
        if not isinstance(answer, DialError):
            self._told[query.name] = answer, self._clock()
            asyncio.get_running_loop().call_soon(self._told.pop, query.name, None)  # after the waiters' callbacks

    def _just_told(self, name: str) -> Answer | None:
        answer, at = self._told.get(name, (None, 0.0))
        return answer if answer is not None and self._clock() - at < TOLD_AGE else None

    def _ordered(self, found: Answer) -> Answer:
        """Return addresses in the order in which to try them."""
        if self._ipv6_only:
            return tuple(each for each in found if each[0] == socket.AF_INET6)
        if self._ipv6_first:
            return tuple(sorted(found, key=lambda each: each[0] != socket.AF_INET6))
        return found
