"""What passed through the ports of all workers together, for a manager that wants to be told.

    worker   Deltas  -- once a second, what is new by port -->  Sums   master -- every few seconds -->  manager

A worker says what passed since it last said so. What a full line does not take is said with what comes next, and the
port that could not be told is the first then. Who is killed takes what passed in its last second along.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from ..service.manager.report import make_reporter

if TYPE_CHECKING:
    from ..config.model import Config

EVERY: Final = 1.0
"""Seconds between two messages about a port."""
_SIZE_BITS: Final = 48
"""Of a message's number: 256 TiB of one port in a second. The port is in front."""
_SIZE_MAX: Final = (1 << _SIZE_BITS) - 1


class Deltas:
    """What a worker has told."""

    def __init__(self, send: Callable[[int], bool]) -> None:
        """Tell by messages of one number each; one that cannot be sent is tried again."""
        self._send: Final = send
        self._told: Final[Counter[int]] = Counter()
        self._first: int | None = None
        """The port that could not be told."""

    def tell(self, passed: Mapping[int, int]) -> None:
        """Tell what is new of all that passed, by port."""
        ports = list(passed)
        at = 0 if self._first is None or self._first not in passed else ports.index(self._first)
        self._first = None
        for port in ports[at:] + ports[:at]:
            size = min(passed[port] - self._told[port], _SIZE_MAX)
            if size <= 0:
                continue
            if not self._send(port << _SIZE_BITS | size):
                self._first = port
                return
            self._told[port] += size


class Sums:
    """What the master heard from all workers that ever were, and whom it tells."""

    def __init__(self, config: Config) -> None:
        """Tell nobody where a configuration names nobody.

        Raises:
            ConfigError: who is to be told cannot be found.
        """
        self._reporter: Final = make_reporter(config)
        self._sizes: Final[Counter[int]] = Counter()
        self.due_at = math.inf if self._reporter is None else -math.inf
        """When the next report is to be sent."""

    def add(self, number: int) -> None:
        """Add what a message says."""
        self._sizes[number >> _SIZE_BITS] += number & _SIZE_MAX

    def tell(self, config: Config, now: float) -> None:
        """Tell what passed through the ports of a configuration, and through those that it had before."""
        if self._reporter is None or now < self.due_at:
            return
        self.due_at = now + self._reporter.interval
        ports = dict.fromkeys((*(server.address.port for server in config.servers), *self._sizes))
        self._reporter.tell({port: self._sizes[port] for port in ports})

    def close(self) -> None:
        """Tell no more."""
        if self._reporter is not None:
            self._reporter.close()
