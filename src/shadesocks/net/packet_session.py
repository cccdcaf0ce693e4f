"""One client's datagrams: who it is, where it is, its own socket towards the targets, and its account.

What comes up is the front's (`packets.py`), since many clients write to one socket; what comes down, to the session's
own socket, is taken here: it is read, sealed and put for the front in one turn.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from ..core.errors import LimitError, RemoteProtocolError
from ..core.reasons import reason

if TYPE_CHECKING:
    from ..wire.packet import Talk
    from .datagrams import DatagramSocket
    from .packet_seams import Back, PacketMeter, Via
    from .packets import PacketRelay


class Session:
    """What its relay keeps of a client while it sends or is sent anything."""

    __slots__ = (
        "back",
        "down_bytes",
        "down_packets",
        "down_wire",
        "far",
        "forward",
        "group",
        "held",
        "key",
        "meter",
        "on_close",
        "only_dns",
        "outlet",
        "relay",
        "seen_at",
        "source",
        "started_at",
        "talk",
        "up_bytes",
        "up_packets",
        "up_wire",
        "user",
        "via",
    )

    def __init__(self, relay: PacketRelay, key: Hashable, source: Hashable, talk: Talk, group: bytes) -> None:
        self.relay = relay
        self.key = key
        self.source = source
        """The token of the address that answers go to."""
        self.talk = talk
        self.user: Any = getattr(talk, "user", relay.owner) or relay.owner
        """Whose session it is, where a port has users: their talks know."""
        self.group = group
        self.back: Back = relay.back
        """What leads on from here."""
        self.forward = relay.forward
        """Its `forward`; of a user who may reach less than others, that of a back which knows it."""
        self.far: Talk | None = None
        """The talk with the next server, where there is one."""
        self.via: Via | None = None
        """Of several backs that could serve it, the one that was chosen for its socket."""
        self.outlet: DatagramSocket | None = None
        self.on_close: Callable[[], None] | None = None
        """Closes what its way lives by beside its socket, when that closes."""
        self.only_dns = True
        self.held = 0
        """Messages that wait for a name."""
        self.seen_at = self.started_at = relay.time()
        self.up_packets = self.up_bytes = self.down_packets = self.down_bytes = 0
        self.up_wire = self.down_wire = 0
        """Bytes of the packets from its client, and of those to it."""
        self.meter: PacketMeter | None = None
        """Who counts it for a user, where there are users."""

    def carried(self) -> tuple[int, int, int, int]:
        """Return payload bytes up and down, and the bytes of packets from the client and to it."""
        return self.up_bytes, self.down_bytes, self.up_wire, self.down_wire

    def on_event(self, _events: int) -> None:
        """Take what came for the session to where its client is."""
        relay, outlet = self.relay, self.outlet
        if outlet is None:
            return
        datagrams, front, source = relay.datagrams, relay.front, self.source
        read, seal, put, outward = self.back.read, self.talk.seal, datagrams.put, datagrams.outward
        now, before = relay.now, self.down_packets
        for sender, start, end in datagrams.receive(outlet):
            at = outward.at
            try:
                arena, span = read(self, sender, start, end, now)
                stop = seal(arena.view, span, outward.view, at, now)
            except (RemoteProtocolError, LimitError) as error:
                relay.dropped[reason(error.code).word] += 1
                continue
            put(front, source, outward, at, stop)
            self.down_packets += 1
            self.down_bytes += span[2] - span[1]
            self.down_wire += stop - at
        if self.down_packets != before:  # an ICMP error, or a forged answer, keeps no session alive
            relay.sessions.move_to_end(self.key)
            self.seen_at = relay.time()

    def crash(self) -> None:
        """A handler raised, and the reactor took it away: the session ends."""
        self.relay.end(self, "internal")
