"""The port of a server: authenticated clients in, their targets out.

streams    ShadowsocksInbound -> DirectDialer (or a chain of proxies)
datagrams  `server_packets.py`, loaded where some are served
users      `../users/accounting.py`, where several share it; `server_relayed.py`, where it stands before other servers
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
    from ...proxy.users.table import UserTable
    from ...proxy.users.user import User
    from ...wire.shadow import Shadow
    from ..shared import Shared


def server_port(server: ServerConfig) -> Port:
    """The port of a server."""

    def face(shared: Shared, sock: SocketType | None) -> Face:
        relay, users = None, users_of(shared, server)
        if sock is not None:
            from .server_packets import server_relay

            relay = server_relay(shared, server, sock, users)
        if not server.mode.tcp:
            return Face(None, packets=relay, users=users)
        inbound = shadow_inbound(shared, server, users)
        flow = server_flow(shared, server, inbound)
        return Face(flow, packets=relay, evict=inbound.close, strangers=inbound.strangers, users=users)

    streams, packets = server.address if server.mode.tcp else None, server.address if server.mode.udp else None
    return Port(streams, packets, face, server.mode.udp, server=server)


def users_of(shared: Shared, server: ServerConfig) -> UserTable[User] | None:
    """The users of a server, None where whoever has its key is served. One table for streams and datagrams."""
    return None if shared.accounting is None else shared.accounting.table(server)


def server_flow(shared: Shared, server: ServerConfig, inbound: ShadowsocksInbound | None = None) -> Flow:
    """The streams of a server."""
    face = heard(inbound or shadow_inbound(shared, server), shared.journal)
    return Flow(shared.reactor, shared.scratch, face, OneWay(server_dialer(shared, server)), shared.journal)


def shadow_inbound(shared: Shared, server: ServerConfig, users: UserTable[User] | None = None) -> ShadowsocksInbound:
    """The face of one server; `users` are those that its datagrams are for, too."""
    salts = shared.salts.of(server.method.edition)
    strangers = Strangers(
        shared.reactor,
        shared.scratch,
        shared.reactor.lane(server.handshake_timeout, of="strangers"),  # its length is their number
        shared.silent_limit,
        shared.journal,
        shared.config.bad_handshake,
    )
    strict = shared.config.strict_first_read
    admits = gate_of(shared.acls.at(server.acl))
    shadow: Shadow
    if server.destinations:
        from .server_relayed import relayed_shadow

        shadow = relayed_shadow(server)
    else:
        shadow = shadow_of(shared, server, users)
    return ShadowsocksInbound(
        shadow,
        salts,
        strangers,
        wall,
        draw,
        admits=admits,
        strict_first_read=strict,
        suspect=shared.journal.suspect,
        meter_of=None if shared.accounting is None else shared.accounting.meter_of(server),
        owner=None if shared.accounting is None else shared.accounting.owner(server),
    )


def server_dialer(shared: Shared, server: ServerConfig) -> Dialer:
    """What a server dials with: directly, or through the proxies that it is chained to."""
    if server.destinations:
        from .server_relayed import relayed_dialer

        return relayed_dialer(shared, server)
    judge = target_judge(shared.config, shared.origin, shared.acls.at(server.acl))
    if not server.outbound_proxy:
        return DirectDialer(connector(shared, judge, server.dial_timeout, server.outbound))
    from ..chains import guarded_dialer

    return guarded_dialer(shared, server, judge)
