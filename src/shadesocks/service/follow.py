"""What of a changed configuration a running service goes by, and what of it needs a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

from ..config.model import Config
from ..core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from ..config.model import ServerConfig

MANY: Final = 200
"""Users that take a millisecond to compare."""
_FOLLOWED: Final = frozenset(("servers", "online", "template", "warnings", "allow_none", "allow_legacy"))
OF_NAMES: Final = frozenset(
    ("dns", "dns_cache_size", "dns_ttl_min", "dns_ttl_max", "ipv6_first", "ipv6_only"),
)
"""What the resolver goes by: it asks others from then on."""
_AT_ONCE: Final = OF_NAMES | frozenset(
    (
        *("idle_timeout", "half_closed_timeout", "drain_timeout"),  # looked up when they are needed
        *("log_level", "log_targets", "control_targets"),
        "acl_dialect",  # the lists are read again anyway
    ),
)
"""What is followed by everybody, and by connections that are open."""
OF_PORTS: Final = frozenset(
    (
        *("no_delay", "keep_alive", "user_timeout", "connection_attempt_delay", "first_payload_timeout"),
        *("inbound_send_buffer", "inbound_receive_buffer", "outbound_send_buffer", "outbound_receive_buffer"),
        *("udp_timeout", "udp_receive_buffer", "udp_send_buffer"),
        *("forbidden_ip", "forbidden_port", "allow_private"),
        *("strict_first_read", "bad_handshake", "stream_replay"),
    ),
)
"""What the parts of a server's port are made with: they are made anew on the same sockets, for new connections. A
server follows them."""
_BY_BOTH: Final = _FOLLOWED | _AT_ONCE
"""The fields that both ends follow."""


async def as_before(before: Config, after: Config) -> Config:
    """Return `after` with the objects of `before` where these say the same.

    From then on whoever compares the two finds most of it to be one object, which of ten thousand users takes 0.1 ms,
    not 50. Many are looked through in a thread: the loop turns meanwhile.
    """
    if sum(len(server.users or ()) for server in after.servers) < MANY:
        return _as_before(before, after)
    return await asyncio.to_thread(_as_before, before, after)


def _as_before(before: Config, after: Config) -> Config:
    known = {server.address: server for server in before.servers}
    servers = [(known.get(server.address), server) for server in after.servers]
    return replace(after, servers=tuple(now if was is None else _server_as_before(was, now) for was, now in servers))


def _server_as_before(before: ServerConfig, after: ServerConfig) -> ServerConfig:
    if before.users and after.users:
        known = {user.name: user for user in before.users}
        users = [(known.get(user.name), user) for user in after.users]
        after = replace(after, users=tuple(was if was is not None and was == now else now for was, now in users))
    return before if before == after else after


def follow(before: Config, after: Config, also: Collection[str] = ()) -> tuple[Config, list[str]]:
    """Return the configuration to go by, and the fields of `after` that it has not got.

    `also` has the fields that one end follows beside those of both; all others need a restart.
    """
    kept = [field.name for field in fields(Config) if field.name not in _BY_BOTH and field.name not in also]
    return replace(after, **{name: getattr(before, name) for name in kept}), list(differ(before, after, kept))


def differ(one: Config, other: Config, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the named fields that are not the same, in their order."""
    return tuple(name for name in names if getattr(one, name) != getattr(other, name))


def usable(
    servers: Iterable[ServerConfig], known: Iterable[ServerConfig], check: Callable[[ServerConfig], None]
) -> tuple[list[ServerConfig], tuple[Problem, ...]]:
    """Return those that are known or pass a check, and what is wrong with the others; the check raises ConfigError."""
    known = set(known)
    good: list[ServerConfig] = []
    problems: list[Problem] = []
    for server in servers:
        try:
            if server not in known:
                check(server)
        except ConfigError as error:
            problems += error.problems
        else:
            good.append(server)
    return good, tuple(problems)
