"""What a server says to a manager of others: what passed through each of its ports since its start.

    stat: {"8388": 11370}

As `ss-server --manager-address` did every 5 s, and shadowsocks-rust's `ssserver` every 10 s. What is told is a sum, so
that a datagram that is lost costs nothing but time. Nobody is waited for: where the manager is not there, or its socket
is full, the ports that are left are the first of the next report.
"""

from __future__ import annotations

import logging
import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from socket import SOCK_DGRAM, SocketType
from typing import TYPE_CHECKING, Any, Final

from ...config.manager import report_place
from ...core.address import Address
from ...core.errors import ConfigError, Problem
from ...wire.manager import DIALECTS
from ...wire.manager.answers import pack_report

if TYPE_CHECKING:
    from ...config.model import Config

log = logging.getLogger(__name__)


class Reporter:
    """Tells one manager."""

    def __init__(self, where: Any, family: int, dialect: str) -> None:
        """Tell whoever listens on a socket address, in the form of a dialect."""
        self._where: Final = where
        self._dialect: Final = DIALECTS[dialect]
        self._sock: Final = SocketType(family, SOCK_DGRAM)
        self._sock.setblocking(False)
        self._next = 0
        """Place of the port that is the next to be told of."""
        self._fails = False
        self.interval: Final = self._dialect.report_interval
        """Seconds between two reports."""

    def tell(self, passed: Mapping[int, int]) -> None:
        """Tell what passed, by port."""
        numbers = list(passed)
        at = self._next if self._next < len(numbers) else 0
        turned = {number: passed[number] for number in numbers[at:] + numbers[:at]}
        told = 0
        for message, group in pack_report(self._dialect, turned):
            try:
                self._sock.sendto(message, self._where)
            except OSError as error:
                if not self._fails:
                    log.warning("the manager at %s is not told what passed: %s", shown(self._where), error.strerror)
                self._fails = True
                break
            told += len(group)
        else:
            self._fails = False
        self._next = (at + told) % len(numbers) if numbers else 0

    def close(self) -> None:
        """Tell no more."""
        self._sock.close()


def shown(where: Any) -> str:
    """Name a socket address."""
    return where if isinstance(where, str) else str(Address(*where[:2]))


def make_reporter(config: Config) -> Reporter | None:
    """Return who tells the manager of a configuration, None where it names none; a name is looked up, once.

    Raises:
        ConfigError: its name has no address, or it names what is no socket.
    """
    place = report_place(config)
    if place is None:
        return None
    try:
        if isinstance(place, str):
            _check_path(place)
            return Reporter(place, socket.AF_UNIX, config.manager_dialect)
        found = socket.getaddrinfo(place.host, place.port, type=SOCK_DGRAM)
        return Reporter(found[0][4], found[0][0], config.manager_dialect)
    except (OSError, AttributeError) as error:  # a system without Unix sockets has no name for them
        why = error.strerror or str(error) if isinstance(error, OSError) else "this system has no Unix sockets"
        raise ConfigError([Problem("config", None, "manager_address", f"cannot tell what passed: {why}")]) from None


def _check_path(path: str) -> None:
    """Refuse what is there and is no socket; a manager that is not there yet may come."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        import os

        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise OSError(0, "the file of that name is no socket")
