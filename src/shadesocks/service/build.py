"""From a configuration to the parts it names: the only place that knows them all.

server   ShadowsocksInbound -> DirectDialer (or ShadowsocksDialer, a chain)
         PacketRelay        -> DirectBack (or ShadowBack)
local    Socks5Inbound      -> ShadowsocksDialer, one for each server, in order
         PacketRelay        -> ShadowBack, for those who have an association
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from socket import AF_INET, AF_INET6, SocketType
from typing import TYPE_CHECKING, Final

from ..config.model import ProxyConfig
from ..core.errors import ConfigError, Problem
from ..crypto.keys import parse_keys
from ..crypto.random import draw
from ..net.backs import DirectBack, ShadowBack
from ..net.connect import Anywhere, Connector
from ..net.crowd import Crowd
from ..net.datagrams import DatagramOptions, bind_socket
from ..net.packets import Back, PacketRelay
from ..proxy.flow import Flow
from ..proxy.inbound.associations import AssociatedHost, Associations
from ..proxy.inbound.shadowsocks import ShadowsocksInbound
from ..proxy.inbound.socks5 import Socks5Inbound
from ..proxy.outbound.direct import DirectDialer
from ..proxy.outbound.shadowsocks import InOrder, ShadowsocksDialer
from ..proxy.seams import Dialer, Inbound, OneWay
from ..proxy.silent import Strangers
from ..wire.editions import make_packets, make_shadow

if TYPE_CHECKING:
    from ..config.model import Config, LocalConfig, ServerConfig
    from ..core.address import Address
    from ..crypto.replay_packets import PacketSalts
    from ..net.connect import Judge
    from ..net.datagrams import Datagrams
    from ..net.pipe import Scratch
    from ..net.reactor import Reactor
    from ..net.resolve import Resolver
    from ..wire.packet import PacketHost, PacketShadow
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
    datagrams: Datagrams
    crowd: Crowd
    packet_salts: PacketSalts


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


@dataclass(frozen=True, slots=True)
class Face:
    """What serves a port. Its packet relays are in `Shared.crowd`."""

    flow: Flow | None
    close: Callable[[], None] = lambda: None


def server_port(server: ServerConfig) -> Port:
    """The port of a server."""

    def face(shared: Shared, sock: SocketType | None) -> Face:
        if sock is not None:
            packets = packets_of(shared, server)
            _relay(shared, sock, packets.host(), server_back(shared, server), packets.idle_min)
        return Face(server_flow(shared, server) if server.mode.tcp else None)

    return Port(
        server.address if server.mode.tcp else None, server.address if server.mode.udp else None, face, server.mode.udp
    )


def local_port(local: LocalConfig) -> Port:
    """The port of a local listener. It has TCP whatever its mode: associations are TCP connections."""

    def face(shared: Shared, sock: SocketType | None) -> Face:
        if not local.mode.udp:
            return Face(local_flow(shared, local))
        associations = socks_associations(shared, local)
        if sock is None:
            associations.bind = partial(_bind_beside, local.udp_address, datagram_options(shared.config))
        else:
            associations.share(sock)
        return Face(local_flow(shared, local, associations), associations.close)

    shares = local.mode.udp and not local.udp_socket_per_association
    return Port(local.address, local.udp_address if shares else None, face, local.mode.udp)


def server_flow(shared: Shared, server: ServerConfig) -> Flow:
    """A shadow port: authenticated clients in, their targets out."""
    inbound = shadow_inbound(shared, server)
    return Flow(shared.reactor, shared.scratch, inbound, OneWay(server_dialer(shared, server)), shared.journal)


def local_flow(shared: Shared, local: LocalConfig, associations: Associations | None = None) -> Flow:
    """A port for programs: their requests in, the servers out, in their order."""
    servers = [server for server in shared.config.servers if server.mode.tcp] or shared.config.servers
    dialers = [shadow_dialer(shared, server) for server in servers]
    dialer: Dialer = dialers[0] if len(dialers) == 1 else InOrder(dialers)
    inbound = _LOCAL_INBOUNDS[local.protocol](shared, local, associations)
    return Flow(shared.reactor, shared.scratch, inbound, OneWay(dialer), shared.journal)


def socks_inbound(shared: Shared, local: LocalConfig, associations: Associations | None) -> Socks5Inbound:
    """The face of a SOCKS5 port."""
    lane = shared.reactor.lane
    config = shared.config
    handshakes, headers = lane(config.handshake_timeout), lane(config.first_payload_timeout)
    return Socks5Inbound(
        shared.reactor, shared.scratch, handshakes, headers, associations=associations, streams=local.mode.tcp
    )


def socks_associations(shared: Shared, local: LocalConfig) -> Associations:
    """The associations of a SOCKS5 port: their datagrams go to the first server that serves UDP."""
    server = next((server for server in shared.config.servers if server.mode.udp), shared.config.servers[0])
    packets = packets_of(shared, server)
    back = ShadowBack(shared.datagrams, shared.names, server.address, packets, datagram_options(shared.config))

    def make(sock: SocketType, host: AssociatedHost) -> PacketRelay:
        return _relay(shared, sock, host, back, packets.idle_min)

    return Associations(
        shared.reactor,
        shared.scratch,
        shared.datagrams.name_of,
        make,
        required=local.udp_require_association,
        answer=local.udp_associate_address,
    )


_LOCAL_INBOUNDS: Final[dict[str, Callable[[Shared, LocalConfig, Associations | None], Inbound]]] = {
    "socks": socks_inbound
}
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
    if server.outbound_proxy:
        return shadow_dialer(shared, _last(server))
    return DirectDialer(_connector(shared, shared.judge, server.dial_timeout))


def _last(server: ServerConfig) -> ServerConfig:
    """The hop that a server's connections come out of."""
    hop = server.outbound_proxy[-1]
    if len(server.outbound_proxy) > 1 or isinstance(hop, ProxyConfig):
        raise ConfigError([Problem("config", None, "outbound_proxy", "only one ss:// hop can be had yet")])
    return hop


