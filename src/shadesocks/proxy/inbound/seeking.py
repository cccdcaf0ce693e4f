"""A stranger at an AEAD port of several users, while it is tried whose key he has.

Some keys are tried at once: those that were used from his address, and where few search, some that were used lately.
The others follow in slices between the turns of the reactor (`net/slices.py`), and meanwhile he is read from as any
stranger is, but what he says is kept.

Who ends first gets his end at once, as with one key, or the time that it takes would tell how many users there are. So
whoever sends everything and his end with it is served where his key is among those that are tried at once. To look on
for him would serve nobody: after our own end there is no answer.
"""

from __future__ import annotations

from socket import MSG_PEEK
from typing import TYPE_CHECKING, Any, Final

from ...net.options import NOW
from ...net.pipe import READ_MIN
from ...net.poller import ENDED, READ
from ...net.story import ready
from ...wire.reader import Reader
from ..users.sources import group_at

if TYPE_CHECKING:
    from socket import SocketType

    from ...wire.aead_users import AeadUsersShadow, Sought
    from ...wire.search import Search
    from ...wire.shadow import Random, ShadowRequest, WallClock
    from ..silent import Strangers

KEPT_MAX: Final = READ_MIN
"""Bytes that are read during a search; then the sender has to wait for its end."""
AT_ONCE_MOST: Final = 8
"""Searches under way beside which more than the keys of an address is tried at once: 16 keys for each connection of a
burst are what others would wait for."""


class Seeking:
    """One search. For `Slices` it is a job."""

    __slots__ = ("_fd", "_is_over", "_is_waiting", "_search", "_sock", "_strangers", "_tells_end", "kept")

    def __init__(self, strangers: Strangers, sock: SocketType, search: Search) -> None:
        self._strangers = strangers
        self._sock = sock
        self._fd: int = sock.fileno()
        self._search = search
        self._is_over = False
        self._is_waiting = False
        self._tells_end = strangers.reactor.poller.name == "epoll"
        """The end of a stream is told of before what is in front of it was read."""
        self.kept = bytearray()
        """What came meanwhile."""

    async def over(self) -> None:
        """Wait until the search is over, or the stranger ends it; where too many are under way, it is over at once."""
        reactor, group = self._strangers.reactor, self._search.group
        if not reactor.slices.add(group, self):
            return
        self._is_waiting = True
        try:
            while True:
                await ready(self._fd, self._interest())
                if self._is_over or not self._read():
                    return
        finally:
            self._is_waiting = False
            reactor.slices.drop(group, self)

    @property
    def _is_full(self) -> bool:
        return len(self.kept) >= KEPT_MAX

    def _interest(self) -> int:
        if not self._is_full:
            return READ
        return ENDED if self._tells_end else 0

    def _read(self) -> bool:
        """Keep what came; False: it was the end."""
        if self._is_full:
            return False
        scratch = self._strangers.scratch.inward
        try:
            size = self._sock.recv_into(scratch, READ_MIN, NOW)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.kept += scratch[:size]
        return size > 0

    def step(self) -> bool:
        """See `slices.Job`."""
        return (self._is_full and not self._tells_end and self._has_ended()) or self._search.step()

    def _has_ended(self) -> bool:
        """Look for the end where nothing tells of it; one that has bytes in front of it stays out of sight."""
        try:
            return self._sock.recv(1, MSG_PEEK | NOW) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

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
    strangers: Strangers,
    sock: SocketType,
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
    slices = strangers.reactor.slices
    if not (search.step() if len(slices) < AT_ONCE_MOST else search.step_near()):
        seeking = Seeking(strangers, sock, search)
        await seeking.over()
        more = seeking.kept
    reader = Reader(shadow.go_on(sought, search, wall, random))
    return reader, reader.feed(rest + more), len(more)
