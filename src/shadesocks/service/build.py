"""From a configuration to the parts it names: with `ways.py`, the only place that knows them all.

server   ShadowsocksInbound -> DirectDialer (or a chain of proxies)
         PacketRelay        -> DirectBack (or ShadowBack)
local    Socks5Inbound      -> ShadowsocksDialer, one for each server (and DirectDialer, for what bypasses)
         PacketRelay        -> ShadowBack, for those who have an association (and DirectBack)
tunnel   TunnelInbound      -> as local
         PacketRelay        -> as local, for everybody
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from socket import AF_INET, AF_INET6, SocketType
from typing import TYPE_CHECKING, Final

from ..crypto.random import draw
from ..net.backs import DirectBack
from ..net.datagrams import DatagramOptions, bind_socket
from ..net.packets import Back, PacketRelay
from ..proxy.flow import Flow
from ..proxy.gate import GatedHost, gate_of
from ..proxy.inbound.associations import AssociatedHost, Associations
from ..proxy.inbound.shadowsocks import ShadowsocksInbound
from ..proxy.inbound.socks5 import Socks5Inbound
from ..proxy.inbound.tunnel import TunnelInbound
from ..proxy.outbound.direct import DirectDialer
from ..proxy.outbound.relayed import RelayedBack
from ..proxy.outbound.split import SplitBack
from ..proxy.route import AclRouter, Ways
from ..proxy.seams import Inbound, OneWay, Router
from ..proxy.silent import Strangers
from ..wire.packet_aead2022 import REMEMBERED
from ..wire.packet_tunnel import TunnelPackets
from ..wire.relayed import RelayedShadow, RelayHost
from .heard import heard, heard_back
from .shared import Shared, wall
from .sockets import datagram_options
from .users import destinations_of, users_of
from .ways import (
    client_back,
    client_dialer,
    connector,
    keys_of,
    packets_of,
    server_back,
    server_dialer,
    shadow_of,
)

if TYPE_CHECKING:
    from ..config.model import LocalConfig, ServerConfig
    from ..core.address import Address
    from ..proxy.users.table import UserTable
    from ..proxy.users.user import User
    from ..wire.packet import PacketHost
    from ..wire.shadow import Shadow


@dataclass(frozen=True, slots=True)
class Port:
    """Where to listen, and what to do there."""

    streams: Address | None
    """None: not over TCP."""
    packets: Address | None
    """None: not over UDP, or not with a socket that all share."""
    open: Callable[[Shared, SocketType | None], Face]
    """Makes the parts, given the bound UDP socket, if there is to be one."""
    has_packets: bool
    """Whether it serves datagrams, with that socket or others."""
    role: str = "server"
    """What it says that it is: server, local or tunnel."""
    forward: Address | None = None
    """Where a tunnel leads."""
    server: ServerConfig | None = None
    """Whose port it is, at a server."""
    public: Address | None = None
    """Where the plugin listens that is before it; what has another address here is behind it. None: there is none."""


@dataclass(frozen=True, slots=True)
class Face:
    """What serves a port. Its packet relays are in `Shared.crowd`."""

    flow: Flow | None
    close: Callable[[], None] = lambda: None
    packets: PacketRelay | None = None
    """What serves the datagrams of a server."""
    evict: Callable[[], None] = lambda: None
    """Closes whoever has not authenticated."""
    strangers: Strangers | None = None
    """Those, at a server."""


def server_port(server: ServerConfig) -> Port:
    """The port of a server."""

    def face(shared: Shared, sock: SocketType | None) -> Face:
        relay, users = None, users_of(server)
        if sock is not None:
            host, back, idle_min = server_packets(shared, server, users)
            acl = shared.acls.at(server.acl)
            if acl is not None:
                host = GatedHost(host, gate_of(acl), shared.datagrams.name_of)
            relay = _relay(shared, sock, host, back, idle_min)
        if not server.mode.tcp:
            return Face(None, packets=relay)
        inbound = shadow_inbound(shared, server, users)
        flow = server_flow(shared, server, inbound)
        return Face(flow, packets=relay, evict=inbound.close, strangers=inbound.strangers)

    streams, packets = server.address if server.mode.tcp else None, server.address if server.mode.udp else None
    return Port(streams, packets, face, server.mode.udp, server=server)


def server_packets(shared: Shared, server: ServerConfig, users: UserTable[User] | None) -> tuple[PacketHost, Back, int]:
    """The datagrams of a server: from whom, where to, and how long a session is remembered at least."""
    following = destinations_of(server)
    if following is None:
        packets = packets_of(shared, server, users)
        return packets.host(), server_back(shared, server), packets.idle_min
    options = datagram_options(shared.config, server.outbound)
    host = RelayHost(keys_of(server)[-1], following.by_identity)
    return host, RelayedBack(shared.datagrams, shared.names, options), REMEMBERED


def local_port(local: LocalConfig) -> Port:
    """The port of a local listener."""
    return _LOCAL_PORTS[local.protocol](local)


def socks_port(local: LocalConfig) -> Port:
    """The port of a SOCKS5 listener. It has TCP whatever its mode: associations are TCP connections."""

    def face(shared: Shared, sock: SocketType | None) -> Face:
        if not local.mode.udp:
            return Face(local_flow(shared, local, socks_inbound(shared, local, None)))
        associations = socks_associations(shared, local)
        if sock is None:
            associations.bind = partial(
                _bind_beside, local.udp_address, datagram_options(shared.config, shared.config.outbound)
            )
        else:
            associations.share(sock)
        return Face(local_flow(shared, local, socks_inbound(shared, local, associations)), associations.close)

    shares = local.mode.udp and not local.udp_socket_per_association
    return Port(local.address, local.udp_address if shares else None, face, local.mode.udp, "local")


def tunnel_port(local: LocalConfig) -> Port:
    """The port of a tunnel: whoever reaches it may send datagrams, as he may connect."""
    assert local.forward is not None, "a tunnel has a target"
    host = TunnelPackets(local.forward)

    def face(shared: Shared, sock: SocketType | None) -> Face:
        if sock is not None:
            back, idle_min = local_back(shared, local)
            _relay(shared, sock, host, back, idle_min)
        return Face(local_flow(shared, local, tunnel_inbound(shared, local)) if local.mode.tcp else None)

    streams, packets = local.address if local.mode.tcp else None, local.udp_address if local.mode.udp else None
    return Port(streams, packets, face, local.mode.udp, "tunnel", local.forward)


_LOCAL_PORTS: Final[dict[str, Callable[[LocalConfig], Port]]] = {"socks": socks_port, "tunnel": tunnel_port}
"""By the `protocol` of a local listener."""


def server_flow(shared: Shared, server: ServerConfig, inbound: ShadowsocksInbound | None = None) -> Flow:
    """A shadow port: authenticated clients in, their targets out."""
    face = heard(inbound or shadow_inbound(shared, server), shared.journal)
    return Flow(shared.reactor, shared.scratch, face, OneWay(server_dialer(shared, server)), shared.journal)


def local_flow(shared: Shared, local: LocalConfig, inbound: Inbound) -> Flow:
    """A port for programs: their requests in, the servers out."""
    dialer = client_dialer(shared, local.group)
    router: Router = OneWay(dialer)
    acl = shared.acls.at(local.acl)
    if acl is not None:
        config = shared.config
        direct = DirectDialer(connector(shared, shared.bypass, config.dial_timeout, config.outbound))
        router = AclRouter(Ways(acl, shared.names), direct, dialer)
    return Flow(shared.reactor, shared.scratch, heard(inbound, shared.journal), router, shared.journal)


def socks_inbound(shared: Shared, local: LocalConfig, associations: Associations | None) -> Socks5Inbound:
    """The face of a SOCKS5 port."""
    lane = shared.reactor.lane
    config = shared.config
    handshakes, headers = lane(config.handshake_timeout), lane(config.first_payload_timeout)
    return Socks5Inbound(
        shared.reactor,
        shared.scratch,
        handshakes,
        headers,
        associations=associations,
        streams=local.mode.tcp,
        reply_port=local.socks_reply_port,
    )


def tunnel_inbound(shared: Shared, local: LocalConfig) -> TunnelInbound:
    """The face of a tunnel."""
    assert local.forward is not None, "a tunnel has a target"
    return TunnelInbound(shared.reactor, local.forward, shared.reactor.lane(shared.config.first_payload_timeout))


def local_back(shared: Shared, local: LocalConfig) -> tuple[Back, int]:
    """Where the datagrams of a local listener go, and how long a session is remembered at least."""
    back, idle_min = client_back(shared, local.group)
    acl = shared.acls.at(local.acl)
    if acl is not None:
        options = datagram_options(shared.config, shared.config.outbound)
        direct = DirectBack(shared.datagrams, shared.names, shared.bypass, options)
        back = SplitBack(Ways(acl, shared.names), direct, back, shared.datagrams)
    return back, idle_min


def socks_associations(shared: Shared, local: LocalConfig) -> Associations:
    """The associations of a SOCKS5 port."""
    back, idle_min = local_back(shared, local)

    def make(sock: SocketType, host: AssociatedHost) -> PacketRelay:
        return _relay(shared, sock, host, back, idle_min)

    return Associations(
        shared.reactor,
        shared.scratch,
        shared.datagrams.name_of,
        make,
        required=local.udp_require_association,
        answer=local.udp_associate_address,
    )


def shadow_inbound(shared: Shared, server: ServerConfig, users: UserTable[User] | None = None) -> ShadowsocksInbound:
    """The face of one server; `users` are those that its datagrams are for, too."""
    following = destinations_of(server)
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
    shadow: Shadow
    if following is None:
        shadow = shadow_of(shared, server, users_of(server) if users is None else users)
    else:
        shadow = RelayedShadow(server.method, keys_of(server)[-1], following.by_identity)
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


def _relay(shared: Shared, sock: SocketType, host: PacketHost, back: Back, idle_min: int) -> PacketRelay:
    idle = max(shared.config.udp_timeout, idle_min)
    back = heard_back(back, shared.datagrams, shared.journal)
    return PacketRelay(shared.reactor, shared.datagrams, sock, host, back, shared.crowd, shared.journal, wall, idle)


def _bind_beside(address: Address, options: DatagramOptions) -> SocketType:
    """Return a UDP socket on the same host, on any port."""
    family = AF_INET6 if ":" in address.host else AF_INET
    return bind_socket((address.host, 0), family, options)
