"""What a plugin is told (SIP003): its options, and the environment that it is started with.

    SS_PLUGIN_OPTIONS    k=v;flag;k2=v2      a backslash makes the character after it a plain one

A plugin gets its options as they were written; they are read here for those who show or change them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..core.address import Address

Pair = tuple[str, str | None]
"""A key and its value; None for a flag, which has none."""

ESCAPE: Final = "\\"
_MUST_ESCAPE: Final = str.maketrans({char: ESCAPE + char for char in "\\;="})


def parse_options(text: str) -> list[Pair]:
    """Return the options of a plugin in their order. What stands between two semicolons may be nothing."""
    pairs: list[Pair] = []
    key: str | None = None
    word: list[str] = []
    chars = iter(text)
    for char in chars:
        if char == ESCAPE:
            word.append(next(chars, ESCAPE))
        elif char == "=" and key is None:
            key, word = "".join(word), []
        elif char == ";":
            _put(pairs, key, word)
            key, word = None, []
        else:
            word.append(char)
    _put(pairs, key, word)
    return pairs


def _put(pairs: list[Pair], key: str | None, word: list[str]) -> None:
    if key is not None:
        pairs.append((key, "".join(word)))
    elif word:
        pairs.append(("".join(word), None))


def format_options(pairs: Iterable[Pair]) -> str:
    """Return the text of options: `parse_options` reads the same from it, but for flags without a letter."""
    return ";".join(
        _escape(key) if value is None else f"{_escape(key)}={_escape(value)}"
        for key, value in pairs
        if key or value is not None
    )


def _escape(text: str) -> str:
    return text.translate(_MUST_ESCAPE)


def environment(remote: Address, local: Address, options: str = "") -> dict[str, str]:
    """Return the variables of a plugin: IPv6 hosts have no brackets, and no options are no variable.

    Args:
        remote: the server that the plugin of a client leads to; where the plugin of a server listens.
        local: where the plugin of a client listens; the server that the plugin of a server leads to.
        options: as they were written.
    """
    variables = {
        "SS_REMOTE_HOST": remote.host,
        "SS_REMOTE_PORT": str(remote.port),
        "SS_LOCAL_HOST": local.host,
        "SS_LOCAL_PORT": str(local.port),
    }
    return variables | ({"SS_PLUGIN_OPTIONS": options} if options else {})


def loopback_of(host: str) -> str:
    """Return the loopback address of the family of a server's host; that of IPv4 where it is a name."""
    return "::1" if ":" in host else "127.0.0.1"
