"""The speaker of a service: says in its voice what happens, at once or with the journal's batch.

What a service does is said at once; what it does to each of thousands of ports, together. What becomes of connections
is noted by the journal, for the price of an append, and comes here once a second. Failed handshakes are what scanners
and floods are made of: of those a second has `FAILURES_MAX` lines at most, a few for each source so that none hides
another, and one with the count of the rest.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ..core.reasons import reason
from .pulses import PULSES
from .voices import SUSPECT, Voice, client_place, place, plain

if TYPE_CHECKING:
    from ..core.address import Address
    from .journal import Journal

log = logging.getLogger(__name__)
access = logging.getLogger("shadesocks.access")
"""Its records are whole lines with their own times."""

Note = tuple[Any, "Address | None", str, int, int, float, str]
"""Client, target, stage, bytes up, bytes down, seconds, word: what the journal keeps of a connection."""

FAILURES_MAX: Final = 100
"""Lines a second: an eighth of what a core can refuse, at some 10 KB a second or 1 GB a day."""
FAILURES_PER_SOURCE: Final = 5
"""Lines a second of one address: autoban bans at three, fail2ban at five."""
TOGETHER_MIN: Final = 32
"""Lines that are one record where they are said together. A record costs 40 us, a line in one 5 us: of two thousand
ports the records would be a tenth of the start. A few stay records of their own, which any handler can show."""
TOGETHER_MAX: Final = 256
"""Lines of one such record: 20 KB, where thousands would be held several times over."""
_WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104 - how they are written, not bound
_HANDSHAKE: Final = frozenset({SUSPECT, "handshake"})


class Speaker:
    """Says things in one voice."""

    def __init__(self, voice: Voice, *, shows_time: bool = True) -> None:
        self._voice: Final = voice
        self._shows_time: Final = shows_time
        self._pulses: Final = [PULSES[name]() for name in voice.pulses]
        self._announced: tuple[object, ...] = ()
        self._together: list[tuple[int, str]] | None = None
        """Levels and texts that are yet to be said, inside of `together`."""
        self.is_silent = False
        """True where another process, which does the same, speaks of its life for both."""

    def say(self, event: str, **parts: Any) -> None:
        """Say what the service does, if this voice speaks of it. Parts come without control characters."""
        said = self._voice.life.get(event)
        if said is not None and not self.is_silent and log.isEnabledFor(said.level):
            text = said.text.format_map(parts)
            if self._together is None:
                log.log(said.level, "%s", text)
            else:
                self._together.append((said.level, text))
                if len(self._together) == TOGETHER_MAX:
                    self._say_together()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Say in few records what is said inside: something about each of thousands of ports."""
        if self._together is not None:
            yield
            return
        self._together = []
        try:
            yield
        finally:
            self._say_together()
            self._together = None

    def _say_together(self) -> None:
        said, self._together = self._together or [], []
        if len(said) < TOGETHER_MIN:
            for level, text in said:
                log.log(level, "%s", text)
            return
        levels, at = {level for level, _ in said}, time.time()
        starts = {level: self._voice.start(level, at, self._shows_time) for level in levels}
        access.log(max(levels), "%s", "\n".join(starts[level] + text for level, text in said))

    def listening(self, event: str, wanted: Address, address: Address, forward: Address | None = None) -> None:
        """Say that a socket listens at `address`; old programs name the host as it was `wanted`.

        Where both sockets of a port are announced in the same words, they are said once.
        """
        parts = {
            "address": address,
            "place": place(wanted.host, address.port),
            "anywhere": place("" if wanted.host in _WILDCARDS else wanted.host, address.port),
            "port": address.port,
            "forward": "" if forward is None else place(forward.host, forward.port),
        }
        said = event.partition(" ")[0], self._voice.life.get(event), parts["place"]
        if said != self._announced:
            self._announced = said
            self.say(event, **parts)

    def beat(self, journal: Journal) -> None:
        """Say what is said each second or so; called by the sweep."""
        for pulse in self._pulses:
            for event, parts in pulse(journal):
                self.say(event, **parts)

    def told(self, notes: Iterable[Note], floor: int, more: int = 0) -> tuple[int, list[str]]:
        """Return the highest level among a second's lines, and those from the level `floor` on.

        `more` is the number of notes that there was no room for.
        """
        ends, start, at = self._voice.ends, self._voice.start, time.time()
        starts: dict[int, str] = {}
        lines: list[str] = []
        highest, unsaid, failures = 0, more, 0
        sources: Counter[str] = Counter()
        for client, target, stage, _up, _down, _seconds, word in notes:
            code, _, detail = word.partition(" ")
            saids = ends.get(code) or ends.get(stage)
            if not saids or stage == "packets":
                continue
            if stage in _HANDSHAKE:
                source = client[0] if isinstance(client, tuple) else ""
                if failures >= FAILURES_MAX or sources[source] >= FAILURES_PER_SOURCE:
                    unsaid += 1
                    continue
                failures += 1
                sources[source] += 1
            parts = _Parts(client, target, code, detail)
            for said in saids:
                if said.level >= floor:
                    highest = max(highest, said.level)
                    if said.level not in starts:
                        starts[said.level] = start(said.level, at, self._shows_time)
                    lines.append(starts[said.level] + said.text.format_map(parts))
        if unsaid:
            for said in ends.get("more", ()):
                if said.level >= floor:
                    highest = max(highest, said.level)
                    lines.append(start(said.level, at, self._shows_time) + said.text.format(count=unsaid))
        return highest, lines


class _Parts(dict[str, str]):
    """The parts of a connection's line; only those that a text names are made."""

    __slots__ = ("_client", "_code", "_detail", "_target")

    def __init__(self, client: Any, target: Address | None, code: str, detail: str) -> None:
        super().__init__()
        self._client = client
        self._target = target
        self._code = code
        self._detail = detail

    def __missing__(self, name: str) -> str:
        return str(_MAKERS[name](self))

    def client(self) -> str:
        return client_place(self._client)

    def target(self) -> str:
        return "-" if self._target is None else place(self._target.host, self._target.port)

    def host(self) -> str:
        return "-" if self._target is None else plain(self._target.host)

    def why(self) -> str:
        return reason(self._code).text

    def detail(self) -> str:
        return self._detail or "?"


_MAKERS: Final = {
    "client": _Parts.client,
    "target": _Parts.target,
    "host": _Parts.host,
    "why": _Parts.why,
    "detail": _Parts.detail,
}
