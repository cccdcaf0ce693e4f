"""What a service is: the server of some clients, or the client of some servers.

A role is an object with the parts of one end: the ports it wants, what it keeps beside them, and what it does with a
changed configuration. It is chosen once, and what the other end needs is not loaded.

    seam        what a role is
    server      a server: its ports, its manager             server_port  server_packets  server_relayed
    client      a client: its roster, its subscriptions      local_port  socks_port  socks_packets  tunnel_port
    client_ways  client_probes   the ways through its servers, and how it finds out how they are
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...core.later import later

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...config.model import Config
    from ..port import Port
    from .seam import Role

ROLES: Final[dict[str, Callable[..., Role]]] = {
    "server": later(__name__, ".server", "ServerRole"),
    "local": later(__name__, ".client", "ClientRole"),
}
"""By the words of `config/setting.py`; each takes the service and its house."""

_PORTS: Final[dict[str, Callable[[Config], Sequence[Port]]]] = {
    "server": later(__name__, ".server", "ports_of"),
    "local": later(__name__, ".client", "ports_of"),
}


def ports_of(role: str, config: Config) -> Sequence[Port]:
    """Return the ports that a configuration wants, without a service."""
    return _PORTS[role](config)
