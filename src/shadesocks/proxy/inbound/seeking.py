"""A stranger at an AEAD port of several users, while it is tried whose key he has.

Some keys are tried at once: those that were used from his address. The others follow in slices between the turns of
the reactor (`net/slices.py`), and meanwhile he is read from as any stranger is, but what he says is kept.

Who ends first gets his end at once, as with one key, or the time that it takes would tell how many users there are: a
few more keys are tried, before those of others who search from there, and that is all. So whoever sends everything and
his end with it, from an address that is new, is served where his key was used lately, or there are some hundred of
them at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...net.options import NOW
from ...net.pipe import READ_MIN
from ...net.poller import READ
from ...net.story import until
from ...wire.reader import Reader
from ..users.sources import group_at

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Hashable

    from ...wire.aead_users import AeadUsersShadow, Sought
    from ...wire.search import Search
    from ...wire.shadow import Random, ShadowRequest, WallClock
    from ..silent import Strangers

KEPT_MAX: Final = READ_MIN
"""Bytes that are read during a search; then the sender has to wait for its end."""
LAST_STEPS: Final = 8
"""Of a search whose stranger has ended: 1 ms."""
LAST_TIME: Final = 0.005
"""Seconds within which it is over whatever happens: no more than the handshakes of a burst keep each other waiting."""


class Seeking:
    """One search. For `Slices` it is a job."""

    __slots__ = ("_future", "_search", "_sock", "_source", "_steps", "_strangers", "kept")

    def __init__(self, strangers: Strangers, sock: Any, search: Search) -> None:
        self._strangers = strangers
        self._sock = sock
        self._search = search
        self._source: Hashable = search.group
        """Whose turn it waits for."""
        self._steps = -1
        """How many are left, once the stranger has ended."""
        self._future: asyncio.Future[None] = strangers.reactor.loop.create_future()
        self.kept = bytearray()
        """What came meanwhile."""

    async def over(self) -> None:
        """Wait until the search is over. Where too many are under way, it is, without a key."""
        reactor = self._strangers.reactor
        if not reactor.slices.add(self._source, self):
            return
        fd = self._sock.fileno()
        reactor.watch(fd, READ, self._on_event)
        try:
            await until(self._future)
        finally:
            reactor.slices.drop(self._source, self)
            reactor.unwatch(fd)

    def step(self) -> bool:
        """See `slices.Job`."""
        self._steps -= 1
        return self._search.step() or not self._steps

    def done(self) -> None:
        """See `slices.Job`."""
        if not self._future.done():
            self._future.set_result(None)

    def _on_event(self, _events: int) -> None:
        scratch = self._strangers.scratch.inward
        try:
            size = self._sock.recv_into(scratch, READ_MIN, NOW)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self.kept += scratch[:size]
        if not size:
            self._hurry()
        if not size or len(self.kept) >= KEPT_MAX:
            self._strangers.reactor.unwatch(self._sock.fileno())

    def _hurry(self) -> None:
        """The stranger has ended: come to an end."""
        reactor = self._strangers.reactor
        self._steps = LAST_STEPS
        reactor.slices.drop(self._source, self)
        self._source = self._search.group, "ended"
        if not reactor.slices.add(self._source, self):
            self.done()
        reactor.loop.call_later(LAST_TIME, self.done)

    def crash(self) -> None:
        """A handler raised: nobody was found."""
        self.done()


async def go_on(
    shadow: AeadUsersShadow,
    sought: Sought,
    rest: bytes,
    strangers: Strangers,
    sock: Any,
    client: Any,
    wall: WallClock,
    random: Random,
) -> tuple[Reader[ShadowRequest], ShadowRequest | None, int]:
    """Find whose stream it is; return what reads on, what it has read if that is all, and the bytes that came.

    Raises:
        RemoteProtocolError: nobody's; or what follows is against the rules.
    """
    search = shadow.search(sought, group_at(client))
    more: bytes | bytearray = b""
    if not search.step():
        seeking = Seeking(strangers, sock, search)
        await seeking.over()
        more = seeking.kept
    reader = Reader(shadow.go_on(sought, search, wall, random))
    return reader, reader.feed(rest + more), len(more)
