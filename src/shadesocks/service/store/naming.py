"""What a store is called where people read it, and by which two programs see that they mean the same one."""

from __future__ import annotations

import os
import re
from typing import Final

from .choose import is_url

_LOGIN: Final = re.compile(r"[^:/@]*(?::[^@]*)?@")
"""Who logs in, and with which password: in that any letter may stand but @ (as SQLAlchemy reads URLs)."""


def name_of(text: str) -> str:
    """Return the whole path of a file, or a URL without who logs in, with which password, and without options."""
    if not is_url(text):
        return os.path.realpath(text)
    scheme, _, rest = text.partition("://")
    login = _LOGIN.match(rest)
    place = rest if login is None else rest[login.end() :]
    return f"{scheme}://{place.partition('?')[0].rpartition('@')[2]}"
