"""The journal: one line for each connection that ended, and the counters of all of them.

A line costs the connection an append; it is rendered and written with its neighbours, once a second,
as one record of the logger `shadesocks.access` whose message is whole lines with their own times
(a record for each would cost 11 us, design §4).

Where another program's voice is asked for (`voices.py`) the same notes become that program's lines, and more is
noted: requests before they are dialled, and handshakes when they fail.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..core.address import MAPPED_TEXT
from ..net.options import apply_late
from .histogram import DIALS, DURATIONS, PROBES, SEARCHES, Histogram, Histograms
from .voices import CONNECTING, DATAGRAM, SUSPECT

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ..config.model import Config
    from ..core.address import Address
    from ..core.errors import RemoteProtocolError
    from ..net.options import TcpOptions
    from ..net.packet_session import Session
    from ..net.relay import Relay
    from ..proxy.users.user import User
    from .speaker import Note, Speaker

log = logging.getLogger("shadesocks.access")

LINES_MAX: Final = 10_000
"""Lines of one batch: more than the connections one core serves in a second. A flood writes no more than this."""

_NO_LINE: Final = frozenset(("unused",))
"""Is counted, and no more: a client keeps connections ready and lets go of them each half a minute, and whoever looks
whether a port is open says nothing either."""
_ESCAPES: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))} | {
    code: f"\\u{code:04x}" for code in (0x2028, 0x2029)
}
"""Control characters never reach a log, nor the line ends of Unicode: they could forge lines."""


class Journal:
    """Counts what became of connections and writes it down in batches."""

    def __init__(self, *, show_targets: bool, show_times: bool = True, speaker: Speaker | None = None) -> None:
        """Begin with nothing; a `speaker` puts in its own words what is otherwise our line for each connection."""
        self.accepted = 0
        """Connections and UDP sessions that are over, whatever came of them."""
        self.began_at = time.time()
        """Unix time from which on it counts."""
        self.up = 0
        """Payload bytes away from the initiators, of relays that are over."""
        self.down = 0
        """Payload bytes back, of relays that are over."""
        self.relays: set[Relay] = set()
        """Live relays; their bytes are not in `up` and `down` yet."""
        self.durations: Final = Histogram(DURATIONS)
        """Seconds that relays lived."""
        self.reasons: Counter[str] = Counter()
        """Ended connections by reason word."""
        self.dials: Final = Histograms(DIALS)
        """Seconds until a target, or a server, was reached (`done`), or was not, by reason word."""
        self.searches: Final = Histograms(SEARCHES)
        """Seconds that it took to find whose key a stranger has, by whether it was found."""
        self.probes: Final = Histograms(PROBES)
        """Bytes that strangers sent, from their accept to their end, by reason word."""
        self.show_targets = show_targets
        """Whether lines name the target."""
        self._show_times = show_times
        self.suspect: Final[Callable[[Any, RemoteProtocolError], None] | None] = self._suspect if speaker else None
        """Is told at once of a handshake that failed, by client and error; None where nobody wants to know."""
        self._speaker: Final = speaker
        self._least = logging.INFO if speaker is None else logging.ERROR
        self._wanted = log.isEnabledFor(self._least)
        self._lines: list[Note] = []
        self._names: dict[int, str] = {}
        """Of the users whose lines these are, by the place of the line."""
        self._suppressed = 0
        self._spoke: set[tuple[Hashable, bytes]] = set()
        self._quiet: asyncio.Event | None = None

    def ended(self, relay: Relay, word: str) -> None:
        """A relay is over."""
        self.relays.discard(relay)
        up, down = relay.up, relay.down
        self.accepted += 1
        self.up += up
        self.down += down
        self.reasons[word] += 1
        seconds = relay.reactor.loop.time() - relay.started_at
        self.durations.add(seconds)
        if self._wanted:
            client, target = relay.label
            self._note((client, target, "stream", up, down, seconds, word), relay.user)

        if self._quiet is not None and not self.relays:
            self._quiet.set()

    def sweep(self, now: float, config: Config, options: TcpOptions) -> None:
        """Look at all relays: end those that were idle for too long."""
        idle, half_closed = config.idle_timeout, config.half_closed_timeout
        for relay in list(self.relays):
            if relay.seen < 0:
                # Keep-alive matters to those that live: set here, a short connection never pays for it.
                with suppress(OSError):  # not every socket has TCP's options
                    apply_late(relay.right.sock, options)
            relay.sweep(now, idle, half_closed)

    def session_ended(self, client: tuple[str, int], session: Session, word: str) -> None:
        """A UDP session is over. Its bytes are counted by its relay."""
        self.accepted += 1
        self.reasons[word] += 1
        if self._wanted:
            seconds = max(0.0, session.seen_at - session.started_at)  # it began within the batch that it was seen in
            self._note((client, None, "packets", session.up_bytes, session.down_bytes, seconds, word), session.user)

    async def quiet(self, limit: float) -> None:
        """Wait until no relay is live, at most `limit` seconds."""
        if self.relays:
            self._quiet = asyncio.Event()
            try:
                await asyncio.wait_for(self._quiet.wait(), limit)
            except TimeoutError:
                pass
            finally:
                self._quiet = None

    def failed(self, client: Any, target: Address | None, stage: str, word: str, user: User | None = None) -> None:
        """A connection ended before its relay began."""
        self.accepted += 1
        self.reasons[word] += 1
        if self._wanted and (word not in _NO_LINE or self._speaker is not None):
            self._note((client, target, stage, 0, 0, 0.0, word), user)

    def dialled(self, word: str, seconds: float) -> None:
        """A target, or a server, was reached (`done`) or not."""
        self.dials.add(word, seconds)

    def searched(self, seconds: float, *, is_found: bool) -> None:
        """It was tried whose key a stranger has."""
        self.searches.add("true" if is_found else "false", seconds)

    def stranger(self, client: Any, word: str, size: int, user: User | None = None) -> None:
        """A connection ended without having authenticated, after so many bytes, or by a user who is not let in now.

        The client is None where its relay was reported already.
        """
        if client is not None:
            self.failed(client, None, "handshake", word, user)
            self.probes.add(word, size)

    @property
    def is_spoken(self) -> bool:
        """True where another program's voice wants to hear of requests as they come."""
        return self._speaker is not None

    def connecting(self, client: Any, target: Address) -> None:
        """A request is known, and will be dialled."""
        if log.isEnabledFor(logging.INFO):
            self._note((client, target, CONNECTING, 0, 0, 0.0, ""))

    def is_new(self, source: Hashable, address: bytes) -> bool:
        """True for the first datagram of a second from one source to one packed address."""
        pair = source, address
        if pair in self._spoke or len(self._spoke) >= LINES_MAX or not log.isEnabledFor(logging.INFO):
            return False
        self._spoke.add(pair)
        return True

    def datagram(self, client: Any, target: Address) -> None:
        """A client sends datagrams to a target."""
        self._note((client, target, DATAGRAM, 0, 0, 0.0, ""))

    def _suspect(self, client: Any, error: RemoteProtocolError) -> None:
        """Behind the word stands what the text of `bad_atyp` ends with: the number of the type."""
        if self._wanted:
            word = f"bad_atyp {str(error).rpartition(' ')[2]}" if error.code == "bad_atyp" else error.code
            self._note((client, None, SUSPECT, 0, 0, 0.0, word))

    def _note(self, line: Note, user: User | None = None) -> None:
        if len(self._lines) < LINES_MAX:
            if user is not None:
                self._names[len(self._lines)] = user.name
            self._lines.append(line)
        else:
            self._suppressed += 1

    def flush(self) -> None:
        """Write the lines of the last second."""
        self._wanted = log.isEnabledFor(self._least)
        if not self._lines:
            return
        if self._speaker is not None:
            self._speak(self._speaker)
            return
        prefix = time.strftime("%Y-%m-%d %H:%M:%S INFO ") if self._show_times else "INFO "
        lines, self._lines = self._lines, []
        names, self._names = self._names, {}
        texts = [prefix + self._render(*line, names.get(at, "")) for at, line in enumerate(lines)]
        if self._suppressed:
            texts.append(f"{prefix}{self._suppressed} more connections ended in this second")
            self._suppressed = 0
        log.info("%s", "\n".join(texts))

    def _speak(self, speaker: Speaker) -> None:
        """Write the lines of the last second in another program's words."""
        notes, self._lines = self._lines, []
        self._names.clear()
        more, self._suppressed = self._suppressed, 0
        self._spoke.clear()
        level, lines = speaker.told(notes, log.getEffectiveLevel(), more)
        if lines:
            log.log(level, "%s", "\n".join(lines))

    def _render(
        self, client: Any, target: Address | None, stage: str, up: int, down: int, seconds: float, word: str, user: str
    ) -> str:
        name = f"{client[0].removeprefix(MAPPED_TEXT)}:{client[1]}" if isinstance(client, tuple) else "-"
        to = f" to {str(target).translate(_ESCAPES)}" if target is not None and self.show_targets else ""
        by = f" user {user.translate(_ESCAPES)}" if user else ""
        return f"{name}{by}{to} up {up} down {down} {seconds:.3f}s {stage} {word}"

    def totals(self) -> tuple[int, int, int]:
        """Return live relays, and payload bytes up and down of all relays, live ones included."""
        up, down = self.up, self.down
        for relay in self.relays:
            up += relay.up
            down += relay.down
        return len(self.relays), up, down
