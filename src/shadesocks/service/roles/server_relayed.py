"""What a server passes on that stands in front of others (`destinations`), and can read none of it.

streams    RelayedShadow -> DirectDialer (or a chain of proxies)
datagrams  RelayHost -> RelayedBack

Loaded by those who have some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...proxy.outbound.direct import DirectDialer
from ...wire.relayed import RelayedShadow, RelayHost
from ..parts import keys_of, to_operators_hosts
from ..sockets import datagram_options
from ..users.tables import destinations_of

if TYPE_CHECKING:
    from ...config.model import ServerConfig
    from ...net.packet_seams import Back
    from ...proxy.seams import Dialer
    from ...proxy.users.destination import Destination
    from ...proxy.users.table import UserTable
    from ...wire.packet import PacketHost
    from ..shared import Shared


def relayed_shadow(server: ServerConfig) -> RelayedShadow:
    """The wire format of such a server: of a stream it opens the first header alone."""
    return RelayedShadow(server.method, keys_of(server)[-1], _following(server).by_identity)


def relayed_dialer(shared: Shared, server: ServerConfig) -> Dialer:
    """What it dials with. The servers behind it are the operator's choice, as proxies are."""
    if not server.outbound_proxy:
        return DirectDialer(to_operators_hosts(shared, server))
    from ..chains import dialer_through

    return dialer_through(shared, server)


def relayed_packets(shared: Shared, server: ServerConfig) -> tuple[PacketHost, Back, int]:
    """Its datagrams: from whom, where to, and how long a session is remembered at least."""
    from ...proxy.outbound.relayed import RelayedBack  # datagrams: who serves streams alone has no use for them
    from ...wire.packet_aead2022 import REMEMBERED

    options = datagram_options(shared.config, server.outbound)
    host = RelayHost(keys_of(server)[-1], _following(server).by_identity)
    return host, RelayedBack(shared.datagrams, shared.names, options), REMEMBERED


def _following(server: ServerConfig) -> UserTable[Destination]:
    table = destinations_of(server)
    assert table is not None, "asked only of a server that has some"
    return table
