"""The subscriptions of a client, if it has any: their servers stand behind those of its file.

Called by `service.py`. What fetches (`subscription.py`, with TLS and HTTP: 3 MiB) is loaded by clients that subscribe.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from ..follow import usable
from ..plugins.plugins import check_plugin
from ..state import state_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...config.model import Config, OnlineConfig, ServerConfig
    from ..roster import Roster
    from ..shared import Shared
    from .passage import Passage
    from .subscription import Subscriptions

log = logging.getLogger(__name__)

SOURCE: Final = "online"
"""What `Roster.update` calls the servers of all subscriptions together."""


Terms = tuple["OnlineConfig | None", bool, bool]


def _terms(config: Config) -> Terms:
    """Return what servers are asked for and judged by."""
    return config.online, config.allow_none, config.allow_legacy


class Online:
    """What a service has of subscriptions: nothing, until it is started as a client that has some."""

    def __init__(self) -> None:
        self._terms: Terms | None = None
        self._subscriptions: Subscriptions | None = None
        self._passage: Passage | None = None

    def start(self, shared: Shared, config: Config) -> None:
        """Take the servers of the kept copies, and begin to ask for new ones."""
        self._terms, rosters = _terms(config), shared.rosters
        if config.online is None or not rosters:
            return
        from .passage import Passage
        from .subscription import Subscriptions

        self._passage = Passage(shared.reactor, shared.scratch, rosters[0])
        directory = state_directory(config.state_dir)
        self._subscriptions = Subscriptions(config, partial(_take, rosters), directory, passage=self._passage)
        self._subscriptions.start()

    async def follow(self, shared: Shared, config: Config) -> None:
        """Ask anew for what a configuration names that was read again; its addresses may be others."""
        if self._terms == _terms(config):
            if self._subscriptions is not None:
                self._subscriptions.refresh()
            return
        before = self._terms
        await self.close()
        self.start(shared, config)
        same = before is not None and before[0] and config.online and before[0].urls == config.online.urls
        if not same and (self._subscriptions is None or not self._subscriptions.servers):
            _take(shared.rosters, ())  # else those that are there serve on until a document came

    async def close(self) -> None:
        """End the asking; the servers stay as they are."""
        subscriptions, self._subscriptions = self._subscriptions, None
        if subscriptions is not None:
            await subscriptions.close()
        passage, self._passage = self._passage, None
        if passage is not None:
            passage.close()


def _take(rosters: Sequence[Roster], servers: Sequence[ServerConfig]) -> None:
    """Hand servers on, without those whose plugin is not on this machine."""
    for roster in rosters:
        good, problems = usable(servers, roster.members, partial(check_plugin, alone=True))
        for problem in problems:
            log.warning("a server of a subscription is left out: %s: %s", problem.key, problem.text)
        roster.update(good, SOURCE)
