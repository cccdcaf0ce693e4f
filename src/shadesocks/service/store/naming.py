"""What a store is called where people read it, and by which two programs see that they mean the same one."""

from __future__ import annotations

import os

from ...config.urls import is_url
from .choose import shown


def name_of(text: str) -> str:
    """Return the whole path of a file, or a URL without password and options."""
    return shown(text) if is_url(text) else os.path.realpath(text)
