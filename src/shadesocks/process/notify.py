"""What a supervisor is told of this process: systemd's notification protocol (sd_notify(3)).

    serving -> reloading -> serving -> stopping

One datagram of lines to the socket that $NOTIFY_SOCKET names; nobody answers. Without that variable nothing is said,
and that a message cannot be sent is no reason to serve worse: no method here raises.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..core.address import Address

log = logging.getLogger(__name__)

SOCKET: Final = "NOTIFY_SOCKET"
WATCHDOG: Final = "WATCHDOG_USEC"
WATCHDOG_OWNER: Final = "WATCHDOG_PID"

PER_SECOND: Final = 1_000_000
"""systemd counts microseconds."""
STOP_MARGIN: Final = 5.0
"""Seconds beyond the drain limit: for closing what is left, and the files of state."""
_SHOWN: Final = 3
"""Addresses in the line that a supervisor shows: what fits on one."""


def listening(addresses: Sequence[Address]) -> str:
    """Say where a service listens, for one line that a supervisor shows."""
    shown = [str(address) for address in addresses[:_SHOWN]]
    rest = len(addresses) - len(shown)
    return f"listening on {', '.join(shown)}{f' and {rest} more' if rest else ''}"


class Notifier:
    """Tells the supervisor how this process is; does nothing where there is none."""

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        """Tell the socket at an address; `watchdog` is the time in seconds after which a silent process is dead."""
        # A name that begins with @ is in the abstract namespace, where a null byte stands for it.
        self._address: Final = "\0" + address[1:] if address.startswith("@") else address
        self._interval: Final = watchdog / 2
        self._pinging: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        """True where somebody is told."""
        return bool(self._address)

    @property
    def interval(self) -> float:
        """Seconds between two pings; 0: none are wanted."""
        return self._interval if self._address else 0.0

    def serving(self, status: str, *, pings: bool = True) -> None:
        """It listens, and serves: for the first time, or after it read its config again. Pings begin.

        Without `pings` whoever calls says itself that it is `alive`: a process without a loop.
        """
        self._send("READY=1", f"STATUS={status}")
        if pings and self.interval and self._pinging is None:
            self._ping()

    def reloading(self) -> None:
        """It reads its config again. `serving` says when that is over."""
        usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 if hasattr(time, "CLOCK_MONOTONIC") else 0
        self._send("RELOADING=1", f"MONOTONIC_USEC={usec}", "STATUS=reading the config again")

    def stopping(self, limit: float) -> None:
        """It accepts no more, and ends within `limit` seconds: more than the unit's time-out is asked for.

        Pings go on: whoever hangs while stopping is dead, too.
        """
        usec = int((limit + STOP_MARGIN) * PER_SECOND)
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={usec}", f"STATUS=stopping, within {limit:g} s")

    def close(self) -> None:
        """Say nothing more by itself."""
        if self._pinging is not None:
            self._pinging.cancel()
            self._pinging = None

    def alive(self) -> None:
        """It is alive."""
        self._send("WATCHDOG=1")

    def _ping(self) -> None:
        """Say that the loop turns, at half of the time that is allowed: one late ping harms nobody."""
        self.alive()
        self._pinging = asyncio.get_running_loop().call_later(self._interval, self._ping)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # Opened for each message: there are few of them, and no socket is left open to be forgotten.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), self._address)


def notifier(environ: MutableMapping[str, str] | None = None) -> Notifier:
    """Return who tells the supervisor that the environment names."""
    environ = os.environ if environ is None else environ
    address = environ.get(SOCKET, "")
    if not address or not hasattr(socket, "AF_UNIX"):
        return Notifier()
    if address[0] not in "/@" or len(address) < 2:
        log.warning("%s names no socket that this program can write to; nobody is told how it is", SOCKET)
        return Notifier()
    return Notifier(address, _watchdog(environ))


def _watchdog(environ: MutableMapping[str, str]) -> float:
    """Return the watchdog's time in seconds; 0 where there is none, or where it watches another process."""
    if environ.get(WATCHDOG_OWNER, str(os.getpid())) != str(os.getpid()):
        return 0.0
    text = environ.get(WATCHDOG, "")
    return int(text) / PER_SECOND if text.isascii() and text.isdecimal() else 0.0
