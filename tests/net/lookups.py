"""Look-ups of tests: what the name servers say is said by the test, when it wants to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from socket import AF_INET

from shadesocks.core.errors import DialError
from shadesocks.net.lookup import Found, Outcome
from shadesocks.net.name_cache import NameCache
from shadesocks.net.resolve import Resolver

Said = tuple[Found, ...] | DialError


class Table:
    """A look-up that knows its answers at once."""

    def __init__(self, answers: Mapping[str, Said] | None = None, *, otherwise: Said = (), ttl: float = 60.0) -> None:
        self.answers = dict(answers or {})
        self.otherwise = otherwise
        self.ttl = ttl
        self.asked: list[str] = []
        self.closed = False

    def start(self, name: str) -> asyncio.Future[Outcome]:
        """See `lookup.Lookup`."""
        self.asked.append(name)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        said = self.answers.get(name, self.otherwise)
        if isinstance(said, DialError):
            future.set_exception(DialError(said.code, str(said)))
        else:
            future.set_result(Outcome(said, self.ttl))
        return future

    async def close(self) -> None:
        """See `lookup.Lookup`."""
        self.closed = True


class Held(Table):
    """One that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.futures: dict[str, asyncio.Future[Outcome]] = {}

    def start(self, name: str) -> asyncio.Future[Outcome]:
        """See `lookup.Lookup`."""
        self.asked.append(name)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.futures[name] = future
        return future

    def say(self, name: str, *found: Found, ttl: float = 60.0) -> None:
        """Answer the last question for a name."""
        self.futures[name].set_result(Outcome(found, ttl))

    def fail(self, name: str, code: str = "no_name") -> None:
        """Let the last question for a name fail."""
        self.futures[name].set_exception(DialError(code))


def resolver_of(*ips: str) -> Resolver:
    """A resolver to which every name has these IPv4 addresses."""
    return Resolver(Table(otherwise=tuple((AF_INET, ip) for ip in ips)), NameCache(100, 1, 3600))
