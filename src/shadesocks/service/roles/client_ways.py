"""The ways of a client through its servers: from a configuration to what dials, and to what sends datagrams on.

a server             ShadowsocksDialer  ShadowBack    directly, through proxies (`chains.py`), or through its plugin
the servers together Balancer           BalancerBack

What few have is loaded by those: warm connections, plugins, probes, and datagrams.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ...config.model import DEFAULT_OUTBOUND
from ...crypto.methods import Edition
from ...crypto.random import draw
from ...net.connect import Anywhere
from ...proxy.balance.balancer import Balancer
from ...proxy.balance.policies import PROBED
from ...proxy.outbound.shadowsocks import ShadowsocksDialer
from ..parts import connector, packets_of, shadow_of, to_operators_hosts
from ..roster import Roster, Way
from ..shared import wall
from ..sockets import datagram_options

if TYPE_CHECKING:
    from ...config.model import ServerConfig
    from ...net.packet_seams import Back
    from ...proxy.balance.prober import Prober
    from ...proxy.outbound.pool import WarmPool
    from ...proxy.outbound.shadowsocks import Connect
    from ...proxy.seams import Dialer
    from ...wire.packet import PacketShadow
    from ..shared import Shared

log = logging.getLogger(__name__)


def roster_of(shared: Shared) -> Roster:
    """The servers of a client."""
    if not shared.rosters:
        shared.rosters.append(Roster(shared, client_way, client_prober))
    return shared.rosters[0]


def client_dialer(shared: Shared, group: str) -> Dialer:
    """The way through the servers of a client that are of a group."""
    roster = roster_of(shared)
    return Balancer(roster.group(group), shared.reactor.loop.time, roster.wanted)


def client_back(shared: Shared, group: str) -> tuple[Back, int]:
    """The way of datagrams through them, and how long a session is remembered at least."""
    from ...proxy.balance.balancer_packets import BalancerBack

    roster = roster_of(shared)
    back = BalancerBack(roster.group(group), shared.datagrams.middle, shared.reactor.loop.time, roster.wanted)
    if not any(server.method.edition is Edition.AEAD2022 for server in shared.config.servers):
        return back, 0
    from ...wire.packet_aead2022 import REMEMBERED

    return back, REMEMBERED


def client_prober(shared: Shared, roster: Roster) -> Prober | None:
    """What finds out how the servers of a client are; None where the policy does not ask."""
    if shared.config.balancer_policy not in PROBED:
        return None
    from .client_probes import make_prober

    return make_prober(shared, roster)


def client_way(shared: Shared, server: ServerConfig) -> Way:
    """The way of a client through one server, and through its plugin."""
    way = _way_through(shared, server)
    plugin = shared.plugins.of(server)
    if plugin is None:
        return way

    def close() -> None:
        way.close()
        shared.plugins.release(plugin)

    return replace(way, close=close, about=lambda: {**way.about(), "plugin": plugin.about()})


def _way_through(shared: Shared, server: ServerConfig) -> Way:
    takes_packets = any(local.mode.udp for local in shared.config.locals)
    back = shadow_back(shared, server, packets_of(shared, server)) if takes_packets else None
    pool = warm_pool(shared, server)
    if pool is None:
        return Way(shadow_dialer(shared, server), back)
    if len(shared.config.servers) == 1:
        pool.fill()  # of several, each fills when it is used
    dialer = shadow_dialer(shared, server, pool.connect)
    return Way(
        dialer,
        back,
        pool.close,
        lambda: {"pool": {"size": pool.size, "ready": len(pool)}},
        rest=pool.close,
        fresh=shadow_dialer(shared, server),
        listen=pool.listen,
    )


def shadow_dialer(shared: Shared, server: ServerConfig, connect: Connect | None = None) -> ShadowsocksDialer:
    """The way through one server: connected to anew for each request, unless something else connects."""
    way = connect or _way_to(shared, server)
    return ShadowsocksDialer(way, shadow_of(shared, server), shared.scratch, wall, draw)


def _way_to(shared: Shared, server: ServerConfig) -> Connect:
    """What connects to one server. Servers are the operator's choice and may stand anywhere."""
    if server.plugin is not None and server.plugin.mode.tcp:
        from ...proxy.outbound.plugged import PluggedConnect

        # To what listens on this machine: from where packets leave it is nothing to a plugin.
        to_plugin = connector(shared, Anywhere(), server.dial_timeout, DEFAULT_OUTBOUND, always_sends=True)
        lane = shared.reactor.lane(server.dial_timeout)
        return PluggedConnect(shared.reactor, shared.plugins.open(server), to_plugin, lane)
    if not server.outbound_proxy:
        return partial(to_operators_hosts(shared, server).connect, server.address)
    from ..chains import dialer_through

    return partial(dialer_through(shared, server).dial, server.address)


def warm_pool(shared: Shared, server: ServerConfig, connect: Connect | None = None) -> WarmPool | None:
    """What keeps connections to one server ready; None where none are wanted."""
    if not server.pool or not server.mode.tcp:
        return None
    from secrets import randbelow

    from ...proxy.outbound.pool import WarmPool, age_most

    age = age_most(server.handshake_timeout)
    if not age:
        text = "pool: has no effect for %s: with a handshake_timeout of %g s nothing can wait"
        log.warning(text, server.remarks or server.address, server.handshake_timeout)
        return None
    plain = replace(shared, config=replace(shared.config, fast_open=False)) if shared.config.fast_open else shared
    prepare = connect or _way_to(plain, server)
    way = connect or _way_to(shared, server)
    return WarmPool(shared.reactor, shared.scratch, way, prepare, server.pool, age, wall, randbelow)


def shadow_back(shared: Shared, server: ServerConfig, packets: PacketShadow) -> Back:
    """The way of datagrams to one server, and through the proxies or the plugin before it."""
    from ...net.backs import ShadowBack

    if server.plugin is not None and server.plugin.mode.udp:
        from ...proxy.outbound.plugged import PluggedBack

        local = datagram_options(shared.config, DEFAULT_OUTBOUND)
        make = partial(ShadowBack, shared.datagrams, shared.names, packets=packets, options=local)
        return PluggedBack(shared.plugins.open(server), make)
    if not server.outbound_proxy:
        options = datagram_options(shared.config, server.outbound)
        return ShadowBack(shared.datagrams, shared.names, server.address, packets, options)
    from ..chains import shadow_back_through

    return shadow_back_through(shared, server, packets)
