"""The ways out: from a configuration to what dials, and to what sends datagrams on.

direct     DirectDialer       DirectBack
a server   ShadowsocksDialer  ShadowBack
a chain    chain_dialer       ChainBack
a client's servers  Balancer      BalancerBack
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from secrets import randbelow
from typing import TYPE_CHECKING, Final

from ..config.model import DEFAULT_OUTBOUND, ProxyConfig
from ..core.address import Address
from ..core.page import parse_page
from ..crypto.keys import parse_keys
from ..crypto.methods import Edition
from ..crypto.random import draw
from ..net.backs import ClosedBack, DirectBack, ShadowBack
from ..net.connect import Anywhere, Connector
from ..proxy.balance.balancer import Balancer
from ..proxy.balance.balancer_packets import BalancerBack
from ..proxy.balance.group import TCP, UDP
from ..proxy.balance.policies import PROBED
from ..proxy.balance.probe_tcp import TcpProbe
from ..proxy.balance.probe_udp import UdpProbe
from ..proxy.balance.prober import Probe, Prober, Rules
from ..proxy.outbound.chain import ChainMeans, Hop, HttpHop, ShadowHop, SocksHop, can_packets, chain_dialer
from ..proxy.outbound.direct import DirectDialer
from ..proxy.outbound.guarded import GuardedBack, GuardedDialer
from ..proxy.outbound.packets import ChainBack
from ..proxy.outbound.plugged import PluggedBack, PluggedConnect
from ..proxy.outbound.pool import WarmPool, age_most
from ..proxy.outbound.shadowsocks import ShadowsocksDialer
from ..wire.editions import make_packets, make_shadow
from ..wire.packet_aead2022 import REMEMBERED
from ..wire.shadow import Quirks
from .roster import Roster, Way
from .rules import has_rules, target_judge
from .shared import Shared, wall
from .sockets import datagram_options, dialled_options, route_of

if TYPE_CHECKING:
    from ..config.model import Config, Outbound, ServerConfig
    from ..net.connect import Judge
    from ..net.packets import Back
    from ..proxy.outbound.shadowsocks import Connect
    from ..proxy.seams import Dialer
    from ..proxy.users.table import UserTable
    from ..proxy.users.user import User
    from ..wire.packet import PacketShadow
    from ..wire.shadow import Shadow

log = logging.getLogger(__name__)

PROBE_DNS: Final = Address("8.8.8.8", 53)
"""The name server that probes of datagrams ask where none is named: shadowsocks-rust's."""


def server_dialer(shared: Shared, server: ServerConfig) -> Dialer:
    """What a server dials with: directly, or through the proxies that it is chained to."""
    if server.destinations:  # the operator's choice, as the proxies are
        if server.outbound_proxy:
            return _through_hops(shared, server)
        return DirectDialer(_to_operators_hosts(shared, server))
    judge = target_judge(shared.config, shared.origin, shared.acls.at(server.acl))
    if not server.outbound_proxy:
        return DirectDialer(connector(shared, judge, server.dial_timeout, server.outbound))
    dialer = _through_hops(shared, server)
    return GuardedDialer(judge, dialer) if _is_guarded(shared, server) else dialer


def _is_guarded(shared: Shared, server: ServerConfig) -> bool:
    """True where what is passed on is judged here: where there are rules, or where nobody behind us judges.

    A Shadowsocks server at the end of a chain has a safe default of its own; another proxy may dial its own loopback,
    which is ours where it is on this machine.
    """
    last = server.outbound_proxy[-1]
    return isinstance(last, ProxyConfig) or has_rules(shared.config, shared.acls.at(server.acl))


def shadow_dialer(shared: Shared, server: ServerConfig, connect: Connect | None = None) -> ShadowsocksDialer:
    """The way through one server: connected to anew for each request, unless something else connects."""
    way = connect or _way_to(shared, server)
    return ShadowsocksDialer(way, shadow_of(shared, server), shared.scratch, wall, draw)


