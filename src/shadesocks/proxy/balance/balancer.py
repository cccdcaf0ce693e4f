"""A dialer of dialers: each connection goes through the server that the policy takes, or the next that works."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ...core.errors import DialError
from .group import TCP
from .member import NOT_THE_SERVERS

if TYPE_CHECKING:
    from ...core.address import Address
    from ...net.end import End
    from ..seams import First
    from .group import Group
    from .member import Member

PATIENCE: Final = 60.0
"""Seconds after which no other server is tried for a connection: whoever asked for it has given up by then, and a
hundred dead servers at 10 s each would hold what it costs."""


class Balancer:
    """A `seams.Dialer` of a group."""

    __slots__ = ("_group", "_time", "_wanted")

    def __init__(self, group: Group, time: Callable[[], float], wanted: Callable[[], None]) -> None:
        """Make one.

        Args:
            group: the servers.
            time: the clock of their health, in seconds.
            wanted: is told of each request: whoever probes the servers rests while there are none.
        """
        self._group = group
        self._time = time
        self._wanted = wanted

    async def dial(self, target: Address, first: First) -> End:
        """Dial through the first that can, as the policy orders them; the error of the last where none can.

        A program hears of a failure only when the last server failed, too; each attempt is bounded by its server's
        dial time-out.
        """
        self._wanted()
        began_at = self._time()
        left = list(self._group.order(TCP, target, began_at))
        error = DialError("no_server", "there is no server yet")
        member = left[0] if left else None
        while member is not None:
            try:
                return await self._through(member, target, first)
            except DialError as failed:
                error = failed.with_traceback(None)  # which would hold this frame, and it the error
            now = self._time()
            left.remove(member)
            member = None
            if error.code != "limit" and now - began_at < PATIENCE:
                member = _next(left, now)
        try:
            raise error
        finally:
            del error  # it holds this frame by its traceback: a cycle, if the frame held it too

    async def _through(self, member: Member, target: Address, first: First) -> End:
        """Dial through one, and let its health know what became of it."""
        assert member.dialer is not None, "a server of a client has its way"
        side = member.tcp
        side.live += 1  # it is a load already, and the server is in use
        try:
            end = await member.dialer.dial(target, first)
        except DialError as failed:
            if failed.code not in NOT_THE_SERVERS:
                side.health.missed(self._time(), failed.code)
            raise
        finally:
            side.live -= 1
        side.health.reached(self._time())
        end.via = member
        return end


def _next(left: list[Member], now: float) -> Member | None:
    """Return who is tried next: others may have found out meanwhile that it fails, and then it can wait."""
    return next((member for member in left if not member.tcp.health.failures(now)), left[0] if left else None)
