"""A stranger at an AEAD port of several users, while it is tried whose key he has.

Some keys are tried at once: those that were used from his address, and where few search, some that were used lately.
The others follow in slices between the turns of the reactor (`net/slices.py`), and meanwhile he is read from as any
stranger is, but what he says is kept.

Who ends first gets his end at once, as with one key, or the time that it takes would tell how many users there are. So
whoever sends everything and his end with it is served where his key is among those that are tried at once. To look on
for him would serve nobody: after our own end there is no answer.

For the same reason he is read from however much he says, which also shows when he ends. What cannot be kept is lost,
and with it his stream; but if he has a key, his address is known from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from ...core.errors import RemoteProtocolError
from ...net.options import NOW
from ...net.pipe import READ_MIN
from ...net.poller import READ
from ...net.story import ready
from ...wire.reader import Reader
from ..users.sources import group_at

if TYPE_CHECKING:
    from ...wire.aead_users import AeadUsersShadow, Sought
    from ...wire.search import Search
    from ...wire.shadow import Random, ShadowRequest, WallClock
    from ..silent import Stranger, Strangers

KEPT_EACH: Final = READ_MIN
"""Bytes that are kept of each, whatever others keep."""
KEPT_MOST: Final = 1 << 20
"""Of one: what 100 Mbit/s bring in the time of 10,000 keys."""
KEPT_ALL: Final = 64 << 20
"""Of all; as much as what is kept of each of as many as may search."""
AT_ONCE_MOST: Final = 8
"""Searches under way beside which more than the keys of an address is tried at once: 16 keys for each connection of a
burst are what others would wait for."""


class Seeking:
    """One search. For `Slices` it is a job."""

    __slots__ = ("_fd", "_is_over", "_is_waiting", "_search", "_stranger", "_strangers", "has_lost", "kept")

    kept_by_all: ClassVar[int] = 0
    """Bytes that are kept by those that are under way."""

    def __init__(self, stranger: Stranger, strangers: Strangers, search: Search) -> None:
        self._stranger = stranger
        self._strangers = strangers
        self._fd: int = stranger.sock.fileno()
        self._search = search
        self._is_over = False
        self._is_waiting = False
        self.kept = bytearray()
        """What came meanwhile."""
        self.has_lost = False
        """More came than was kept."""

    async def over(self) -> None:
        """Wait until the search is over, or the stranger ends it; where too many are under way, it is over at once."""
        reactor, group = self._strangers.reactor, self._search.group
        if not reactor.slices.add(group, self):
            return
        self._is_waiting = True
        try:
            while True:
                await ready(self._fd, READ)
                if self._is_over or not self._read():
                    return
        finally:
            self._is_waiting = False
            Seeking.kept_by_all -= len(self.kept)
            reactor.slices.drop(group, self)

    def _read(self) -> bool:
        """Keep what came; False: it was the end."""
        scratch = self._strangers.scratch.inward
        try:
            size = self._stranger.sock.recv_into(scratch, READ_MIN, NOW)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._stranger.received += size
        most = KEPT_MOST if Seeking.kept_by_all < KEPT_ALL else KEPT_EACH
        if self.has_lost or len(self.kept) + size > most:
            self.has_lost = True
        else:
            self.kept += scratch[:size]
            Seeking.kept_by_all += size
        return size > 0

    def step(self) -> bool:
        """See `slices.Job`."""
        return self._search.step()

    def done(self) -> None:
        """See `slices.Job`."""
        self._is_over = True
        self._strangers.reactor.queue.append(self._wake)

    def _wake(self) -> None:
        handler = self._strangers.reactor.handlers.get(self._fd)
        if self._is_waiting and handler is not None:
            handler(0)


async def go_on(
    shadow: AeadUsersShadow,
    sought: Sought,
    rest: bytes,
    stranger: Stranger,
    strangers: Strangers,
    wall: WallClock,
    random: Random,
) -> tuple[Reader[ShadowRequest], ShadowRequest | None]:
    """Find whose stream it is; return what reads on, and what it has read if that is all.

    Raises:
        RemoteProtocolError: nobody's; or what follows is against the rules, or more than could be kept.
    """
    search = shadow.search(sought, group_at(stranger.client))
    more: bytes | bytearray = b""
    has_lost = False
    slices, time = strangers.reactor.slices, strangers.reactor.loop.time
    began_at = time()
    try:
        if not (search.step() if len(slices) < AT_ONCE_MOST else search.step_near()):
            seeking = Seeking(stranger, strangers, search)
            await seeking.over()
            more, has_lost = seeking.kept, seeking.has_lost
    finally:  # also where the deadline ends it
        strangers.ledger.searched(time() - began_at, is_found=bool(search.key))
    reader = Reader(shadow.go_on(sought, search, wall, random))
    request = reader.feed(rest + more)
    if has_lost:
        raise RemoteProtocolError("limit")
    return reader, request
