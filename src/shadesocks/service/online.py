"""The subscriptions of a client, if it has any: their servers stand behind those of its file.

Called by `service.py`. What fetches (`subscription.py`, with TLS and HTTP) is loaded by clients that subscribe only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .state import state_directory

if TYPE_CHECKING:
    from ..config.model import ServerConfig
    from .shared import Shared
    from .subscription import Subscriptions

SOURCE: Final = "online"
"""What `Roster.update` calls the servers of all subscriptions together."""


class Online:
    """What a service has of subscriptions: nothing, until it is started as a client that has some."""

    def __init__(self) -> None:
        self._subscriptions: Subscriptions | None = None

    def start(self, shared: Shared) -> None:
        """Take the servers of the kept copies, and begin to ask for new ones."""
        config, rosters = shared.config, shared.rosters
        if config.online is None or not rosters:
            return
        from .subscription import Subscriptions

        def take(servers: tuple[ServerConfig, ...]) -> None:
            for roster in rosters:
                roster.update(servers, SOURCE)

        self._subscriptions = Subscriptions(config, take, state_directory(config.state_dir))
        self._subscriptions.start()

    def refresh(self) -> None:
        """Ask for all documents now."""
        if self._subscriptions is not None:
            self._subscriptions.refresh()

    async def close(self) -> None:
        """End the asking; the servers stay as they are."""
        subscriptions, self._subscriptions = self._subscriptions, None
        if subscriptions is not None:
            await subscriptions.close()
