"""Flags of the Python original that name libraries of ciphers: they are accepted, and needed no longer.

`shadesocks server` and `local` take them, too, for services that were written for `ssserver` and `sslocal`.
"""

from __future__ import annotations

import os
from typing import Final

LIBRARIES: Final = ("libopenssl", "libmbedtls", "libsodium")
LIBRARY: Final = "is no longer needed: ciphers come with this program"


def check_library(path: str) -> str:
    """Say why a library cannot be used; that it is not needed any more is a note."""
    return "" if os.path.exists(path) else "there is no such file; leave this flag out, ciphers come with this program"
