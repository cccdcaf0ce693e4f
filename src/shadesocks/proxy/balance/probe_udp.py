"""A probe of datagrams: a name server is asked through a server, and any answer says that all of the way works.

A server's back sends what sessions of a relay give it, whatever the way: straight, through a chain, through a plugin.
So a probe is such a session, of a relay that has no clients.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final

from ...core.errors import DialError, LimitError, RemoteProtocolError
from ...net.crowd import Crowd
from ...net.datagrams import DatagramOptions, open_socket
from ...net.packet_session import Session
from ...net.packets import PacketRelay
from ...net.story import until
from ...wire.dns_question import ID_SIZE, is_answer, pack_question
from ...wire.packet_plain import SOCKS5_PACKETS

if TYPE_CHECKING:
    from ...core.address import Address
    from ...net.datagrams import Datagrams
    from ...net.lane import Lane
    from ...net.packet_seams import Back
    from ...net.reactor import Reactor
    from ...wire.packet import Span
    from ...wire.shadow import Random, WallClock
    from .member import Member


class _Ear:
    """The `wire.packet.Talk` of a session without a client: it hears, and nothing goes on."""

    def __init__(self, number: bytes, heard: asyncio.Future[None]) -> None:
        self._number = number
        self._heard = heard

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """Nobody writes to it."""
        raise RemoteProtocolError("stray")

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """A message came back."""
        if is_answer(bytes(source[span[1] : span[2]]), self._number) and not self._heard.done():
            self._heard.set_result(None)
        raise RemoteProtocolError("stray")

    def fail(self, error: DialError) -> None:
        """There will be no answer."""
        if not self._heard.done():
            self._heard.set_exception(error)


class _Nobody:
    """The `packet_seams.PacketLedger` of sessions that nobody keeps an account of."""

    def session_ended(self, client: tuple[str, int], session: Session, word: str) -> None:
        """See `packet_seams.PacketLedger`."""


_NOBODY: Final = _Nobody()


class _Question(PacketRelay):
    """The relay of one session, which is begun and ended here. Its front has no port: nothing comes in."""

    def __init__(self, reactor: Reactor, datagrams: Datagrams, wall: WallClock, back: Back, ear: _Ear) -> None:
        front = open_socket(DatagramOptions())
        super().__init__(reactor, datagrams, front, SOCKS5_PACKETS, back, Crowd(1, 1, 1), _NOBODY, wall, inf)
        self._ear = ear

    def ask(self, to: bytes, question: bytes) -> None:
        """Send a question to an address in its wire form, by the way of the back."""
        session = self.sessions[0] = Session(self, 0, None, self._ear, b"")
        middle = self.datagrams.middle
        begin = middle.at + self.back.room
        payload = begin + len(to)
        end = payload + len(question)
        middle.view[begin:payload] = to
        middle.view[payload:end] = question
        self.back.forward(self, session, (begin, payload, end), self.wall())

    def retry(self, session: Session, span: Span, error: BaseException | None) -> None:
        """See `PacketRelay`."""
        try:
            if error is not None:
                raise error
            self.back.forward(self, session, span, self.wall())
        except (DialError, LimitError) as failed:
            self._ear.fail(DialError(failed.code))
        except Exception as failed:  # as of any datagram
            self.reactor.failed(failed)
        self.reactor.settle()

    def end(self, session: Session, word: str) -> None:
        """End the session: nobody keeps its account. Who has no descriptor left ends it, too."""
        if self.sessions.pop(session.key, None) is not None:
            self.close_outlet(session)
            self._ear.fail(DialError("limit"))


class UdpProbe:
    """A `prober.Probe`."""

    def __init__(
        self,
        reactor: Reactor,
        datagrams: Datagrams,
        server: Address,
        name: str,
        limit: float,
        draw: Random,
        wall: WallClock,
    ) -> None:
        """Make one.

        Args:
            reactor: its stories probe.
            datagrams: of the reactor.
            server: the name server that is asked.
            name: what it is asked for.
            limit: seconds that its answer may take.
            draw: makes the ids of questions, which tell an answer from what anybody sends.
            wall: what packets are stamped with.
        """
        self._reactor = reactor
        self._datagrams = datagrams
        self._to = server.pack()
        self._name = name
        self._limit: Lane = reactor.lane(limit, of="probes of datagrams")
        self._draw = draw
        self._wall = wall

    async def __call__(self, member: Member) -> None:
        """See `prober.Probe`."""
        assert member.back is not None, "a server is probed for datagrams where it has some"
        story = self._reactor.current
        assert story is not None, "a server is probed by a story"
        number = self._draw(ID_SIZE)
        heard: asyncio.Future[None] = self._reactor.loop.create_future()
        try:
            relay = _Question(self._reactor, self._datagrams, self._wall, member.back.inner, _Ear(number, heard))
        except OSError:
            raise DialError("limit") from None
        self._limit.start(story)
        try:
            relay.ask(self._to, pack_question(number, self._name))
            await until(heard)
        except LimitError as failed:
            raise DialError("limit", str(failed)) from None
        except TimeoutError:
            raise DialError("no_answer", "a probe was not answered") from None
        finally:
            self._limit.cancel(story)
            heard.cancel()
            relay.close()
