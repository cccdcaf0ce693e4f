"""What passed through the ports of all workers together, for a manager of others that wants to be told.

    worker   -- once a second, what passed by port -->  tally  -->  Sums   master -- every few seconds -->  manager

Who is killed takes what passed in its last second along (`service/manager/tally.py`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from ..service.manager.report import make_reporter

if TYPE_CHECKING:
    from ..config.model import Config
    from ..service.manager.tally import Tally


class Sums:
    """What all workers that ever were have said, and whom the master tells."""

    def __init__(self, config: Config, tally: Tally | None) -> None:
        """Tell nobody where a configuration names nobody.

        Raises:
            ConfigError: who is to be told cannot be found.
        """
        self._tally: Final = tally
        self._reporter: Final = make_reporter(config)
        self.due_at = math.inf if self._reporter is None else -math.inf
        """When the next report is to be sent."""

    def tell(self, config: Config, now: float) -> None:
        """Tell what passed through the ports of a configuration, and through those that it had before."""
        if self._reporter is None or self._tally is None or now < self.due_at:
            return
        self.due_at = now + self._reporter.interval
        sizes = self._tally.sums()
        ports = dict.fromkeys((*(server.address.port for server in config.servers), *sizes))
        self._reporter.tell({port: sizes.get(port, 0) for port in ports})

    def close(self) -> None:
        """Tell no more."""
        if self._reporter is not None:
            self._reporter.close()
