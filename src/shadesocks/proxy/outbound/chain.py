"""Several proxies, one behind the other: each is reached through those before it.

    us -> hops[0] -> hops[1] -> ... -> target

A hop is a dialer whose way to its own address is the dialer before it. So a chain is a fold, and the last dialer is
the chain. Where the last hop is a Shadowsocks server, a client's way to it is the same chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ...core.address import Address
from ...core.secret import Secret
from ...wire.nested import NESTED_MOST
from ..seams import Dialer, Dialing, First
from .dialogue import Means
from .http import HttpDialer
from .shadowsocks import Connect, ShadowsocksDialer
from .socks5 import Socks5Dialer

if TYPE_CHECKING:
    from ...wire.packet import PacketShadow
    from ...wire.shadow import Random, Shadow, WallClock

ConnectTo = Callable[[Address, First], Dialing]
"""Connects to the first hop's address and sends these bytes first; `net.connect.Connector.connect`."""


@dataclass(frozen=True, slots=True)
class ChainMeans(Means):
    """What all hops need."""

    wall: WallClock
    random: Random


@dataclass(frozen=True, slots=True)
class SocksHop:
    """A SOCKS5 proxy; without a user no login is offered."""

    address: Address
    user: str = ""
    password: Secret = Secret("")  # noqa: RUF009 - never changes

    def dialer(self, connect: Connect, means: ChainMeans) -> Socks5Dialer:
        """Return what dials through it."""
        return Socks5Dialer(connect, means, self.user, self.password)


@dataclass(frozen=True, slots=True)
class HttpHop:
    """An HTTP proxy; without a user no login is sent."""

    address: Address
    user: str = ""
    password: Secret = Secret("")  # noqa: RUF009 - never changes

    def dialer(self, connect: Connect, means: ChainMeans) -> HttpDialer:
        """Return what dials through it."""
        return HttpDialer(connect, means, self.user, self.password)


@dataclass(frozen=True, slots=True)
class ShadowHop:
    """A Shadowsocks server."""

    address: Address
    shadow: Shadow = field(repr=False)
    packets: PacketShadow | None = field(default=None, repr=False)
    """Its format of datagrams; None where it takes none."""

    def dialer(self, connect: Connect, means: ChainMeans) -> ShadowsocksDialer:
        """Return what dials through it."""
        return ShadowsocksDialer(connect, self.shadow, means.scratch, means.wall, means.random)


Hop = SocksHop | HttpHop | ShadowHop


@dataclass(frozen=True, slots=True)
class _Straight:
    """The dialer of no hop at all."""

    connect_to: ConnectTo

    def dial(self, target: Address, first: First) -> Dialing:
        """See `seams.Dialer`."""
        return self.connect_to(target, first)


def chain_dialer(hops: Sequence[Hop], connect_to: ConnectTo, means: ChainMeans) -> Dialer:
    """Return what dials through all hops, the nearest first."""
    assert sum(isinstance(hop, ShadowHop) for hop in hops) <= NESTED_MOST, "the buffers have room for no more"
    dialer: Dialer = _Straight(connect_to)
    for hop in hops:
        dialer = hop.dialer(partial(dialer.dial, hop.address), means)
    return dialer


def can_packets(hops: Sequence[Hop]) -> bool:
    """True where datagrams can go through all hops: never through HTTP."""
    return all(isinstance(hop, SocksHop) or (isinstance(hop, ShadowHop) and hop.packets is not None) for hop in hops)
