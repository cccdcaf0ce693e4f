"""The plugins that a text of somebody else may start: links, lists of links, documents, subscriptions.

A plugin is a program, and whoever writes a link chooses its name and its options. So what comes from others starts
what `allowed_plugins` names. Where that says nothing, it starts the known ones, by their bare name and with options
that shape traffic, and nothing more: `server;localPort=6379` makes of v2ray-plugin a way into this machine.

Kept beside it, by `plugins.py`: what the file itself says of a plugin, or a flag, is the owner's word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

Allowed = tuple[str, ...] | None
"""Names and paths, letter by letter; None: nobody has said, so the known ones are."""

_OBFS: Final = frozenset(("obfs", "obfs-host", "obfs-uri", "http-method", "fast-open", "mptcp"))
_V2RAY: Final = frozenset(("mode", "mux", "tls", "host", "path", "certRaw", "loglevel", "fastOpen"))
KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "obfs-local": _OBFS,
    "simple-obfs": _OBFS,
    "v2ray-plugin": _V2RAY,
    "xray-plugin": _V2RAY | {"serviceName"},
}
"""The client's halves whose sources were read, and which of their options neither open a file nor change who listens
where. Others write logs where they are told to, or read their orders from a file (kcptun, ck-client)."""
OPTIONS_MOST: Final = 16
"""Options of a known one: it has eight. simple-obfs has room for 32, and writes behind it."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Of programs, as people give them."""


def why_not(name: str, options: str, allowed: Allowed) -> str:
    """Return what keeps a plugin that somebody else names from being run, as a sentence; empty for nothing.

    Args:
        name: as it is said, printable.
        options: as they are said; they are secrets.
        allowed: what the owner allows.
    """
    if allowed is not None and name in allowed:
        return ""
    if "/" in name:
        return (
            "this names a plugin by its path, and may come from somebody else, so it is not run; name one in PATH, or "
            "put that very path into allowed_plugins"
        )
    if allowed is not None or name not in KNOWN:
        why = "none of allowed_plugins" if allowed is not None else "none that is known"
        text = f"{shown_name(name)} is {why}, and what names it may come from somebody else, so it is not run"
        return f"{text}; {_how(name)}"
    if not _is_plain(options, KNOWN[name]):
        return (
            f"the options of the plugin {name} do more than shape traffic, and may come from somebody else, so it is "
            f"not run; without leave they are {', '.join(sorted(KNOWN[name]))}; {_how(name)}"
        )
    return ""


def _is_plain(options: str, known: frozenset[str]) -> bool:
    """True for options that are harmless however they are read: plugins differ on what a backslash does."""
    if not (options.isascii() and options.isprintable()) or "\\" in options:
        return False
    parts = options.split(";")
    return len(parts) <= OPTIONS_MOST and all(not part or part.partition("=")[0] in known for part in parts)


def _how(name: str) -> str:
    if not _NAME.fullmatch(name):
        return "to allow it, put its name into allowed_plugins"
    return f"to allow it: --allow-plugin {name}, or allowed_plugins in the config"


def shown_name(name: str) -> str:
    """Return what messages call a plugin that somebody else names.

    Its name, if it looks like one: what stands there is pasted into a shell, and of a link that was damaged on its way
    it may be the options, which are secrets.
    """
    return f"the plugin {name}" if _NAME.fullmatch(name) else "this plugin, which has no name of a program,"
