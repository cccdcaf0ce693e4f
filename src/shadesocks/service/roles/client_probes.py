"""What finds out how the servers of a client are, over TCP and UDP: loaded where the policy asks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ...core.address import Address
from ...core.page import parse_page
from ...crypto.random import draw
from ...proxy.balance.group import TCP, UDP
from ...proxy.balance.probe_tcp import TcpProbe
from ...proxy.balance.probe_udp import UdpProbe
from ...proxy.balance.prober import Probe, Prober, Rules
from ..shared import wall

if TYPE_CHECKING:
    from ..roster import Roster
    from ..shared import Shared

PROBE_DNS: Final = Address("8.8.8.8", 53)
"""The name server that probes of datagrams ask where none is named: shadowsocks-rust's."""


def make_prober(shared: Shared, roster: Roster) -> Prober:
    """Return the prober of a client's servers."""
    config, reactor = shared.config, shared.reactor
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
