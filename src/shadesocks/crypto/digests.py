"""Digests of texts that come once, as the interpreter itself has them.

`hashlib` is the same with OpenSSL's library loaded, 3.5 MiB of a process that may need it for nothing else: the ciphers
have an OpenSSL of their own.
"""

from __future__ import annotations

from _blake2 import blake2b  # the one of hashlib, too

try:
    from _md5 import md5  # type: ignore[import-not-found] # an interpreter may be built without it
except ImportError:
    from hashlib import md5

__all__ = ["blake2b", "md5"]
