"""Commands that are known to come from somebody who has a secret.

    signed 1732230000 5f1c…e9
    add: {"server_port": 8001, "password": ".."}

The first line has the time in seconds, and HMAC-SHA256 (RFC 2104) of all but itself: of the time as it is written, a LF
and the command. The secret never travels, so whoever reads along can command nothing. What was said once holds for
30 s on both sides of its time, and within them only once: `Seen` remembers.

Our own: no old program asked for a secret. Answers are as they are without.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from ...core.errors import RemoteProtocolError

WINDOW: Final = 30
"""Seconds that the two clocks may differ, as for the 2022 methods."""
SEEN_MAX: Final = 200_000
"""Commands that are remembered: all of a minute at the 2,000 a second that a manager takes, and more."""

_FIRST: Final = re.compile(rb"signed ([0-9]{1,12}) ([0-9a-f]{64})")


def sign(secret: bytes, now: int, command: bytes) -> bytes:
    """Return a datagram that says a command in the name of those who have the secret."""
    stamp = b"%d" % now
    return b"signed %b %b\n%b" % (stamp, _code(secret, stamp, command).encode(), command)


def _code(secret: bytes, stamp: bytes, command: bytes) -> str:
    return hmac.digest(secret, stamp + b"\n" + command, "sha256").hex()


class Seen:
    """Reads signed commands, each only once."""

    def __init__(self, secret: bytes) -> None:
        """Remember nothing yet."""
        self._secret: Final = secret
        self._codes: Final[dict[bytes, int]] = {}
        """What was said, and when that is forgotten."""

    def open(self, data: bytes, now: float) -> bytes:
        """Return the command of a datagram.

        Raises:
            RemoteProtocolError: it is not signed, not by this secret, not at this time, or was said before.
        """
        first, line_end, command = data.partition(b"\n")
        found = _FIRST.fullmatch(first)
        if not found or not line_end:
            raise RemoteProtocolError("unsigned", "a command is not signed")
        stamp, code = found.groups()
        if not hmac.compare_digest(_code(self._secret, stamp, command).encode(), code):
            raise RemoteProtocolError("unsigned", "a command is signed with another secret")
        if abs(int(stamp) - now) > WINDOW:
            raise RemoteProtocolError("unsigned", "a command is signed at another time: compare the clocks")
        self._forget(now)
        if code in self._codes:
            raise RemoteProtocolError("unsigned", "a command was said before")
        if len(self._codes) >= SEEN_MAX:
            raise RemoteProtocolError("unsigned", "more signed commands than can be remembered")
        self._codes[code] = int(stamp) + WINDOW
        return command

    def _forget(self, now: float) -> None:
        """Forget the oldest of what would be refused by its time, too; at most two each time."""
        for _ in range(2):
            oldest = next(iter(self._codes), None)
            if oldest is None or self._codes[oldest] >= now:
                return
            del self._codes[oldest]
