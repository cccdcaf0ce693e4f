"""What a manager tells of: what passed, what it told of that and what others told it, and whom it tells.

Of one process it is in its own memory; of several workers in memory that they share (`tally.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from .manager import Managed
    from .tally import Share


class Sizes(Protocol):
    """Bytes by port; 0 where nothing was said."""

    def __getitem__(self, port: int, /) -> int: ...

    def __setitem__(self, port: int, size: int, /) -> None: ...


class Figures(Protocol):
    """What a manager tells of."""

    @property
    def told(self) -> Sizes:
        """What was told, or had passed when the port was added: what is told counts from there."""

    @property
    def heard(self) -> Sizes:
        """What others told of an open port, where the dialect hears them."""

    def passed(self) -> dict[int, int]:
        """Return payload bytes by port number, of all that ever were."""

    def passed_at(self, port: int) -> int:
        """Return the same of one port."""

    def remember(self, senders: Iterable[Any]) -> None:
        """These are told what passes."""

    def senders(self) -> Iterable[Any]:
        """Return who was, before this manager."""


class OwnFigures:
    """Of one process."""

    def __init__(self, service: Managed) -> None:
        """Tell of what passes through a service."""
        self._service: Final = service
        self.told: Final[Counter[int]] = Counter()
        self.heard: Final[Counter[int]] = Counter()

    def passed(self) -> dict[int, int]:
        """See `Figures`."""
        return self._service.passed()

    def passed_at(self, port: int) -> int:
        """See `Figures`."""
        return self._service.passed_at(port)

    def remember(self, senders: Iterable[Any]) -> None:
        """See `Figures`: with the process all is over."""

    def senders(self) -> Iterable[Any]:
        """See `Figures`."""
        return ()


class AllFigures:
    """Of all workers, those that are gone among them."""

    def __init__(self, service: Managed, share: Share) -> None:
        """Tell of what passes through a service and its siblings."""
        self._service: Final = service
        self._share: Final = share
        self.told: Final = share.tally.told
        self.heard: Final = share.tally.heard
        self.remember: Final = share.tally.remember
        self.senders: Final = share.tally.senders

    def passed(self) -> dict[int, int]:
        """See `Figures`: of this worker to the last byte, of others as of a second ago."""
        return self._share.sums(self._service.passed())

    def passed_at(self, port: int) -> int:
        """See `Figures`."""
        return self._share.sum_of(port, self._service.passed_at(port))
