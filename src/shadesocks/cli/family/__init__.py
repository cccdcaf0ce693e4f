"""The programs of the family as people started them: their names, flags, usage and exit codes.

    program    what an old program is: a name, a dialect, a table of flags
    syntax     how they read their command lines
    python libev go lite node procurator rust     the tables, one family a file
    overlay    the flags that were met, as members of the dialect's file
    run        from the words to a service
    choose     whose `ssserver` and `sslocal` it is: the Python original's or shadowsocks-rust's
    python_lines  what the Python original printed and warned of, for tools that match it

A flag becomes a member of the file's top level in the dialect's own keys, so that the one translation in
`config/dialects/` serves file and flags. Nothing here imports click: an old program starts as fast as it can.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .program import OldProgram

HOMES: Final = {
    "ssserver": "python",
    "sslocal": "python",
    "ssmanager": "rust",
    "ss-server": "libev",
    "ss-local": "libev",
    "ss-tunnel": "libev",
    "ss-redir": "libev",
    "ss-manager": "libev",
    "shadowsocks-server": "go",
    "shadowsocks-local": "go",
    "sslserver": "lite",
    "ssllocal": "lite",
    "node-ssserver": "node",
    "node-sslocal": "node",
    "procurator-server": "procurator",
    "procurator-local": "procurator",
}
"""Every program, and the file that holds it."""


def find_program(name: str) -> OldProgram:
    """Return the program of a name.

    Raises:
        KeyError: no program had it.
    """
    programs: dict[str, OldProgram] = import_module(f".{HOMES[name]}", __package__).PROGRAMS
    return programs[name]
