"""What a service keeps beyond its own life: the memory of salts, and where it lies."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..crypto.methods import Edition
from ..crypto.replay import open_salts

if TYPE_CHECKING:
    from ..crypto.replay import Salts
    from .siblings import Siblings

log = logging.getLogger(__name__)

FOLDER: Final = "shadesocks"


def state_directory(configured: str | None) -> str | None:
    """Return where state is kept: as configured, else $STATE_DIRECTORY (systemd), else the XDG state directory.

    None where there is no home to keep it in: state then lives in memory.
    """
    if configured:
        return configured
    if given := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return given
    if base := os.environ.get("XDG_STATE_HOME", ""):
        return os.path.join(base, FOLDER)
    home = os.path.expanduser("~")  # which is itself where there is none
    return None if home == "~" else os.path.join(home, ".local", "state", FOLDER)


class SaltMemory:
    """The stores of a service, opened when a server first needs one: a client keeps none."""

    def __init__(
        self,
        directory: str | None,
        clock: Callable[[], float],
        siblings: Siblings | None = None,
        *,
        shared: bool = False,
    ) -> None:
        """Keep files in a directory, which `siblings` use as well; None of either is none.

        With `shared` a process that is no sibling may use them at the same time, and says so, too.
        """
        self._shared = shared
        self._directory = directory
        self._clock = clock
        self._siblings = siblings
        self._stores: dict[Edition, Salts] = {}

    def of(self, edition: Edition) -> Salts:
        """Return the store of an edition; all its servers share it."""
        if edition is Edition.PLAIN:  # it has no salts: no file need be opened for them, and none taken from another
            edition = Edition.STREAM
        store = self._stores.get(edition)
        if store is None:
            store = self._stores[edition] = self._open(edition)
            self.tell()
        return store

    def _open(self, edition: Edition) -> Salts:
        siblings = self._siblings
        if siblings is None:
            return open_salts(self._directory, edition, clock=self._clock, shared=self._shared)
        if edition is Edition.STREAM:
            from ..crypto.replay_stream import StreamSalts

            return StreamSalts(siblings.stream_salts)
        store = open_salts(self._directory, edition, clock=self._clock, shared=True)
        if self._directory is None or store.notes:
            store.notes.append(
                f"what one worker remembers of {edition.value} salts the others may not: give a state_dir that all can "
                "write to, or set workers to 1"
            )
        return store

    def tell(self) -> None:
        """Log what the stores have to say: a file set aside, a disk that fails."""
        is_silent = self._siblings is not None and not self._siblings.speaks
        for store in self._stores.values():
            for note in store.notes:
                if not is_silent:  # what is wrong for one is wrong for all, and the first says so
                    log.warning("%s", note)
            store.notes.clear()

    def leave(self) -> None:
        """Leave the files to whoever serves next, and remember what is left of this service's life in memory."""
        if self._siblings is None and not self._shared:
            for store in self._stores.values():
                store.leave_file()

    def close(self) -> None:
        """Close every store; their files stay."""
        for store in self._stores.values():
            store.close()
        self._stores.clear()