def shadow_dialer(shared: Shared, server: ServerConfig) -> ShadowsocksDialer:
    """The way through one server. Servers are the operator's choice and may stand anywhere."""
    connect = partial(_connector(shared, Anywhere(), server.dial_timeout).connect, server.address)
    return ShadowsocksDialer(connect, shadow_of(server), shared.scratch, wall, draw)


def shadow_of(server: ServerConfig) -> Shadow:
    """The wire format of a server, with its key."""
    return make_shadow(server.method, parse_keys(server.method, server.password.reveal()))


def packets_of(shared: Shared, server: ServerConfig) -> PacketShadow:
    """The wire format of a server for datagrams, with its key."""
    keys = parse_keys(server.method, server.password.reveal())
    return make_packets(server.method, keys, draw, shared.packet_salts.insert)


def server_back(shared: Shared, server: ServerConfig) -> Back:
    """Where the datagrams of a server go: to their targets, or to the server it is chained to."""
    options = datagram_options(shared.config)
    if server.outbound_proxy:
        far = _last(server)
        return ShadowBack(shared.datagrams, shared.names, far.address, packets_of(shared, far), options)
    return DirectBack(shared.datagrams, shared.names, shared.judge, options)


def datagram_options(config: Config) -> DatagramOptions:
    """The options of every UDP socket."""
    return DatagramOptions(config.udp_receive_buffer or 0, config.udp_send_buffer or 0)


def _relay(shared: Shared, sock: SocketType, host: PacketHost, back: Back, idle_min: int) -> PacketRelay:
    idle = max(shared.config.udp_timeout, idle_min)
    return PacketRelay(shared.reactor, shared.datagrams, sock, host, back, shared.crowd, shared.journal, wall, idle)


def _bind_beside(address: Address, options: DatagramOptions) -> SocketType:
    """Return a UDP socket on the same host, on any port."""
    family = AF_INET6 if ":" in address.host else AF_INET
    return bind_socket((address.host, 0), family, options)


def _connector(shared: Shared, judge: Judge, timeout: float) -> Connector:
    return Connector(shared.reactor, shared.names, judge, shared.reactor.lane(timeout), no_delay=shared.config.no_delay)
