"""The port of a tunnel: everything goes to one target, over TCP and UDP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...proxy.inbound.tunnel import TunnelInbound
from ...wire.packet_tunnel import TunnelPackets
from ..port import Face, Port
from .local_port import local_back, local_flow

if TYPE_CHECKING:
    from socket import SocketType

    from ...config.model import LocalConfig
    from ..shared import Shared


def tunnel_port(local: LocalConfig) -> Port:
    """The port of a tunnel: whoever reaches it may send datagrams, as he may connect."""
    assert local.forward is not None, "a tunnel has a target"
    host = TunnelPackets(local.forward)

    def face(shared: Shared, sock: SocketType | None) -> Face:
        if sock is not None:
            from ..packets import packet_relay

            back, idle_min = local_back(shared, local)
            packet_relay(shared, sock, host, back, idle_min)
        return Face(local_flow(shared, local, tunnel_inbound(shared, local)) if local.mode.tcp else None)

    streams, packets = local.address if local.mode.tcp else None, local.udp_address if local.mode.udp else None
    return Port(streams, packets, face, local.mode.udp, "tunnel", local.forward)


def tunnel_inbound(shared: Shared, local: LocalConfig) -> TunnelInbound:
    """The face of a tunnel."""
    assert local.forward is not None, "a tunnel has a target"
    return TunnelInbound(shared.reactor, local.forward, shared.reactor.lane(shared.config.first_payload_timeout))
