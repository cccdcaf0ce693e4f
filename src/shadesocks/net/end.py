"""One end of a connection: a socket, and what waits to go through it. With `relay.py`, THE hot loop of TCP.

Rules (each has its test in `tests/net/test_relay.py`):

 1. Only what cannot wait is copied into the end: `held`, an incomplete chunk; `tail`, what the socket did not take.
 2. While the sink has a tail, its source is not read: that is the back-pressure.
 3. End of file on one side becomes SHUT_WR on the other, after the tail; the other direction goes on.
 4. An output slice is looked at only after the cipher returned; a bad tag delivers nothing of that read.
 5. Per event: one receive, one cipher call, one send. No log, no clock, no branch on roles.

`relay.py` says what happens when an end is reset, breaks, or brings bytes that do not authenticate.
"""

from __future__ import annotations

from socket import SHUT_WR
from typing import TYPE_CHECKING, Protocol

from ..core.errors import RemoteProtocolError
from .options import NOW
from .pipe import PIPES, READ_MAX, READ_MIN, TAILS_MAX, Pipe
from .poller import ENDED, READ, WRITE

if TYPE_CHECKING:
    from socket import SocketType

    from ..wire.shadow import Opens, Seals
    from .relay import Relay


class Via(Protocol):
    """Who counts relays: one of several ways, those that go through it; a user's account, those that are its."""

    def began(self, relay: Relay) -> None:
        """A relay with this at one of its ends begins."""

    def ended(self, relay: Relay, word: str) -> None:
        """It is over, for this reason."""


class Meter(Protocol):
    """Who looks at the bytes of a relay as they pass."""

    def pipe(self, end: End, pipe: Pipe) -> Pipe:
        """Return the pipe that bytes of this end take instead of theirs."""


