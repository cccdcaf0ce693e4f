"""Whether what a method needs is on this machine. Asked once at start, before anything listens."""

from __future__ import annotations

from typing import Final

from .methods import Edition, Method

_HERE: Final[set[str]] = set()
"""Methods that were found to run: a server of two thousand ports asks six thousand times, 30 us each."""


def missing(method: Method) -> str:
    """Return a sentence that names what to install; empty when the method can run here.

    Loads what a legacy method needs, and nothing for any other.
    """
    if not method.legacy or method.name in _HERE:
        return ""
    from cryptography.exceptions import UnsupportedAlgorithm

    key = bytes(method.key_size)
    try:
        if method.edition is Edition.STREAM:
            from .stream import CIPHERS as STREAM_CIPHERS  # 1 MB, 3 with pycryptodomex: others need not carry it

            STREAM_CIPHERS[method.cipher](key)
        else:
            from .aead import CIPHERS

            CIPHERS[method.cipher](key)
    except ImportError:
        return f"{method.name} needs pycryptodomex: pip install 'shadesocks[legacy]'"
    except UnsupportedAlgorithm:
        return f"the OpenSSL of this system has no {method.name}: pip install cryptography brings one that has it"
    _HERE.add(method.name)
    return ""
