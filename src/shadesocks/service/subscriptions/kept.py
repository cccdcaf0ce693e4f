"""Copies of documents on disk: what a client starts with where their server is out of reach.

    STATE/subscriptions/HASH.json    {"format": 1, "etag", "last_modified", "document"}

The name is made from a hash of the address, which is a secret; the document holds keys, so only the owner can read
it. It takes its place in one step: a copy is there as a whole, or not at all.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import Final

from ...config.files import write_private
from ...config.text_file import read_config
from ...core.errors import ConfigError
from .download import VALIDATOR_MAX, Fetched

log = logging.getLogger(__name__)

FOLDER: Final = "subscriptions"
FORMAT: Final = 1
_HASH_SIZE: Final = 32
"""Hexadecimal digits: 128 bits, so that no two addresses share a file."""


class KeptCopy:
    """The place of one document's copy; there is none without a directory."""

    def __init__(self, directory: str | None, url: str) -> None:
        name = sha256(url.encode()).hexdigest()[:_HASH_SIZE]
        self.path: Final = None if directory is None else Path(directory) / FOLDER / f"{name}.json"

    def read(self) -> Fetched | None:
        """Return the copy; None where there is none of use."""
        if self.path is None or not self.path.is_file():
            return None
        if not _is_ours(self.path):
            log.warning("%s: this copy of a subscription is somebody else's, and is passed over", self.path)
            return None
        try:
            content = json.loads(read_config(self.path))
        except (ConfigError, ValueError, RecursionError):
            content = None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            log.warning("%s: this copy of a subscription cannot be read, and is passed over", self.path)
            return None
        text, *validators = (content.get(name) for name in ("document", "etag", "last_modified"))
        if not isinstance(text, str):
            return None
        return Fetched(text, *(_validator(value) for value in validators))

    def write(self, fetched: Fetched) -> None:
        """Keep a document; what keeps that from being done is logged, and nothing more."""
        if self.path is None:
            return
        content = {
            "format": FORMAT,
            "etag": fetched.etag,
            "last_modified": fetched.last_modified,
            "document": fetched.text,
        }
        try:
            write_private(self.path, json.dumps(content, ensure_ascii=False))
        except (ConfigError, UnicodeError) as error:
            log.warning("a subscription is not kept for the next start: %s", error)


def _is_ours(path: Path) -> bool:
    """True for a file of this user's, or root's: whoever else put it there hands out servers of his own."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and (not hasattr(os, "geteuid") or found.st_uid in (0, os.geteuid()))


def _validator(value: object) -> str:
    """Return what goes into a header: a file may hold anything."""
    fits = isinstance(value, str) and len(value) <= VALIDATOR_MAX and value.isascii() and value.isprintable()
    return str(value) if fits else ""
