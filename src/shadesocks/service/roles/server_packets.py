"""The datagrams of a server: PacketRelay -> DirectBack, or what leads through the proxies that it is chained to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...net.backs import DirectBack
from ...proxy.gate import GatedHost, gate_of
from ..packets import packet_relay
from ..parts import packets_of
from ..rules import target_judge
from ..sockets import datagram_options

if TYPE_CHECKING:
    from socket import SocketType

    from ...config.model import ServerConfig
    from ...net.packet_seams import Back
    from ...net.packets import PacketRelay
    from ...proxy.users.table import UserTable
    from ...proxy.users.user import User
    from ...wire.packet import PacketHost
    from ..shared import Shared


def server_relay(
    shared: Shared, server: ServerConfig, sock: SocketType, users: UserTable[User] | None = None
) -> PacketRelay:
    """Begin to serve the datagrams of a server."""
    host, back, idle_min = server_packets(shared, server, users)
    acl = shared.acls.at(server.acl)
    if acl is not None:
        host = GatedHost(host, gate_of(acl), shared.datagrams.name_of)
    relay = packet_relay(shared, sock, host, back, idle_min)
    if shared.accounting is not None:
        owner = relay.owner = shared.accounting.owner(server)
        meter_of = shared.accounting.meter_of(server)
        if meter_of is not None:
            relay.meter_of = lambda talk: meter_of(getattr(talk, "user", owner) or owner)
    return relay


def server_packets(shared: Shared, server: ServerConfig, users: UserTable[User] | None) -> tuple[PacketHost, Back, int]:
    """The datagrams of a server: from whom, where to, and how long a session is remembered at least."""
    if server.destinations:
        from .server_relayed import relayed_packets

        return relayed_packets(shared, server)
    packets = packets_of(shared, server, users)
    return packets.host(), server_back(shared, server), packets.idle_min


def server_back(shared: Shared, server: ServerConfig) -> Back:
    """Where the datagrams of a server go: to their targets, or to the proxies that it is chained to."""
    judge = target_judge(shared.config, shared.origin, shared.acls.at(server.acl))
    if not server.outbound_proxy:
        options = datagram_options(shared.config, server.outbound)
        return DirectBack(shared.datagrams, shared.names, judge, options)
    from ..chains import guarded_back

    return guarded_back(shared, server, judge)
