"""Which store a text means: a path is a SQLite file, a URL with a scheme any database that SQLAlchemy has.

Only the store that is meant is imported.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .store import StoreError

if TYPE_CHECKING:
    from .store import Store

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*://")
"""What a URL begins with. No path has two slashes behind a colon, unless somebody wants it so."""


def is_url(text: str) -> bool:
    """Whether this names a database by a URL, and no file by its path."""
    return _SCHEME.match(text) is not None


def open_store(text: str, wall: Callable[[], float] = time.time) -> Store:
    """Return the store that is meant, not opened yet: `Store.open` does that, in the thread that uses it.

    Raises:
        StoreError: it is a URL, and what that takes is not installed.
    """
    if is_url(text):
        raise StoreError("a store with a URL takes SQLAlchemy, which is not installed; pip install 'shadesocks[store]'")
    from .sqlite import SqliteStore

    return SqliteStore(text, wall)
