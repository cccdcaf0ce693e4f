"""The ways through proxies (`outbound_proxy`), of a server to targets and of a client to its servers.

streams    chain_dialer, of a server perhaps GuardedDialer
datagrams  ChainBack, ShadowBack for one Shadowsocks hop; of a server perhaps GuardedBack

Loaded by those who have some.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..config.model import ProxyConfig
from ..crypto.random import draw
from ..proxy.outbound.chain import ChainMeans, Hop, HttpHop, ShadowHop, SocksHop, can_packets, chain_dialer
from ..proxy.outbound.guarded import GuardedBack, GuardedDialer
from .parts import packets_of, shadow_of, to_operators_hosts
from .rules import has_rules
from .shared import wall
from .sockets import datagram_options

if TYPE_CHECKING:
    from ..config.model import ServerConfig
    from ..net.packet_seams import Back
    from ..proxy.seams import Dialer
    from ..wire.packet import PacketShadow
    from .rules import TargetJudge
    from .shared import Shared

log = logging.getLogger(__name__)


def guarded_dialer(shared: Shared, server: ServerConfig, judge: TargetJudge) -> Dialer:
    """What a server dials with that is chained to proxies."""
    dialer = dialer_through(shared, server)
    return GuardedDialer(judge, dialer) if _is_guarded(shared, server) else dialer


def guarded_back(shared: Shared, server: ServerConfig, judge: TargetJudge) -> Back:
    """Where the datagrams of such a server go."""
    back = _back_through(shared, server, hops_of(shared, server))
    return GuardedBack(judge, back, shared.datagrams.middle) if _is_guarded(shared, server) else back


def _is_guarded(shared: Shared, server: ServerConfig) -> bool:
    """True where what is passed on is judged here: where there are rules, or where nobody behind us judges.

    A Shadowsocks server at the end of a chain has a safe default of its own; another proxy may dial its own loopback,
    which is ours where it is on this machine.
    """
    last = server.outbound_proxy[-1]
    return isinstance(last, ProxyConfig) or has_rules(shared.config, shared.acls.at(server.acl))


def dialer_through(shared: Shared, server: ServerConfig) -> Dialer:
    """The way through the proxies of a server."""
    return chain_dialer(hops_of(shared, server), to_operators_hosts(shared, server).connect, _means(shared, server))


def shadow_back_through(shared: Shared, server: ServerConfig, packets: PacketShadow) -> Back:
    """The way of datagrams to a server through its proxies."""
    hop = ShadowHop(server.address, shadow_of(shared, server), packets)
    return _back_through(shared, server, (*hops_of(shared, server), hop))


def _back_through(shared: Shared, server: ServerConfig, hops: Sequence[Hop]) -> Back:
    from ..net.backs import ClosedBack, ShadowBack  # datagrams: who serves streams alone has no use for them

    options = datagram_options(shared.config, server.outbound)
    if not can_packets(hops):
        log.warning("outbound_proxy: an http:// proxy takes no datagrams: those of %s are dropped", server.address)
        return ClosedBack(shared.datagrams)
    only = hops[0]
    if len(hops) == 1 and isinstance(only, ShadowHop) and only.packets is not None:
        return ShadowBack(shared.datagrams, shared.names, only.address, only.packets, options)
    from ..proxy.outbound.packets import ChainBack

    connect = to_operators_hosts(shared, server).connect
    return ChainBack(shared.datagrams, shared.names, hops, connect, _means(shared, server), options)


def _means(shared: Shared, server: ServerConfig) -> ChainMeans:
    handshakes = shared.reactor.lane(server.dial_timeout, of="hops")
    return ChainMeans(shared.reactor, shared.scratch, handshakes, wall, draw)


def hops_of(shared: Shared, server: ServerConfig) -> tuple[Hop, ...]:
    """The proxies of a server, the nearest first."""
    return tuple(_hop(shared, hop) for hop in server.outbound_proxy)


def _hop(shared: Shared, hop: ServerConfig | ProxyConfig) -> Hop:
    if isinstance(hop, ProxyConfig):
        kind = SocksHop if hop.protocol == "socks5" else HttpHop
        return kind(hop.address, hop.user, hop.password)
    return ShadowHop(hop.address, shadow_of(shared, hop), packets_of(shared, hop) if hop.mode.udp else None)
