"""A way from this process through the servers of its own client, for a document that the straight way does not bring.

    Passage(reactor, scratch, roster).connect(host, port) -> a socket, as if it were connected to that host

It is one of a pair. What is said at it goes where a program's connection would: to the server that the policy takes,
to the next one where that fails. Called from the threads of `download.py`, whose TLS goes from end to end: a server
learns the name of the host, and nothing of the document.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from ...config.hosts import is_loopback
from ...core.address import Address
from ...core.errors import DialError, LocalProtocolError
from ...net.end import End
from ...net.relay import Relay
from ...proxy.balance.balancer import Balancer

if TYPE_CHECKING:
    from ...net.pipe import Scratch
    from ...net.reactor import Reactor
    from ...net.story import Story
    from ..roster import Roster

_STOPPED: Final = "stopped"


class Passage:
    """The way through the servers of one client."""

    def __init__(self, reactor: Reactor, scratch: Scratch, roster: Roster) -> None:
        self._reactor = reactor
        self._scratch = scratch
        self._roster = roster
        self._stories: set[Story] = set()
        self._relays: set[Relay] = set()
        self._closed = False

    def leads_to(self, host: str) -> bool:
        """True where there is a server to go through, and the host is not this machine, which is another one there."""
        return bool(self._roster.members and self._roster.groups) and not is_loopback(host.strip("[]"))

    def connect(self, host: str, port: int) -> socket.socket:
        """Return a socket that leads to a host, in any thread; it ends at once where no server works."""
        ours, theirs = socket.socketpair()
        try:
            self._reactor.loop.call_soon_threadsafe(self._begin, theirs, Address(host, port))
        except RuntimeError:  # the loop is closed
            ours.close()
            theirs.close()
            raise OSError("the client is stopping") from None
        return ours

    def close(self) -> None:
        """End all that goes through here."""
        self._closed = True
        for story in list(self._stories):
            story.abort()
        for relay in list(self._relays):
            relay.close(_STOPPED)

    # In the loop

    def _begin(self, sock: socket.socket, target: Address) -> None:
        sock.setblocking(False)
        if self._closed:
            sock.close()
            return
        self._reactor.tell(self._lead(sock, target))

    async def _lead(self, sock: socket.socket, target: Address) -> None:
        story = self._reactor.current
        assert story is not None, "a way is led by a story"
        self._stories.add(story)
        mine = [sock]
        try:
            balancer = Balancer(self._roster.groups[0], self._reactor.loop.time, _nobody_asks)
            far = await balancer.dial(target, b"")
            mine.clear()
            relay = Relay(self._reactor, self._scratch, End(sock), far, self._ended)
            self._relays.add(relay)
            if far.via is not None:
                far.via.began(relay)
            relay.begin()
        except (DialError, LocalProtocolError, IndexError):  # whoever reads at the other end sees that it ends
            pass
        finally:
            self._stories.discard(story)
            for each in mine:
                self._reactor.close(each)

    def _ended(self, relay: Relay, word: str) -> None:
        self._relays.discard(relay)
        if relay.right.via is not None:
            relay.right.via.ended(relay, word)


def _nobody_asks() -> None:
    """A fetch is no program that would want probes to be sent."""
