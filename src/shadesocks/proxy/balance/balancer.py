"""A dialer of dialers: each connection goes through the server that the policy takes, or the next that works."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...core.errors import DialError
from .group import TCP
from .member import NOT_THE_SERVERS

if TYPE_CHECKING:
    from ...core.address import Address
    from ...net.end import End
    from ..seams import First
    from .group import Group


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
        error = DialError("no_server", "there is no server yet")
        for member in self._group.order(TCP, target, self._time()):
            assert member.dialer is not None, "a server of a client has its way"
            try:
                end = await member.dialer.dial(target, first)
            except DialError as failed:
                error = failed.with_traceback(None)  # which would hold this frame, and it the error
                if error.code == "limit":
                    break
                if error.code not in NOT_THE_SERVERS:
                    member.tcp.health.failed(self._time(), error.code)
            else:
                member.tcp.health.succeeded(self._time())
                end.via = member
                return end
        try:
            raise error
        finally:
            del error  # it holds this frame by its traceback: a cycle, if the frame held it too
