"""The port of a SOCKS5 listener. Its associations are in `socks_packets.py`, loaded where it serves datagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...proxy.inbound.socks5 import Socks5Inbound
from ..port import Face, Port
from .local_port import local_flow

if TYPE_CHECKING:
    from socket import SocketType

    from ...config.model import LocalConfig
    from ...proxy.inbound.associations import Associations
    from ..shared import Shared


def socks_port(local: LocalConfig) -> Port:
    """The port of a SOCKS5 listener. It has TCP whatever its mode: associations are TCP connections."""

    def face(shared: Shared, sock: SocketType | None) -> Face:
        if not local.mode.udp:
            return Face(local_flow(shared, local, socks_inbound(shared, local, None)))
        from .socks_packets import socks_associations

        associations = socks_associations(shared, local, sock)
        return Face(local_flow(shared, local, socks_inbound(shared, local, associations)), associations.close)

    shares = local.mode.udp and not local.udp_socket_per_association
    return Port(local.address, local.udp_address if shares else None, face, local.mode.udp, "local")


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
