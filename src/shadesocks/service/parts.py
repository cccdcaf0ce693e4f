"""Parts that both ends are made of: what speaks a server's method, and what connects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..crypto.keys import parse_keys
from ..crypto.random import draw
from ..net.connect import Anywhere, Connector
from ..wire.editions import make_packets, make_shadow
from ..wire.shadow import Quirks
from .sockets import dialled_options, route_of

if TYPE_CHECKING:
    from ..config.model import Config, Outbound, ServerConfig
    from ..net.connect import Judge
    from ..wire.packet import PacketShadow
    from ..wire.shadow import Shadow
    from .shared import Shared


def shadow_of(shared: Shared, server: ServerConfig) -> Shadow:
    """The wire format of a server, with its key: derived here, and not for each connection."""
    keys = parse_keys(server.method, server.password.reveal(), raw=server.raw_key)
    return make_shadow(server.method, keys, quirks_of(shared.config, server))


def packets_of(shared: Shared, server: ServerConfig) -> PacketShadow:
    """The wire format of a server for datagrams, with its key."""
    keys = parse_keys(server.method, server.password.reveal(), raw=server.raw_key)
    claim = None if shared.siblings is None else shared.siblings.windows.claim
    return make_packets(server.method, keys, draw, shared.packet_salts.insert, quirks_of(shared.config, server), claim)


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