def _way_to(shared: Shared, server: ServerConfig) -> Connect:
    """What connects to one server. Servers are the operator's choice and may stand anywhere."""
    if server.plugin is not None and server.plugin.mode.tcp:
        lane = shared.reactor.lane(server.dial_timeout)
        return PluggedConnect(shared.reactor, shared.plugins.open(server), _to_plugins(shared, server), lane)
    way = _through_hops(shared, server).dial if server.outbound_proxy else _to_operators_hosts(shared, server).connect
    return partial(way, server.address)


def warm_pool(shared: Shared, server: ServerConfig, connect: Connect | None = None) -> WarmPool | None:
    """What keeps connections to one server ready; None where none are wanted."""
    if not server.pool or not server.mode.tcp:
        return None
    age = age_most(server.handshake_timeout)
    if not age:
        text = "pool: has no effect for %s: with a handshake_timeout of %g s nothing can wait"
        log.warning(text, server.remarks or server.address, server.handshake_timeout)
        return None
    plain = replace(shared, config=replace(shared.config, fast_open=False)) if shared.config.fast_open else shared
    prepare = connect or _way_to(plain, server)
    way = connect or _way_to(shared, server)
    return WarmPool(shared.reactor, shared.scratch, way, prepare, server.pool, age, wall, randbelow)


def client_dialer(shared: Shared, group: str) -> Dialer:
    """The way through the servers of a client that are of a group."""
    roster = roster_of(shared)
    return Balancer(roster.group(group), shared.reactor.loop.time, roster.wanted)


def client_back(shared: Shared, group: str) -> tuple[Back, int]:
    """The way of datagrams through them, and how long a session is remembered at least."""
    roster = roster_of(shared)
    back = BalancerBack(roster.group(group), shared.datagrams.middle, shared.reactor.loop.time, roster.wanted)
    is_2022 = any(server.method.edition is Edition.AEAD2022 for server in shared.config.servers)
    return back, REMEMBERED if is_2022 else 0


def roster_of(shared: Shared) -> Roster:
    """The servers of a client."""
    if not shared.rosters:
        shared.rosters.append(Roster(shared, client_way, client_prober))
    return shared.rosters[0]


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


def client_prober(shared: Shared, roster: Roster) -> Prober | None:
    """What finds out how the servers of a client are; None where the policy does not ask."""
    config, reactor = shared.config, shared.reactor
    if config.balancer_policy not in PROBED:
        return None
    dns = config.balancer_probe_dns or PROBE_DNS
    limit = config.balancer_max_rtt
    probes: dict[str, Probe] = {
        TCP: TcpProbe(reactor, shared.scratch, parse_page(config.balancer_probe_url), limit),
        UDP: UdpProbe(
            reactor,
            shared.datagrams,
            replace(dns, port=dns.port or PROBE_DNS.port),
            config.balancer_probe_name,
            limit,
            draw,
            wall,
        ),
    }
    interval = config.balancer_interval
    rules = Rules(interval, config.balancer_best_interval or interval, config.balancer_probe_concurrency)
    return Prober(reactor, reactor.loop, rules, probes, roster)


def _through_hops(shared: Shared, server: ServerConfig) -> Dialer:
    """The way through the proxies of a server."""
    return chain_dialer(
        hops_of(shared, server), _to_operators_hosts(shared, server).connect, _chain_means(shared, server)
    )


def _chain_means(shared: Shared, server: ServerConfig) -> ChainMeans:
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


def keys_of(server: ServerConfig) -> tuple[bytes, ...]:
    """The keys of a server: one, but for a client of a server with users."""
    return parse_keys(server.method, server.password.reveal(), raw=server.raw_key)


