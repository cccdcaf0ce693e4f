"""The datagrams of a SOCKS5 port: of those who have an association, on one socket or on one for each."""

from __future__ import annotations

from functools import partial
from socket import AF_INET, AF_INET6, SocketType
from typing import TYPE_CHECKING

from ...net.datagrams import DatagramOptions, bind_socket
from ...proxy.inbound.associations import AssociatedHost, Associations
from ..packets import packet_relay
from ..sockets import datagram_options
from .local_port import local_back

if TYPE_CHECKING:
    from ...config.model import LocalConfig
    from ...core.address import Address
    from ...net.packets import PacketRelay
    from ..shared import Shared


def socks_associations(shared: Shared, local: LocalConfig, sock: SocketType | None) -> Associations:
    """The associations of a SOCKS5 port: on a socket that is bound, or each on one of its own."""
    back, idle_min = local_back(shared, local)

    def make(sock: SocketType, host: AssociatedHost) -> PacketRelay:
        return packet_relay(shared, sock, host, back, idle_min)

    associations = Associations(
        shared.reactor,
        shared.scratch,
        shared.datagrams.name_of,
        make,
        required=local.udp_require_association,
        answer=local.udp_associate_address,
    )
    if sock is not None:
        associations.share(sock)
    else:
        options = datagram_options(shared.config, shared.config.outbound)
        associations.bind = partial(_bind_beside, local.udp_address, options)
    return associations


def _bind_beside(address: Address, options: DatagramOptions) -> SocketType:
    """Return a UDP socket on the same host, on any port."""
    family = AF_INET6 if ":" in address.host else AF_INET
    return bind_socket((address.host, 0), family, options)
