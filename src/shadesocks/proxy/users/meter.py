"""Where the bytes of one user meet the account: relays and sessions are counted in and out, and paced.

Without a quota and without a speed nothing here is called while bytes pass: a relay has the same pipes as anybody's.
With one of them each chunk goes through a pipe that is wrapped (`pipe`), each datagram through a talk that is
(`MeteredTalk`). What has too much speed is not read for a while, a datagram is dropped; where the quota is used up,
everything of the user ends with the turn of the reactor, at most one read later.

Other limits hold at once for what is live: `change` wraps and unwraps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...core.errors import LimitError
from ...core.later import later
from ...net.story import until

if TYPE_CHECKING:
    import asyncio

    from ...core.limits import Limits
    from ...net.end import End
    from ...net.packet_session import Session
    from ...net.packets import PacketRelay
    from ...net.pipe import Pipe, Scratch
    from ...net.reactor import Reactor
    from ...net.relay import Relay
    from ...wire.packet import Span, Talk
    from .account import Account
    from .bucket import TokenBucket

READ_LEAST: Final = 16 * 1024
"""Bytes that a read of a paced end asks for at least: a chunk of the AEAD editions."""
READ_SECONDS: Final = 0.25
"""Seconds of its speed that such a read asks for at most: the debt of a chunk is gone soon."""
WAIT_LEAST: Final = 0.01
"""Seconds between two looks at who waits: below that, timers cost more than they smooth."""


_narrowed_back: Final = later(__package__, "..outbound.guarded", "narrowed_back")

WAIT_MOST: Final = 1.0
"""Seconds until the next look: a speed that is shared with other processes may be another one by then."""


TURNS_MOST: Final = 128
"""Requests that wait for a turn at once: none sees whether its client is still there. One more is refused."""


class Waits(Protocol):
    """Who waits for a turn: an end, or a request with what came with it."""

    paced: bool

    def resume(self) -> None:
        """The turn has come."""


class Turn:
    """A request that waits."""

    __slots__ = ("_pay", "future", "paced")

    def __init__(self, future: asyncio.Future[None], pay: Callable[[], None]) -> None:
        self.future: Final = future
        self.paced = True
        self._pay = pay

    def resume(self) -> None:
        """See `Waits`; of who has gone nothing is paid."""
        self.paced = False
        if not self.future.done():
            self._pay()
            self.future.set_result(None)


class Pace:
    """The speed of one user in one direction: who waits, and until when."""

    __slots__ = ("_bucket", "_reactor", "_timer", "_waiting")

    def __init__(self, reactor: Reactor, bucket: Callable[[], TokenBucket | None]) -> None:
        self._reactor = reactor
        self._bucket = bucket
        self._waiting: deque[Waits] = deque()
        """Ends that are not read, and requests, in the order in which they go on."""
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, end: End) -> None:
        """Do not read an end while there is a debt: its turn comes behind those who wait already."""
        end.pause()
        self.hold(end)

    @property
    def is_spent(self) -> bool:
        """True while whoever comes has to wait: there is a debt."""
        bucket = self._bucket()
        return bucket is not None and bucket.tokens(self._reactor.loop.time()) < 0

    def hold(self, who: Waits) -> None:
        """Let somebody wait who has not begun."""
        who.paced = True
        self._waiting.append(who)
        bucket = self._bucket()
        if self._timer is None and bucket is not None:
            now = self._reactor.loop.time()
            self._arm(now + bucket.wait(now))

    def _arm(self, at: float) -> None:
        loop = self._reactor.loop
        now = loop.time()
        self._timer = loop.call_at(min(max(at, now + WAIT_LEAST), now + WAIT_MOST), self.go_on)

    def go_on(self) -> None:
        """Let those who wait go on, one after the other, until there is a debt again."""
        if self._timer is not None:
            self._timer.cancel()
        reactor, waiting = self._reactor, self._waiting
        now = reactor.loop.time()
        bucket = self._bucket()
        for _ in range(len(waiting)):  # each once: who reads again at once waits behind the others
            if bucket is not None and bucket.tokens(now) < 0:
                break
            reactor.guard(waiting.popleft().resume)
        self._timer = None
        if waiting:
            self._arm(now if bucket is None else now + bucket.wait(now))
        reactor.settle()


class Meter:
    """One user's relays and sessions, and the account that they are counted for."""

    __slots__ = ("_down", "_lived", "_now", "_reactor", "_relays", "_sessions", "_turns", "_up", "_wall", "account")

    def __init__(self, reactor: Reactor, account: Account, wall: Callable[[], int]) -> None:
        self.account: Final = account
        self._reactor = reactor
        self._now = reactor.loop.time
        self._wall = wall
        self._up: Pace | None = None
        self._down: Pace | None = None
        """Made when a speed first needs them: of ten thousand users few have one."""
        self._turns = 0
        """Requests that wait."""
        self._lived = 0.0
        """Seconds that all lived that is over."""
        self._relays: dict[Relay, None] = {}
        self._sessions: dict[Session, Talk] = {}
        """With the talk that each began with."""

    # -- streams -------------------------------------------------------------------------------

    def admit(self, client: Any, size: int = 0) -> str | None:
        """See `seams.Metering`. Who comes while what others brought uses up the quota finds it used up."""
        account = self.account
        word = account.admit(client, self._now, self._wall)
        if word is None and account.left <= account.owed:
            account.leave()
            word = "quota"
        if word is None:
            account.owed += size
        else:
            account.refused(word)
        return word

    async def turn(self, size: int) -> None:
        """See `seams.Metering`. Without this a new connection would be a way around a speed."""
        account, now = self.account, self._now

        def pay() -> None:
            if account.up_bucket is not None:
                account.up_bucket.take(size, now())

        pace = self._pace(is_up=True)
        if not pace.is_spent:
            pay()
            return
        if self._turns >= TURNS_MOST:
            raise LimitError("limit", "too many wait for the user's speed")
        turn = Turn(self._reactor.loop.create_future(), pay)
        pace.hold(turn)
        self._turns += 1
        try:
            await until(turn.future)
        finally:
            self._turns -= 1
        word = account.refuse(self._wall())
        if word is not None:
            account.refused(word)
            raise LimitError(word)

    def leave(self, size: int = 0) -> None:
        """See `seams.Metering`."""
        self.account.owed -= size
        self.account.leave()

    def began(self, relay: Relay) -> None:
        """See `net.end.Via`: a relay of a connection that was admitted is about to begin."""
        account, size = self.account, relay.left.moved
        self._relays[relay] = None
        account.owed -= size
        account.began(relay, relay.label[0], relay.close)
        if account.limits.is_metered:
            relay.meter = self
            account.left -= size
            if account.left <= 0:
                self._exceed()
            for is_up, end in ((True, relay.left), (False, relay.right)):
                bucket = account.up_bucket if is_up else account.down_bucket
                if bucket is not None and self._pace(is_up=is_up).is_spent:
                    self._pace(is_up=is_up).hold(end)

    def ended(self, relay: Relay, word: str) -> None:
        """See `net.end.Via`."""
        self._relays.pop(relay, None)
        self._lived += self._now() - relay.started_at
        self.account.ended(relay)
        self.account.leave()

    def pipe(self, end: End, pipe: Pipe) -> Pipe:
        """See `net.end.Meter`."""
        account, relay, now = self.account, end.relay, self._now
        assert relay is not None, "asked only while joined"
        is_up = end is relay.left
        bucket = account.up_bucket if is_up else account.down_bucket
        if bucket is not None:
            pace = self._pace(is_up=is_up)
            end.most = min(end.most, max(READ_LEAST, int(bucket.rate * READ_SECONDS)))

        def metered(source: End, sink: End, scratch: Scratch, size: int) -> memoryview:
            if account.left <= 0:
                return scratch.outward[:0]  # this relay is over when the turn is
            before = source.moved
            out = pipe(source, sink, scratch, size)
            moved = source.moved - before
            account.left -= moved
            if account.left <= 0:
                self._exceed()
            if bucket is not None and bucket.take(moved, now()) < 0 and not source.paced:
                pace.wait(source)
            return out

        return metered

    def _pace(self, *, is_up: bool) -> Pace:
        account = self.account
        if is_up:
            self._up = self._up or Pace(self._reactor, lambda: account.up_bucket)
            return self._up
        self._down = self._down or Pace(self._reactor, lambda: account.down_bucket)
        return self._down

    def _exceed(self) -> None:
        self._reactor.queue.append(partial(self.account.end_all, "quota"))

    # -- datagrams -----------------------------------------------------------------------------

    def welcome(self, group: bytes) -> None:
        """See `net.packet_seams.PacketMeter`."""
        word = self.account.welcome(group, self._now, self._wall)
        if word is not None:
            self.account.refused(word)
            raise LimitError(word)

    def met(self, relay: PacketRelay, session: Session, size: int) -> None:
        """See `net.packet_seams.PacketMeter`."""
        account = self.account
        self._sessions[session] = session.talk
        account.began(session, session.group, partial(relay.end, session), is_session=True)
        if account.allowed is not None:
            relay.narrow(session, account.allowed, _narrowed_back)
        if account.limits.is_metered:
            session.talk = MeteredTalk(self, session.talk)
            self._pay(account.up_bucket, size)

    def review(self) -> None:
        """End sessions by keys that are the user's no more: where nothing comes up nothing goes down."""
        for session, talk in list(self._sessions.items()):
            find = getattr(talk, "holder", None)  # who is alone at his port needs none
            if find is not None:
                holder = find()
                if holder is None or holder.name != self.account.name:
                    session.relay.end(session, "revoked")

    def parted(self, session: Session) -> None:
        """See `net.packet_seams.PacketMeter`."""
        self._sessions.pop(session, None)
        self._lived += self._now() - session.started_at
        self.account.ended(session)

    def _pay(self, bucket: TokenBucket | None, size: int) -> None:
        """Let a datagram's payload pass, or raise LimitError."""
        account = self.account
        if account.left <= 0:
            raise LimitError("quota")
        if bucket is not None and not bucket.allow(size, self._now()):
            raise LimitError("limit", "faster than the user's speed")
        account.left -= size
        if account.left <= 0:
            self._exceed()

    # -- what is told ---------------------------------------------------------------------------

    @property
    def lived(self) -> float:
        """Seconds that connections and sessions have lived, each by itself, those that live among them."""
        now = self._now()
        streams = sum(now - relay.started_at for relay in self._relays)
        return self._lived + streams + sum(now - session.started_at for session in self._sessions)

    # -- other limits --------------------------------------------------------------------------

    def change(self, limits: Limits) -> None:
        """Let other limits hold, also for what is live."""
        account = self.account
        account.limit(limits, self._now(), self._wall())
        meter = self if limits.is_metered else None
        for relay in self._relays:
            relay.meter = meter
            for end in (relay.left, relay.right):
                if end.relay is not None:
                    end.choose_pipe()
        for session, talk in self._sessions.items():
            session.talk = talk if meter is None else MeteredTalk(self, talk)
            session.relay.narrow(session, account.allowed, _narrowed_back)
        for pace in (self._up, self._down):
            if pace is not None:
                pace.go_on()


class MeteredTalk:
    """The talk of a session whose user has a quota or a speed."""

    __slots__ = ("_down", "_open", "_pay", "_seal", "_up")

    def __init__(self, meter: Meter, talk: Talk) -> None:
        self._pay = meter._pay
        self._open, self._seal = talk.open, talk.seal
        self._up, self._down = meter.account.up_bucket, meter.account.down_bucket

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """See `packet.Talk`; raises LimitError where the message may not pass."""
        span = self._open(packet, out, at, now)
        self._pay(self._up, span[2] - span[1])
        return span

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """See `packet.Talk`; raises LimitError where the message may not pass."""
        self._pay(self._down, span[2] - span[1])
        return self._seal(source, span, out, at, now)
