"""Parts that both ends are made of: what speaks a server's method, and what connects."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ..crypto.keys import parse_keys
from ..crypto.random import draw
from ..net.connect import Anywhere, Connector
from ..net.datagrams import group_of
from ..wire.editions import make_packets, make_shadow, make_tried_packets, make_tried_shadow
from ..wire.shadow import Quirks
from .sockets import dialled_options, route_of

if TYPE_CHECKING:
    from ..config.model import Config, Outbound, ServerConfig
    from ..net.connect import Judge
    from ..proxy.users.table import UserTable
    from ..proxy.users.user import User
    from ..wire.packet import PacketShadow
    from ..wire.shadow import Shadow
    from .shared import Shared


def keys_of(server: ServerConfig) -> tuple[bytes, ...]:
    """The keys of a server: one, but for a client of a server with users."""
    return parse_keys(server.method, server.password.reveal(), raw=server.raw_key)


def shadow_of(shared: Shared, server: ServerConfig, users: UserTable[User] | None = None) -> Shadow:
    """The wire format of a server, with its key: derived here, and not for each connection."""
    if users is not None and server.method.is_tried:
        return make_tried_shadow(server.method, users)
    found = None if users is None else users.by_identity
    return make_shadow(server.method, keys_of(server), quirks_of(shared.config, server), found)


def packets_of(shared: Shared, server: ServerConfig, users: UserTable[User] | None = None) -> PacketShadow:
    """The wire format of a server for datagrams, with its key."""
    if users is not None and server.method.is_tried:
        return make_tried_packets(server.method, users, draw, shared.packet_salts.insert, partial(_group, shared))
    claim = None if shared.siblings is None else shared.siblings.windows.claim
    quirks, found = quirks_of(shared.config, server), None if users is None else users.by_identity
    return make_packets(server.method, keys_of(server), draw, shared.packet_salts.insert, quirks, claim, found)


def _group(shared: Shared, source: Any) -> bytes:
    return group_of(shared.datagrams.name_of(source)[0])


def quirks_of(config: Config, server: ServerConfig) -> Quirks:
    """The habits of old programs that a server, or whoever is at its other end, has."""
    return Quirks(server.one_time_auth, config.stream_replay == "refuse", server.compat == "procurator")


def connector(
    shared: Shared, judge: Judge, timeout: float, outbound: Outbound, *, always_sends: bool = False
) -> Connector:
    """What connects to whatever a judge allows."""
    return Connector(
        shared.reactor,
        shared.names,
        judge,
        shared.reactor.lane(timeout),
        dialled_options(shared.config),
        route_of(outbound),
        attempt_delay=shared.config.connection_attempt_delay,
        always_sends=always_sends,
    )


def to_operators_hosts(shared: Shared, server: ServerConfig) -> Connector:
    """Connects to what the operator named. Whoever dials a server sends it a header soon, whatever comes."""
    return connector(shared, Anywhere(), server.dial_timeout, server.outbound, always_sends=True)
