"""The rules of a server that dials through others: names and literal addresses are judged before they are passed on.

What a name means is seen where it is looked up, which is not here; the server there has rules of its own. So it is
judged by its rules alone, and by the default where none speaks of it. What is no name to us is not passed on: the next
proxy's library may know more spellings of 127.0.0.1 than ours.

The same is before each way that knows no rules, for a user who may reach less than others (`narrowed_dialer`,
`narrowed_back`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Protocol

from ...core.address import pack_zoned, parse_address
from ...core.errors import DialError
from ...net.backs import ROUTES_MOST
from ...net.resolve import fold

if TYPE_CHECKING:
    from ...core.address import Address
    from ...net.datagrams import Arena
    from ...net.packet_seams import Back
    from ...net.packet_session import Session
    from ...net.packets import PacketRelay
    from ...wire.packet import Span
    from ..seams import Dialer, Dialing, First
    from ..users.allowed import Allowed


class Judge(Protocol):
    """Who says what may be dialled; `origin.OriginPolicy`, `targets.TargetRules`."""

    def refuse_unseen(self, name: str, port: int) -> str | None:
        """Return why a name, in its one form, may not be dialled though its addresses are not known here, or None."""

    def refuse(self, ip: str, port: int, host: str = "") -> str | None:
        """Return why this address may not be dialled, or None."""


def judge_target(judge: Judge, target: Address) -> None:
    """Raise DialError for a target that may not be dialled, as far as its text tells: `denied`, or `no_name`."""
    host, port = target.host, target.port
    if pack_zoned(host) is not None:
        refusal = judge.refuse(host, port)
    else:
        name = fold(host)
        refusal = judge.refuse_unseen(name, port)
        if refusal is None and f".{name}".endswith(".localhost"):  # RFC 6761 §6.3: loopback, wherever it is looked up
            refusal = judge.refuse("127.0.0.1", port, name)
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
    """A `packet_seams.Back` before another. What was judged is remembered until the next tick."""

    def __init__(self, judge: Judge, back: Back, arena: Arena) -> None:
        self.room = back.room
        self._judge = judge
        self._back = back
        self._middle = arena
        self._good: set[bytes] = set()

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packet_seams.Back`."""
        address = self._middle.memory[span[0] : span[1]]
        if address not in self._good:
            judge_target(self._judge, parse_address(address)[0])
            if len(self._good) >= ROUTES_MOST:
                self._good.clear()
            self._good.add(address)
        self._back.forward(relay, session, span, now)

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packet_seams.Back`."""
        return self._back.read(session, source, start, end, now)

    def tick(self) -> None:
        """See `packet_seams.Back`."""
        self._good.clear()
        self._back.tick()


def narrowed_dialer(dialer: Dialer, allowed: Allowed) -> Dialer:
    """Return what a user dials with who may reach less than a dialer does."""
    within: Callable[[Allowed], Dialer] | None = getattr(dialer, "within", None)
    return GuardedDialer(allowed, dialer) if within is None else within(allowed)


def narrowed_back(back: Back, allowed: Allowed, arena: Arena) -> Back:
    """Return where the datagrams of such a user go."""
    within: Callable[[Allowed], Back] | None = getattr(back, "within", None)
    return GuardedBack(allowed, back, arena) if within is None else within(allowed)