class End:
    """One socket of a connection, from its accept or connect to its close.

    Shadow ends have an opener and a sealer; plain ends have none. Made by whoever accepts or dials.
    """

    __slots__ = (
        "_pipe",
        "broken",
        "eof",
        "fd",
        "given",
        "held",
        "most",
        "moved",
        "opener",
        "paced",
        "peer",
        "relay",
        "room",
        "sealer",
        "shut",
        "sock",
        "tail",
        "taken",
        "via",
        "wanted",
    )

    def __init__(self, sock: SocketType, opener: Opens | None = None, sealer: Seals | None = None) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.opener = opener
        self.sealer = sealer
        self.held = b""
        """Received, and not yet opened or sent on."""
        self.tail = b""
        """To be sent, and not yet taken by the kernel."""
        self.moved = 0
        """Payload bytes that came out of this end."""
        self.taken = 0
        """Bytes received from its socket."""
        self.given = 0
        """Bytes that its socket has taken."""
        self.room = READ_MIN
        """Bytes the next read asks for."""
        self.most = READ_MAX
        """Bytes that a read ever asks for: less where so much would keep a slow cipher busy, and all others waiting."""
        self.eof = False
        """Nothing more comes from it."""
        self.shut = False
        """Nothing more goes to it: we said so."""
        self.broken = False
        """Nothing more goes to it: it does not take any more."""
        self.paced = False
        """It is not read for a while: its bytes came faster than they may."""
        self.peer: End
        self.relay: Relay | None = None
        self._pipe: Pipe
        self.via: Via | None = None
        """Of several ways, the one it took; of an initiator, whom its relay is counted for."""
        self.wanted = 0
        """The events it waits for."""

    def join(self, relay: Relay, peer: End) -> None:
        """Become an end of that relay."""
        self.relay = relay
        self.peer = peer
        self.choose_pipe()

    def choose_pipe(self) -> None:
        """Take the pipe between the two ends, or the one that the relay's meter has in its place."""
        sealer = self.peer.sealer
        pipe = PIPES[self.opener is not None, sealer is not None]
        opened, sealed = getattr(self.opener, "read_max", READ_MAX), getattr(sealer, "read_max", READ_MAX)
        self.most = min(READ_MAX, opened, sealed)
        meter = self.relay.meter  # type: ignore[union-attr]  # only while joined
        self._pipe = pipe if meter is None else meter.pipe(self, pipe)
        self.room = min(self.room, self.most)

    def want(self, events: int) -> None:
        """Say which events this end waits for now."""
        self.wanted = events
        self.relay.reactor.watch(self.fd, events, self.on_event)  # type: ignore[union-attr]  # only while joined

    # -- bytes in the order they come ----------------------------------------------------------

    def on_event(self, events: int) -> None:
        """Serve one event: what waits to go out first, then one read."""
        if events & WRITE and self.tail:
            self._flush()
        if events & ~WRITE and self.wanted & READ:
            self.pull()
            if events & ENDED and self.wanted & READ:
                self.pull()  # the end of file is there already: find it now, and spare a poll

    def pull(self) -> None:
        """Receive once, pass it through the pipe, and send it to the peer."""
        relay = self.relay
        if relay is None:
            return
        scratch = relay.scratch
        sink = self.peer
        room = self.room if scratch.tails < TAILS_MAX else min(self.room, READ_MIN)
        held = self.held
        at = len(held)
        try:
            if at:
                scratch.inward[:at] = held
                size = self.sock.recv_into(scratch.inward[at:], room, NOW)
            else:
                size = self.sock.recv_into(scratch.inward, room, NOW)
        except BlockingIOError:
            return
        except OSError:
            relay.reset(self)
            return
        if size:
            self.taken += size
            self._pass_on(relay, at + size)
            if size == room < self.most and not sink.tail:
                self.room = room * 2
        else:
            self._end_of_file(relay)

    def _pass_on(self, relay: Relay, end: int) -> None:
        """Send on what `scratch.inward[:end]` holds of this end's bytes."""
        sink = self.peer
        scratch = relay.scratch
        self.held = b""
        try:
            out = self._pipe(self, sink, scratch, end)
        except RemoteProtocolError:
            relay.bad_bytes(self)
            return
        if out:
            sink.send(relay, out)

    def send(self, relay: Relay, out: memoryview) -> None:
        """Send to this socket; what it does not take becomes its tail, and its source waits."""
        try:
            sent = self.sock.send(out, NOW)
        except BlockingIOError:
            sent = 0
        except OSError:
            relay.broken(self)
            return
        self.given += sent
        if sent < len(out):
            self.tail = bytes(out[sent:])
            relay.scratch.tails += len(self.tail)
            self.peer.room = min(READ_MIN, self.peer.most)
            self.peer.want(self.peer.wanted & ~READ)
            self.want(self.wanted | WRITE)

    def begin(self) -> None:
        """Pass on what is held, as far as it is whole: bytes that came with the handshake."""
        relay = self.relay
        held = self.held
        if held and relay is not None:
            relay.scratch.inward[: len(held)] = held
            self._pass_on(relay, len(held))

    def send_header(self) -> None:
        """Send salt and header now if no payload came to carry them (a server that speaks first, an early end)."""
        relay = self.relay
        if relay is not None and self.sealer is not None and self.sealer.owes:
            out = relay.scratch.outward
            self.send(relay, out[: self.sealer.seal(relay.scratch.inward, 0, out)])

    def _flush(self) -> None:
        relay = self.relay
        if relay is None:
            return
        tail = self.tail
        try:
            sent = self.sock.send(tail, NOW)
        except BlockingIOError:
            return
        except OSError:
            relay.broken(self)
            return
        self.given += sent
        relay.scratch.tails -= sent
        self.tail = tail[sent:]
        if self.tail:
            return
        self.want(self.wanted & ~WRITE)
        source = self.peer
        if relay.resetting is source:
            relay.expire()
        elif source.eof:
            self._finish(relay)
        else:
            source.begin()  # a whole chunk may be held since the handshake
            if not (self.tail or self.broken or source.paced) and source.relay is not None and relay.resetting is None:
                source.want(source.wanted | READ)

    # -- pace ----------------------------------------------------------------------------------

    def pause(self) -> None:
        """Read no more for now, whatever the sink takes: its sender waits, as for a slow sink."""
        self.paced = True
        self.want(self.wanted & ~READ)

    def resume(self) -> None:
        """Read on, unless the sink has a tail, or what there was to read is over."""
        self.paced = False
        relay = self.relay
        if relay is not None and relay.resetting is None and not (self.eof or self.peer.tail or self.peer.broken):
            self.want(self.wanted | READ)
            self.pull()

    # -- ends, in the order they happen --------------------------------------------------------

    def _end_of_file(self, relay: Relay) -> None:
        """Nothing more comes from this socket."""
        sink = self.peer
        self.eof = True
        self.wanted &= ~READ
        if self.broken:
            relay.reset(self)
        elif self.held or (self.opener is not None and not self.opener.clean):
            relay.reset(self, "truncated")
        else:
            sink.send_header()
            if not sink.tail and self.relay is not None:
                sink._finish(relay)
            if self.relay is not None:
                self.want(self.wanted)

    def _finish(self, relay: Relay) -> None:
        """The source of this socket ended, and everything is sent: tell it, or close both where that says the same."""
        if self.eof and not self.peer.tail:
            relay.close("done")
        elif not self.shut:
            self.shut = True
            relay.half_closed = True
            try:
                self.sock.shutdown(SHUT_WR)
            except OSError:  # its peer has reset it; what that one said before may still be there to be read
                relay.broken(self)

    def crash(self) -> None:
        """A handler of this end raised: the reactor logged it, the connection goes."""
        if self.relay is not None:
            self.relay.close("internal")