def shadow_of(shared: Shared, server: ServerConfig, users: UserTable[User] | None = None) -> Shadow:
    """The wire format of a server, with its key: derived here, and not for each connection."""
    keys = keys_of(server)
    found = None if users is None else users.by_identity
    return make_shadow(server.method, keys, quirks_of(shared.config, server), found)


def packets_of(shared: Shared, server: ServerConfig, users: UserTable[User] | None = None) -> PacketShadow:
    """The wire format of a server for datagrams, with its key."""
    keys = keys_of(server)
    claim = None if shared.siblings is None else shared.siblings.windows.claim
    quirks, found = quirks_of(shared.config, server), None if users is None else users.by_identity
    return make_packets(server.method, keys, draw, shared.packet_salts.insert, quirks, claim, found)


def quirks_of(config: Config, server: ServerConfig) -> Quirks:
    """The habits of old programs that a server, or whoever is at its other end, has."""
    return Quirks(server.one_time_auth, config.stream_replay == "refuse", server.compat == "procurator")


def server_back(shared: Shared, server: ServerConfig) -> Back:
    """Where the datagrams of a server go: to their targets, or to the proxies that it is chained to."""
    judge = target_judge(shared.config, shared.origin, shared.acls.at(server.acl))
    if not server.outbound_proxy:
        options = datagram_options(shared.config, server.outbound)
        return DirectBack(shared.datagrams, shared.names, judge, options)
    back = _chain_back(shared, server, hops_of(shared, server))
    return GuardedBack(judge, back, shared.datagrams.middle) if _is_guarded(shared, server) else back


def shadow_back(shared: Shared, server: ServerConfig, packets: PacketShadow) -> Back:
    """The way of datagrams to one server, and through the proxies or the plugin before it."""
    if server.plugin is not None and server.plugin.mode.udp:
        local = datagram_options(shared.config, DEFAULT_OUTBOUND)
        make = partial(ShadowBack, shared.datagrams, shared.names, packets=packets, options=local)
        return PluggedBack(shared.plugins.open(server), make)
    if not server.outbound_proxy:
        options = datagram_options(shared.config, server.outbound)
        return ShadowBack(shared.datagrams, shared.names, server.address, packets, options)
    hop = ShadowHop(server.address, shadow_of(shared, server), packets)
    return _chain_back(shared, server, (*hops_of(shared, server), hop))


def _chain_back(shared: Shared, server: ServerConfig, hops: Sequence[Hop]) -> Back:
    options = datagram_options(shared.config, server.outbound)
    if not can_packets(hops):
        log.warning("outbound_proxy: an http:// proxy takes no datagrams: those of %s are dropped", server.address)
        return ClosedBack(shared.datagrams)
    only = hops[0]
    if len(hops) == 1 and isinstance(only, ShadowHop) and only.packets is not None:
        return ShadowBack(shared.datagrams, shared.names, only.address, only.packets, options)
    connect = _to_operators_hosts(shared, server).connect
    return ChainBack(shared.datagrams, shared.names, hops, connect, _chain_means(shared, server), options)


def _to_operators_hosts(shared: Shared, server: ServerConfig) -> Connector:
    """Connects to what the operator named. Whoever dials a server sends it a header soon, whatever comes."""
    return connector(shared, Anywhere(), server.dial_timeout, server.outbound, always_sends=True)


def _to_plugins(shared: Shared, server: ServerConfig) -> Connector:
    """Connects to what listens on this machine: from where packets leave it is nothing to a plugin."""
    return connector(shared, Anywhere(), server.dial_timeout, DEFAULT_OUTBOUND, always_sends=True)


def connector(
    shared: Shared, judge: Judge, timeout: float, outbound: Outbound, *, always_sends: bool = False
) -> Connector:
    return Connector(
        shared.reactor,
        shared.names,
        judge,
        shared.reactor.lane(timeout),
        dialled_options(shared.config),
        route_of(outbound),
        attempt_delay=shared.config.connection_attempt_delay,
        always_sends=always_sends,
    )
