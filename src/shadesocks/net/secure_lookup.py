"""Names asked over TLS and HTTPS: who on the way sees them, or says something else, is nobody's but the server's.

The messages are dnspython's (the extra `dns`), which is imported here and only when a look-up is made; the ways are
`dns_over_tls` and `dns_over_https`. A and AAAA are asked at once. Servers are asked in their order: 2 s each, those
that did not answer once more, 10 s in all; one that failed is asked last for half a minute. An answer counts if it
answers the question (RFC 5452 §9.1 over a way that needs it less). Neither EDNS nor padding (RFC 8467) is sent.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from socket import AF_INET, AF_INET6
from typing import Final, Protocol

from ..core.address import pack_ip
from ..core.errors import ConfigError, DialError, Problem
from ..core.nameserver import NameServer, Transport
from .dns_over_https import HttpsServer
from .dns_over_tls import TlsServer, tls_context
from .lookup import ADDRESSES_MOST, RESOLUTION_DELAY, TTL_EMPTY, TTL_PARTIAL, Lookup, Outcome

TRY: Final = 2.0
"""Seconds that a server has for one answer, connecting included."""
IN_ALL: Final = 10.0
"""Seconds for all tries: as long as anybody waits for a name."""
AVOID: Final = 30.0
"""Seconds that a server which failed is asked after the others."""
SIZE_MOST: Final = 16384
"""Bytes of an answer that is read: a thousand addresses, and some 50 ms of the loop's time."""

_log = logging.getLogger(__name__)


class _Way(Protocol):
    """How messages get to one server: `TlsServer`, `HttpsServer`."""

    async def ask(self, message: bytes) -> tuple[bytes, float]: ...

    async def close(self) -> None: ...


class _Server:
    """A server, the way to it, and until when it is avoided."""

    def __init__(self, server: NameServer, way: _Way) -> None:
        self.server = server
        self.way = way
        self.avoided_until = 0.0


