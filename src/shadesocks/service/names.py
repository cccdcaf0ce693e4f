"""Which names are asked of whom: from the configuration to a resolver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING

from ..core.address import pack_ip
from ..core.errors import ConfigError, Problem
from ..core.nameserver import Transport
from ..net.hosts import Hosts, hosts_path
from ..net.name_cache import NameCache
from ..net.resolve import Resolver

if TYPE_CHECKING:
    from ..config.model import Config
    from ..net.lookup import Lookup, Outcome

_SECURE = (Transport.TLS, Transport.HTTPS)


class LazyLookup:
    """A look-up that is made when the first name is asked for: a process that only dials literals has no use for the
    megabyte and the 70 ms of aiodns."""

    def __init__(self, make: Callable[[], Lookup]) -> None:
        self._make = make
        self._made: Lookup | None = None

    def start(self, name: str) -> asyncio.Future[Outcome]:
        """See `lookup.Lookup`."""
        made = self._made
        if made is None:
            made = self._made = self._make()
        return made.start(name)

    async def close(self) -> None:
        """See `lookup.Lookup`."""
        if self._made is not None:
            await self._made.close()
            self._made = None


def make_resolver(config: Config) -> Resolver:
    """Return the resolver of a configuration; nothing is asked yet.

    Raises:
        ConfigError: the library that its name servers take is not installed.
    """
    return Resolver(
        LazyLookup(_choose(config, (AF_INET6,) if config.ipv6_only else (AF_INET, AF_INET6))),
        NameCache(config.dns_cache_size, config.dns_ttl_min, config.dns_ttl_max),
        Hosts(hosts_path()),
        ipv6_first=config.ipv6_first,
        ipv6_only=config.ipv6_only,
    )


def _choose(config: Config, families: Sequence[int]) -> Callable[[], Lookup]:
    """Return what makes the look-up, once it is known that it can be made."""
    transports = {server.transport for server in config.dns}
    if Transport.SYSTEM in transports:
        return lambda: _system(families)
    if transports.intersection(_SECURE):
        _need("dns", "dnspython", "pip install 'shadesocks[dns]'")
        return lambda: _secure(config, families)
    if find_spec("aiodns") is None:
        if config.dns:
            _need("aiodns", "aiodns", "pip install aiodns, or leave dns out")
        return lambda: _system(families)
    return lambda: _ares(config, families)


def _need(module: str, package: str, remedy: str) -> None:
    if find_spec(module) is None:
        text = f"these name servers are asked through {package}, which is not installed; {remedy}"
        raise ConfigError([Problem("config", None, "dns", text)])


# Each is imported by whoever asks through it.


def _system(families: Sequence[int]) -> Lookup:
    from ..net.system_lookup import SystemLookup

    return SystemLookup(families)


def _ares(config: Config, families: Sequence[int]) -> Lookup:
    from ..net.ares_lookup import QUERIES_MOST, AresLookup

    return AresLookup(config.dns, families, queries_most=QUERIES_MOST if config.dns_cache_size else 1)


def _secure(config: Config, families: Sequence[int]) -> Lookup:
    from ..net.secure_lookup import SecureLookup

    named = any(pack_ip(server.host) is None for server in config.dns)
    return SecureLookup(config.dns, families, bootstrap=_bootstrap(families) if named else None)


def _bootstrap(families: Sequence[int]) -> Lookup:
    """Return who finds a name server that has a name itself: the plain servers of the system."""
    if find_spec("aiodns") is None:
        return _system(families)
    from ..net.ares_lookup import AresLookup

    return AresLookup((), families)
