"""A server behind its plugin: the plugin listens where the server would, and the server on a loopback port.

What the plugin does not carry (`plugin_mode`) comes to the server's own port, as always.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ...core.address import Address
from ...wire.plugin_options import loopback_of
from ..given import GivenSockets
from ..ports import Bound, bind_port, close_sockets

if TYPE_CHECKING:
    from ...config.model import Config
    from ..port import Port
    from ..ports import OpenPort
    from .plugins import Plugins


def close_all(bound: Iterable[tuple[Port, Bound]]) -> None:
    """Close what was bound for ports that are not to be served."""
    for _, sockets in bound:
        close_sockets(sockets)


async def bind_behind(config: Config, port: Port, given: GivenSockets) -> tuple[Port, Bound]:
    """Bind a port as `bind_port` does, behind its server's plugin if it has one; return it as it is then.

    The place of the plugin is bound, too, until ours is: so it is known to be free, and its number, where the system
    is to choose one. What was given for it stays unused: a plugin takes no sockets.

    Raises:
        OSError: an address cannot be listened on.
    """
    mode = port.server.plugin.mode if port.server is not None and port.server.plugin is not None else None
    streams, packets = mode is not None and mode.tcp, mode is not None and mode.udp
    carried = _part(port, streams, packets)
    wanted = carried.streams or carried.packets
    if wanted is None:
        return port, await bind_port(config, port, given)
    # One number for both ways: where the system chooses it, both are bound for it.
    trial = await bind_port(config, carried if wanted.port else port, GivenSockets())
    rest: Bound = trial if not wanted.port else (None, None)
    try:
        number = next(sock.getsockname()[1] for sock in trial if sock is not None)
        public, behind = Address(wanted.host, number), Address(loopback_of(wanted.host), 0)
        if wanted.port:
            rest = await bind_port(config, _part(port, not streams, not packets), given)
        port = replace(
            port,
            streams=behind if carried.streams else port.streams and public,
            packets=behind if carried.packets else port.packets and public,
            public=public,
        )
        ours = await bind_port(config, _part(port, streams, packets), GivenSockets())
    except BaseException:
        close_sockets(rest)
        raise
    finally:
        close_sockets((trial[0] if streams else None, trial[1] if packets else None))
    return port, (ours[0] if streams else rest[0], ours[1] if packets else rest[1])


def _part(port: Port, streams: bool, packets: bool) -> Port:
    """Return a port with some of its ways."""
    return replace(port, streams=port.streams if streams else None, packets=port.packets if packets else None)


@dataclass(frozen=True, slots=True)
class Seat:
    """One socket of a port, and where others find it."""

    way: str
    """`streams` or `packets`."""
    wanted: Address
    address: Address
    """The plugin's, where it is behind one."""
    bound: Address


def seats_of(port: Port, bound: Bound) -> list[Seat]:
    """Return the seats of a port that is bound, TCP first."""
    seats = []
    for sock, way, wanted in zip(bound, ("streams", "packets"), (port.streams, port.packets), strict=True):
        if sock is not None and wanted is not None:
            place = Address(*sock.getsockname()[:2])
            hidden = port.public is not None and wanted != port.public
            public = port.public if hidden and port.public is not None else None
            seats.append(Seat(way, public or wanted, public or place, place))
    return seats


def put_plugin_before(opened: OpenPort, seats: Sequence[Seat], plugins: Plugins) -> None:
    """Start the plugin of a server that is behind one."""
    behind = next((seat.bound for seat in seats if seat.bound != seat.address), None)
    opened.numbers |= {seat.bound.port for seat in seats}
    if behind is not None and opened.server is not None:
        opened.release = partial(plugins.release, plugins.serve(opened.server, behind))