class SecureLookup:
    """A `lookup.Lookup` over name servers that are asked over TLS and HTTPS."""

    def __init__(
        self,
        servers: Sequence[NameServer],
        families: Sequence[int] = (AF_INET, AF_INET6),
        *,
        bootstrap: Lookup | None = None,
        make_context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        """Make a look-up; nothing is connected yet.

        Args:
            servers: asked in this order; of transport TLS or HTTPS.
            families: AF_INET, AF_INET6 or both: what is asked for.
            bootstrap: finds the addresses of HTTPS servers that have names; closed with this. Names without it fail.
            make_context: returns what certificates are checked with, another one each time.

        Raises:
            ConfigError: dnspython is not installed.
        """
        self._bootstrap = bootstrap
        self._families = tuple(sorted(families, key=lambda family: family != AF_INET))
        self._tasks: set[asyncio.Task[Outcome]] = set()
        try:
            import dns.message  # noqa: F401 - better missed now than with the first name

            self._servers = [_Server(server, self._way(server, make_context)) for server in servers]
        except ImportError:
            text = "name servers over TLS and HTTPS need dnspython: pip install 'shadesocks[dns]'"
            raise ConfigError([Problem("dns", None, "", text)]) from None

    def _way(self, server: NameServer, make_context: Callable[[], ssl.SSLContext]) -> _Way:
        if server.transport is Transport.TLS:
            return TlsServer(server, tls_context(make_context()))
        assert server.transport is Transport.HTTPS, server
        return HttpsServer(server, make_context(), self._find_server)

    def start(self, name: str) -> asyncio.Future[Outcome]:
        """See `lookup.Lookup`. The future is a task."""
        task = asyncio.get_running_loop().create_task(self.ask(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """See `lookup.Lookup`."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for server in self._servers:
            await server.way.close()
        if self._bootstrap is not None:
            await self._bootstrap.close()

    async def ask(self, name: str) -> Outcome:
        """Ask for the addresses of a name, of all families at once.

        Once there are addresses of one family, the other has little time left. What it would have said may be had
        again soon: such an outcome is good for `TTL_PARTIAL` at the most.

        Raises:
            DialError: see `lookup`.
        """
        loop = asyncio.get_running_loop()
        queries = [loop.create_task(self._ask_family(name, family)) for family in self._families]
        try:
            done, late = await asyncio.wait(queries, return_when=asyncio.FIRST_COMPLETED)
            if late:
                found = any(task.exception() is None and task.result().addresses for task in done)
                await asyncio.wait(late, timeout=RESOLUTION_DELAY if found else None)
        finally:
            for query in queries:
                query.cancel()
            await asyncio.gather(*queries, return_exceptions=True)
        return _together([None if query.cancelled() else query.exception() or query.result() for query in queries])

    async def _ask_family(self, name: str, family: int) -> Outcome:
        """Ask the servers in turn."""
        loop = asyncio.get_running_loop()
        query = _pack_query(name, family)
        left = sorted(self._servers, key=lambda server: server.avoided_until > loop.time())
        until = loop.time() + IN_ALL
        failure = ""
        while left and loop.time() < until:
            for server in list(left):
                try:
                    async with asyncio.timeout_at(min(loop.time() + TRY, until)):
                        answer, age = await server.way.ask(query)
                    outcome = _read_answer(query, answer, family, age)
                except TimeoutError:
                    self._avoid(server, "no answer in time")
                except (OSError, DialError) as error:
                    # Asking once more would bring the same.
                    left.remove(server)
                    failure = f"{server.server}: {error}"
                    # A server that says it cannot tell is all right: it is the name that is not.
                    if not isinstance(error, DialError):
                        self._avoid(server, str(error))
                except Exception as error:  # a library's surprise: whoever waits for the name is not to meet it
                    _log.exception("asking name server %s failed", server.server)
                    left.remove(server)
                    failure = f"{server.server}: {error!r}"
                else:
                    server.avoided_until = 0.0
                    return outcome
        if failure:
            raise DialError("no_name", f"{name}: {failure}", "resolve")
        raise DialError("dial_timeout", f"no name server answered for {name}", "resolve")

    def _avoid(self, server: _Server, text: str) -> None:
        now = asyncio.get_running_loop().time()
        if server.avoided_until <= now:
            _log.warning("name server %s failed: %s", server.server, text)
        server.avoided_until = now + AVOID

    async def _find_server(self, host: str) -> Iterable[str]:
        """Find the addresses of a server."""
        if self._bootstrap is None:
            raise OSError(f"nobody to ask where {host} is")
        try:
            outcome = await self._bootstrap.start(host)
        except DialError as error:
            raise OSError(str(error)) from None
        return [text for _, text in outcome.addresses]


def _pack_query(name: str, family: int) -> bytes:
    """Return a question. Its id is 0, as HTTP caches like it (RFC 8484 §4.1); TLS connections put in their own."""
    import dns.exception
    import dns.message
    import dns.name

    try:
        asked = dns.name.Name([*(label.encode("ascii") for label in name.removesuffix(".").split(".")), b""])
    except (UnicodeError, dns.exception.DNSException):
        raise DialError("no_name", f"{name} cannot be a host's name", "resolve") from None
    return dns.message.make_query(asked, "A" if family == AF_INET else "AAAA", use_edns=False, id=0).to_wire()


def _read_answer(query: bytes, answer: bytes, family: int, age: float) -> Outcome:
    """Return what an answer says.

    Raises:
        DialError: `no_name`; it is no answer to the question, or says that there is none.
    """
    import dns.exception
    import dns.message
    import dns.rcode
    import dns.rdatatype

    if len(answer) > SIZE_MOST:
        raise DialError("no_name", f"an answer of {len(answer)} bytes", "resolve")
    try:
        message = dns.message.from_wire(answer)
        # Its id, its question, and that it is an answer at all. A failure may leave the question out.
        if not dns.message.from_wire(query).is_response(message):
            raise DialError("no_name", "an answer to another question", "resolve")
        if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise DialError("no_name", dns.rcode.to_text(message.rcode()), "resolve")
        assert isinstance(message, dns.message.QueryMessage)
        chain = message.resolve_chaining()
    except (dns.exception.DNSException, ValueError) as error:
        raise DialError("no_name", f"an answer that cannot be read: {error}", "resolve") from None
    texts = [record.to_text() for record in chain.answer or ()]
    found = tuple((int(family), text) for text in texts[:ADDRESSES_MOST] if pack_ip(text) is not None)
    known = bool(found) or any(rrset.rdtype == dns.rdatatype.SOA for rrset in message.authority)
    ttl = max(0.0, chain.minimum_ttl - age)
    return Outcome(found, ttl if known else min(ttl, TTL_EMPTY))


def _together(outcomes: Sequence[Outcome | BaseException | None]) -> Outcome:
    """Return what all families brought; None is one that was late."""
    known = [outcome for outcome in outcomes if isinstance(outcome, Outcome)]
    found = [outcome for outcome in known if outcome.addresses]
    if found:
        ttl = min(outcome.ttl for outcome in found)
        if len(known) < len(outcomes):
            ttl = min(ttl, TTL_PARTIAL)
        return Outcome(tuple(address for outcome in found for address in outcome.addresses), ttl)
    for error in outcomes:
        if isinstance(error, BaseException):
            raise error
    return Outcome((), min(outcome.ttl for outcome in known))
