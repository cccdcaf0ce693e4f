"""How hard a password is to guess, roughly.

Whoever records one connection can try passwords at home, as many as a card can
hash: the key of the AEAD methods is MD5 of the password (protocol §3), and the
2022 methods take the key as it is. So a weak one is worth a warning. The estimate
flatters: it knows repeats, runs and the most common words, and no language.

Called by `load.py`, for a warning only. Never keeps or shows what it judges.
"""

from __future__ import annotations

import re
from itertools import pairwise
from math import log2
from typing import Final

ENOUGH_BITS: Final = 64
"""Below this many, guessing is a matter of money (Len et al., Partitioning Oracle Attacks, 2021)."""
KEY_BYTES_DISTINCT: Final = 6
"""A random key of 16 bytes has fewer different ones with a chance below 1e-15."""

_CLASSES: Final = (
    (re.compile("[a-z]"), 26),
    (re.compile("[A-Z]"), 26),
    (re.compile("[0-9]"), 10),
    (re.compile(r"[^A-Za-z0-9]"), 33),
)

_WORDS: Final = """
    password mypassword yourpassword secret test testpassword admin root user guest login welcome letmein changeme
    default qwerty qwertyuiop asdfgh zxcvbn iloveyou monkey dragon sunshine princess football baseball master
    shadow shadowsocks shadesocks socks proxy server barfoo foobar hello world helloworld teddysun
"""
_COMMON: Final = frozenset(_WORDS.split())
"""What lists of leaked passwords begin with, and the examples of Shadowsocks' own manuals."""


def strength(password: str) -> float:
    """Return an estimate of the bits a guesser needs."""
    letters = re.sub("[^a-z]", "", password.lower())
    if letters in _COMMON:
        return log2(len(_COMMON)) + 2.0 * (len(password) - len(letters))
    alphabet = sum(size for pattern, size in _CLASSES if pattern.search(password))
    news = _news(password[: _period(password)])
    return news * log2(alphabet) if alphabet else 0.0


def is_weak_key(key: bytes) -> bool:
    """True for a key that no random source has made: few different bytes."""
    return len(set(key)) < KEY_BYTES_DISTINCT


def _period(text: str) -> int:
    """Return the size of the shortest piece whose repetition is the text."""
    return (text + text).find(text, 1) if text else 0


def _news(text: str) -> int:
    """Count the characters that do not merely continue a run (aaaa, 1234, dcba)."""
    steps = [ord(after) - ord(before) for before, after in pairwise(text)]
    return len(text) - sum(1 for last, step in pairwise(steps) if step == last and abs(step) <= 1)
