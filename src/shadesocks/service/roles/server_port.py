"""The port of a server: authenticated clients in, their targets out.

streams    ShadowsocksInbound -> DirectDialer (or a chain of proxies)
datagrams  `server_packets.py`, loaded where some are served
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...crypto.random import draw
from ...proxy.flow import Flow
from ...proxy.gate import gate_of
from ...proxy.inbound.shadowsocks import ShadowsocksInbound
from ...proxy.outbound.direct import DirectDialer
from ...proxy.seams import OneWay
from ...proxy.silent import Strangers
from ..heard import heard
from ..parts import connector, shadow_of
from ..port import Face, Port
from ..rules import target_judge
from ..shared import wall

if TYPE_CHECKING:
    from socket import SocketType

    from ...config.model import ServerConfig
    from ...proxy.seams import Dialer
    from ..shared import Shared


def server_port(server: ServerConfig) -> Port:
    """The port of a server."""

    def face(shared: Shared, sock: SocketType | None) -> Face:
        relay = None
        if sock is not None:
            from .server_packets import server_relay

            relay = server_relay(shared, server, sock)
        if not server.mode.tcp:
            return Face(None, packets=relay)
        inbound = shadow_inbound(shared, server)
        flow = server_flow(shared, server, inbound)
        return Face(flow, packets=relay, evict=inbound.close, strangers=inbound.strangers)

    streams, packets = server.address if server.mode.tcp else None, server.address if server.mode.udp else None
    return Port(streams, packets, face, server.mode.udp, server=server)


def server_flow(shared: Shared, server: ServerConfig, inbound: ShadowsocksInbound | None = None) -> Flow:
    """The streams of a server."""
    face = heard(inbound or shadow_inbound(shared, server), shared.journal)
    return Flow(shared.reactor, shared.scratch, face, OneWay(server_dialer(shared, server)), shared.journal)


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
    admits = gate_of(shared.acls.at(server.acl))
    shadow = shadow_of(shared, server)
    return ShadowsocksInbound(
        shadow,
        salts,
        strangers,
        wall,
        draw,
        admits=admits,
        strict_first_read=strict,
        suspect=shared.journal.suspect,
    )


def server_dialer(shared: Shared, server: ServerConfig) -> Dialer:
    """What a server dials with: directly, or through the proxies that it is chained to."""
    judge = target_judge(shared.config, shared.origin, shared.acls.at(server.acl))
    if not server.outbound_proxy:
        return DirectDialer(connector(shared, judge, server.dial_timeout, server.outbound))
    from ..chains import guarded_dialer

    return guarded_dialer(shared, server, judge)
