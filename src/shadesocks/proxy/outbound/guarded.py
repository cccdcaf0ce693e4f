"""The rules of a server that dials through others: names and literal addresses are judged before they are passed on.

What a name means is seen where it is looked up, which is not here; the server there has rules of its own.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from ...core.address import pack_ip, parse_address
from ...core.errors import DialError
from ...net.backs import ROUTES_MOST

if TYPE_CHECKING:
    from ...core.address import Address
    from ...net.connect import Judge
    from ...net.datagrams import Arena
    from ...net.packets import Back, PacketRelay, Session
    from ...wire.packet import Span
    from ..seams import Dialer, Dialing, First


def judge_target(judge: Judge, target: Address) -> None:
    """Raise DialError `denied` for a target that may not be dialled, as far as its text tells."""
    refusal = judge.refuse_name(target.host)
    if refusal is None and pack_ip(target.host.partition("%")[0]) is not None:
        refusal = judge.refuse(target.host, target.port)
    if refusal is not None:
        raise DialError("denied", f"{target} is not allowed: {refusal}")


class GuardedDialer:
    """A `seams.Dialer` before another."""

    __slots__ = ("_dialer", "_judge")

    def __init__(self, judge: Judge, dialer: Dialer) -> None:
        self._judge = judge
        self._dialer = dialer

    def dial(self, target: Address, first: First) -> Dialing:
        """See `seams.Dialer`."""
        judge_target(self._judge, target)
        return self._dialer.dial(target, first)


class GuardedBack:
    """A `packets.Back` before another. What was judged is remembered until the next tick."""

    def __init__(self, judge: Judge, back: Back, arena: Arena) -> None:
        self.room = back.room
        self._judge = judge
        self._back = back
        self._middle = arena
        self._good: set[bytes] = set()

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packets.Back`."""
        address = self._middle.memory[span[0] : span[1]]
        if address not in self._good:
            judge_target(self._judge, parse_address(address)[0])
            if len(self._good) >= ROUTES_MOST:
                self._good.clear()
            self._good.add(address)
        self._back.forward(relay, session, span, now)

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packets.Back`."""
        return self._back.read(session, source, start, end, now)

    def tick(self) -> None:
        """See `packets.Back`."""
        self._good.clear()
        self._back.tick()
