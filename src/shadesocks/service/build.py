"""From a configuration to the parts it names: the only place that knows them all.

server   ShadowsocksInbound -> DirectDialer (or ShadowsocksDialer, a chain)
local    Socks5Inbound      -> ShadowsocksDialer, one for each server, in order
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from ..crypto.keys import parse_keys
from ..crypto.random import draw
from ..net.connect import Anywhere, Connector
from ..proxy.flow import Flow
from ..proxy.inbound.shadowsocks import ShadowsocksInbound
from ..proxy.inbound.socks5 import Socks5Inbound
from ..proxy.outbound.direct import DirectDialer
from ..proxy.outbound.shadowsocks import InOrder, ShadowsocksDialer
from ..proxy.seams import Dialer, Inbound, OneWay
from ..proxy.silent import Strangers
from ..wire.editions import make_shadow

if TYPE_CHECKING:
    from ..config.model import Config, LocalConfig, ServerConfig
    from ..net.connect import Judge
    from ..net.pipe import Scratch
    from ..net.reactor import Reactor
    from ..net.resolve import Resolver
    from ..wire.shadow import Shadow
    from .journal import Journal
    from .state import SaltMemory


def wall() -> int:
    """Unix time in whole seconds: what time stamps are made of and compared to."""
    return int(time.time())


@dataclass(frozen=True, slots=True)
class Shared:
    """What all listeners of a service have in common."""

    config: Config
    reactor: Reactor
    scratch: Scratch
    journal: Journal
    names: Resolver
    judge: Judge
    """Of the targets a server dials."""
    salts: SaltMemory
    silent_limit: int


def server_flow(shared: Shared, server: ServerConfig) -> Flow:
    """A shadow port: authenticated clients in, their targets out."""
    inbound = shadow_inbound(shared, server)
    return Flow(shared.reactor, shared.scratch, inbound, OneWay(server_dialer(shared, server)), shared.journal)


def local_flow(shared: Shared, local: LocalConfig) -> Flow:
    """A port for programs: their requests in, the servers out, in their order."""
    dialers = [shadow_dialer(shared, server) for server in shared.config.servers]
    dialer: Dialer = dialers[0] if len(dialers) == 1 else InOrder(dialers)
    inbound = _LOCAL_INBOUNDS[local.protocol](shared)
    return Flow(shared.reactor, shared.scratch, inbound, OneWay(dialer), shared.journal)


def socks_inbound(shared: Shared) -> Socks5Inbound:
    """The face of a SOCKS5 port."""
    lane = shared.reactor.lane
    config = shared.config
    handshakes, headers = lane(config.handshake_timeout), lane(config.first_payload_timeout)
    return Socks5Inbound(shared.reactor, shared.scratch, handshakes, headers)


_LOCAL_INBOUNDS: Final[dict[str, Callable[[Shared], Inbound]]] = {"socks": socks_inbound}
"""By the `protocol` of a local listener."""


def shadow_inbound(shared: Shared, server: ServerConfig) -> ShadowsocksInbound:
    """The face of one server."""
    salts = shared.salts.of(server.method.edition)
    strangers = Strangers(
        shared.reactor,
        shared.scratch,
        shared.reactor.lane(server.handshake_timeout, of="strangers"),  # its length is their number
        shared.silent_limit,
        shared.journal.stranger,
        shared.config.bad_handshake,
    )
    strict = shared.config.strict_first_read
    return ShadowsocksInbound(shadow_of(server), salts, strangers, wall, draw, strict_first_read=strict)


def server_dialer(shared: Shared, server: ServerConfig) -> Dialer:
    """What a server dials with: directly, or through the server it is chained to."""
    if server.outbound_proxy is not None:
        return shadow_dialer(shared, server.outbound_proxy)
    return DirectDialer(_connector(shared, shared.judge, server.dial_timeout))


def shadow_dialer(shared: Shared, server: ServerConfig) -> ShadowsocksDialer:
    """The way through one server. Servers are the operator's choice and may stand anywhere."""
    connect = partial(_connector(shared, Anywhere(), server.dial_timeout).connect, server.address)
    return ShadowsocksDialer(connect, shadow_of(server), shared.scratch, wall, draw)


def shadow_of(server: ServerConfig) -> Shadow:
    """The wire format of a server, with its key."""
    return make_shadow(server.method, parse_keys(server.method, server.password.reveal()))


def _connector(shared: Shared, judge: Judge, timeout: float) -> Connector:
    return Connector(shared.reactor, shared.names, judge, shared.reactor.lane(timeout), no_delay=shared.config.no_delay)
