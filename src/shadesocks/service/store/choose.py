"""Which store a text means: a path is a SQLite file, a URL with a scheme any database that SQLAlchemy has.

Only the store that is meant is imported.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from ...config.urls import is_url
from .store import StoreError

if TYPE_CHECKING:
    from .store import Store

_URL: Final = re.compile(r"([\w+.-]+)://(?:([^:@/?#]*)(?::[^:@/?#]*)?@)?([^@?#]*)(?:\?[^@#]*)?")
"""Scheme, user, password, place, options. Nothing that a raw @, /, ? or : in a password might be mistaken for."""


def shown(text: str) -> str:
    """Return the text as messages may show it: a path as it is, a URL without password and options."""
    if not is_url(text):
        return text
    parts = _URL.fullmatch(text)
    if parts is None:  # who knows where the password ends
        return f"{text.partition('://')[0]}://…"
    scheme, user, place = parts.groups()
    return f"{scheme}://{user}@{place}" if user else f"{scheme}://{place}"


def open_store(text: str, wall: Callable[[], float] = time.time) -> Store:
    """Return the store that is meant, not opened yet: `Store.open` does that, in the thread that uses it.

    Raises:
        StoreError: it is a URL that nobody understands, or what that takes is not installed.
    """
    if not is_url(text):
        from .sqlite import SqliteStore

        return SqliteStore(text, wall)
    for library in ("sqlalchemy", "alembic"):
        if find_spec(library) is None:
            raise StoreError(f"{shown(text)} takes {library}, which is not installed; pip install 'shadesocks[store]'")
    from .sql import SqlStore

    return SqlStore(text, wall)
