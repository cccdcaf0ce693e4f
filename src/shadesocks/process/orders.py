"""What a master does for its program, beside what all masters do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config.model import Config
    from ..service.speaker import Speaker
    from .notify import Notifier


@dataclass(frozen=True, slots=True)
class Orders:
    """What the master does for its program."""

    speaker: Speaker
    notifier: Notifier
    reread: Callable[[], Config] | None = None
    """Reads the file of the config again; None: SIGHUP rereads nothing."""
    people: Callable[[Config], Config] = lambda config: config
    """Returns a config with the users of its store beside those of its file; raises ConfigError."""
    hangup: Callable[[], None] | None = None
    """Opens the log again, in every process."""
    at_once: bool = False
    """Whether SIGTERM closes connections at once."""
    leaving: Callable[[], None] = lambda: None
    """Called at SIGQUIT, when another process may take this one's place."""
    took: Callable[[Config], None] = lambda _config: None
    """Told in every process of a config that it serves from now on."""
