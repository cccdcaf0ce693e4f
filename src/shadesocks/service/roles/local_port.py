"""The ports of a client: programs in, the servers out.

socks   Socks5Inbound  (`socks_port.py`)   those who have an association send datagrams
tunnel  TunnelInbound  (`tunnel_port.py`)  whoever reaches it does

All go to the Balancer of their group, and with an access list straight to what bypasses the servers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ...core.later import later
from ...proxy.flow import Flow
from ...proxy.seams import OneWay
from ..heard import heard
from ..parts import connector
from ..sockets import datagram_options
from .client_ways import client_back, client_dialer

if TYPE_CHECKING:
    from ...config.model import LocalConfig
    from ...net.packet_seams import Back
    from ...proxy.seams import Inbound, Router
    from ..port import Port
    from ..shared import Shared

_PORTS: Final[dict[str, Callable[[LocalConfig], Port]]] = {
    "socks": later(__package__, ".socks_port", "socks_port"),
    "tunnel": later(__package__, ".tunnel_port", "tunnel_port"),
}
"""By the `protocol` of a local listener."""


def local_port(local: LocalConfig) -> Port:
    """The port of a local listener."""
    return _PORTS[local.protocol](local)


def local_flow(shared: Shared, local: LocalConfig, inbound: Inbound) -> Flow:
    """The streams of a port for programs."""
    dialer = client_dialer(shared, local.group)
    router: Router = OneWay(dialer)
    acl = shared.acls.at(local.acl)
    if acl is not None:
        from ...proxy.outbound.direct import DirectDialer
        from ...proxy.route import AclRouter, Ways

        config = shared.config
        direct = DirectDialer(connector(shared, shared.bypass, config.dial_timeout, config.outbound))
        router = AclRouter(Ways(acl, shared.names), direct, dialer)
    return Flow(shared.reactor, shared.scratch, heard(inbound, shared.journal), router, shared.journal)


def local_back(shared: Shared, local: LocalConfig) -> tuple[Back, int]:
    """Where the datagrams of a local listener go, and how long a session is remembered at least."""
    back, idle_min = client_back(shared, local.group)
    acl = shared.acls.at(local.acl)
    if acl is not None:
        from ...net.backs import DirectBack
        from ...proxy.outbound.split import SplitBack
        from ...proxy.route import Ways

        options = datagram_options(shared.config, shared.config.outbound)
        direct = DirectBack(shared.datagrams, shared.names, shared.bypass, options)
        back = SplitBack(Ways(acl, shared.names), direct, back, shared.datagrams)
    return back, idle_min
