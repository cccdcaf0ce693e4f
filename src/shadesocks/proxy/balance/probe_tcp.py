"""A probe of connections: a page is asked for through a server, and its status says that all of the way works."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ...core.errors import DialError
from ...wire.http_get import ask
from ..outbound.dialogue import Means, converse

if TYPE_CHECKING:
    from ...core.page import Page
    from ...net.end import End
    from ...net.lane import Lane
    from ...net.pipe import Scratch
    from ...net.reactor import Reactor
    from ..seams import First
    from .member import Member

GOOD: Final = frozenset((200, 204))
"""Statuses of pages that are made to be asked for. A page to log in at, or a proxy's error, has another."""


class TcpProbe:
    """A `prober.Probe`."""

    def __init__(self, reactor: Reactor, scratch: Scratch, page: Page, limit: float) -> None:
        """Make one; `limit` is how many seconds it may take, from the dial to the status."""
        self._reactor = reactor
        self._page = page
        self._limit: Lane = reactor.lane(limit, of="probes")
        self._means = Means(reactor, scratch, reactor.lane(limit, of="answers to probes"))

    async def __call__(self, member: Member) -> None:
        """See `prober.Probe`."""
        dialer, page = member.fresh, self._page
        assert dialer is not None, "a server of a client has its way"
        story = self._reactor.current
        assert story is not None, "a server is probed by a story"
        is_there = False

        async def connect(first: First) -> End:
            nonlocal is_there
            end = await dialer.dial(page.target, first)
            is_there = True
            return end

        self._limit.start(story)
        try:
            end, status = await converse(self._means, connect, partial(ask, page=page))
        except TimeoutError:
            raise DialError("dial_timeout", "the name of the server was not found in time") from None
        except DialError as failed:
            if is_there and failed.code == "bad_hop":  # which is about a proxy, and here is the page
                raise DialError("bad_answer", "what came back is no answer to a probe") from None
            raise
        finally:
            self._limit.cancel(story)
        self._reactor.close(end.sock)
        if status not in GOOD:
            raise DialError("bad_answer", f"a probe was answered {status}")
