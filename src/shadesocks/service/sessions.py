"""The connections and UDP sessions of a service: listed for whoever asks, and ended by hand.

    sessions_of(ports, shared) -> Session: who, where, how far, how much -> row for JSON; end

Nothing here costs a connection anything: it is looked for when somebody asks. A number stays a connection's as long as
it lives, from the first listing that had it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from ..core.address import MAPPED_TEXT, pack_ip
from ..core.networks import Network

if TYPE_CHECKING:
    from ..core.address import Address
    from ..net.packet_session import Session as PacketSession
    from ..net.packets import PacketRelay
    from ..net.relay import Relay
    from ..net.story import Story
    from ..proxy.flow import Flow, Visit
    from .journal import Journal
    from .ports import OpenPort
    from .shared import Shared

KICKED: Final = "kicked"
"""The reason word of what was ended by hand."""

HANDSHAKE: Final = "handshake"
DIALLING: Final = "dialling"
RELAYING: Final = "relaying"
HALF_CLOSED: Final = "half-closed"
ENDING: Final = "ending"
STAGES: Final = (HANDSHAKE, DIALLING, RELAYING, HALF_CLOSED, ENDING)
"""How far a connection is: nothing is known of it; its target is being reached; bytes go both ways; one way; none."""


class Numbers:
    """Gives numbers to what lives."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._next: Final = count(1)

    def give(self, keys: Iterable[Hashable]) -> list[int]:
        """Return the numbers of all that lives now; what is not among it is forgotten."""
        before = self._numbers
        self._numbers = {key: before.get(key) or next(self._next) for key in keys}
        return list(self._numbers.values())


@dataclass(frozen=True, slots=True)
class Session:
    """One connection, or one UDP session."""

    key: Hashable
    way: str
    """`tcp` or `udp`."""
    role: str
    """What its port is: server, local, tunnel."""
    port: int
    server: str
    """The server that has it, or at a client the one that it goes through; empty while that is not known, or none."""
    user: str
    """Who of the users of a port; empty where it has none, or while that is not known."""
    source: tuple[str, int] | None
    target: Address | None
    """None for UDP, which has many, and while it is not known."""
    stage: str
    started_at: float
    up: int
    down: int
    end: Callable[[], None] | None
    """None: nobody can, for it must not be seen that somebody was there (`proxy/silent.py`)."""

    def row(self, number: int, now: float, *, targets: bool) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "number": number,
            "way": self.way,
            "role": self.role,
            "port": self.port,
            "server": self.server,
            "user": self.user or None,
            "source": None if self.source is None else _text(self.source),
            "target": str(self.target) if targets and self.target is not None else None,
            "stage": self.stage,
            "age": round(max(0.0, now - self.started_at), 3),
            "up": self.up,
            "down": self.down,
        }

    def is_from(self, network: Network) -> bool:
        """True where its source is among these addresses."""
        packed = None if self.source is None else pack_ip(self.source[0])
        return packed is not None and network.holds(packed)


def stages_of(ports: Iterable[OpenPort]) -> dict[str, int]:
    """Return how many connections are how far."""
    counts = dict.fromkeys(STAGES, 0)
    for port in ports:
        flow = port.face.flow
        if flow is not None:
            counts[DIALLING] += flow.dialling
            counts[HANDSHAKE] += len(flow.visits) - flow.dialling
            for relay in flow.relays:
                counts[_stage(relay)] += 1
    return counts


def _stage(relay: Relay) -> str:
    if relay.resetting is not None or (relay.left.eof and relay.right.eof):
        return ENDING
    return HALF_CLOSED if relay.half_closed else RELAYING


def sessions_of(ports: Iterable[OpenPort], shared: Shared, journal: Journal) -> Iterator[Session]:
    """Yield all that lives, port by port, the oldest first."""
    of_relays: dict[PacketRelay, OpenPort] = {}
    numbers: dict[int, OpenPort] = {}
    for port in ports:
        if port.face.packets is not None:
            of_relays[port.face.packets] = port
        numbers |= dict.fromkeys(port.numbers, port)
        if port.face.flow is not None:
            flow = port.face.flow
            for story, visit in list(flow.visits.items()):
                yield _of_visit(port, flow, story, visit, journal)
            for relay in sorted(flow.relays, key=lambda relay: relay.started_at):
                yield _of_relay(port, relay)
    for packets in shared.crowd.relays:
        at = packets.front.sock.getsockname()[1]
        owner = of_relays.get(packets) or numbers.get(at)
        for session in list(packets.sessions.values()):
            yield _of_packets(packets, owner, at, session)


def _of_visit(port: OpenPort, flow: Flow, story: Story, visit: Visit, journal: Journal) -> Session:
    known = visit.target is not None

    def end() -> None:
        if story in flow.visits:
            story.abort()
            journal.failed(visit.client, visit.target, "dial", KICKED, visit.user)

    return Session(
        key=(id(flow), visit.client, visit.started_at),
        way="tcp",
        role=port.port.role,
        port=port.number,
        server=_server(port),
        user="" if visit.user is None else visit.user.name,
        source=_source(visit.client),
        target=visit.target,
        stage=DIALLING if known else HANDSHAKE,
        started_at=visit.started_at,
        up=0,
        down=0,
        end=end if known else None,
    )


def _of_relay(port: OpenPort, relay: Relay) -> Session:
    client, target = relay.label
    return Session(
        key=(id(port.face.flow), client, relay.started_at),
        way="tcp",
        role=port.port.role,
        port=port.number,
        server=_server(port) or _name_of(relay.right.via),
        user="" if relay.user is None else relay.user.name,
        source=_source(client),
        target=target,
        stage=_stage(relay),
        started_at=relay.started_at,
        up=relay.up,
        down=relay.down,
        end=partial(relay.close, KICKED),
    )


def _of_packets(packets: PacketRelay, port: OpenPort | None, number: int, session: PacketSession) -> Session:
    return Session(
        key=session,
        way="udp",
        role="local" if port is None else port.port.role,
        port=number if port is None else port.number,
        server=(port and _server(port)) or _name_of(session.via),
        user="" if session.user is None else session.user.name,
        source=packets.datagrams.name_of(session.source),
        target=None,
        stage=RELAYING,
        started_at=session.started_at,
        up=session.up_bytes,
        down=session.down_bytes,
        end=partial(packets.end, session, KICKED),
    )


def _server(port: OpenPort) -> str:
    server = port.server
    return "" if server is None else server.remarks or str(server.address)


def _name_of(via: object) -> str:
    """Return the name of the server of a client that something goes through: a member's, or its back's."""
    return str(getattr(getattr(via, "member", via), "name", ""))


def _source(client: Any) -> tuple[str, int] | None:
    return (client[0].removeprefix(MAPPED_TEXT).partition("%")[0], client[1]) if isinstance(client, tuple) else None


def _text(source: tuple[str, int]) -> str:
    host, port = source
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
