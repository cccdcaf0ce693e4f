"""The system's log, for those who have theirs there: one datagram a line to the socket that syslogd or journald reads.

Lines are without a time, and without the word of their level: the system's log adds both. One that finds the socket
full, or nobody there, is lost: a service does not wait for its log.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from contextlib import suppress
from typing import Final

ADDRESS: Final = "/dev/log"
"""Where C's syslog() writes."""
_DAEMON: Final = 3 << 3
"""The facility of services (RFC 5424, 6.2.1)."""
_SEVERITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""From which level on which severity is meant; what is below the last is 7, debug."""
_SIZE_MOST: Final = 8192
"""Bytes of a line: what rsyslog takes unless it is told otherwise (maxMessageSize)."""


def severity(level: int) -> int:
    """Return what a level is called in the system's log (RFC 5424, 6.2.1)."""
    return next((number for least, number in _SEVERITIES if level >= least), 7)


def is_there(address: str | None = None) -> bool:
    """True where the system has such a log."""
    return hasattr(socket, "AF_UNIX") and os.path.exists(address or ADDRESS)


def name_of_program() -> str:
    """Return the name by which this program was called, which tools look for in the log."""
    name = os.path.basename(sys.argv[0])
    return "shadesocks" if not name or name == "__main__.py" else name


class SyslogHandler(logging.Handler):
    """Writes records into the system's log, in the form its formatter gives them."""

    def __init__(self, name: str, address: str | None = None) -> None:
        """Write as a program of a name. Forked processes may go on with the same."""
        super().__init__()
        self._name: Final = name
        self._address: Final = address or ADDRESS
        self._sock: Final = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = self.format(record).splitlines()
        except Exception:
            self.handleError(record)
            return
        head = f"<{_DAEMON | severity(record.levelno)}>{self._name}[{os.getpid()}]: "
        for line in lines:
            # Each names the address anew: a syslogd that was begun again has another socket there.
            with suppress(OSError):
                self._sock.sendto(f"{head}{line}".encode("utf-8", "backslashreplace")[:_SIZE_MOST], self._address)

    def close(self) -> None:
        """Close its socket."""
        self._sock.close()
        super().close()
