"""The whole program loaded at once, for a process that is about to lose the right to read it.

Parts are loaded when they are first needed (`core/later.py`). Whoever installs the program in root's home, and lets it
run as another user, has a program that cannot read itself from then on. So it loads all of it before: every module, and
what they import inside of functions. It takes a second and some MiB, and nobody else pays for it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..core.later import load_put_off

if TYPE_CHECKING:
    from .user import User

PACKAGE: Final = __name__.partition(".")[0]
_ROOT: Final = Path(__file__).parents[1]
_PROGRAMS: Final = ("__main__", "launcher", "env")
"""Modules that do something when they are loaded."""
_IMPORT: Final = re.compile(r"^ +(?:import|from) ([a-z][\w.]*)", re.MULTILINE)
"""An import of somebody else's inside of a function; those outside come with their module. No such file, no harm."""


def is_closed_to(user: User) -> bool:
    """True where a user cannot read Python or this program; asked by a process that may still become that user."""
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    try:
        os.setgroups(user.groups)
        os.setegid(user.gid)
        os.seteuid(user.uid)
        return not all(os.access(path, os.R_OK, effective_ids=True) for path in (os.__file__, __file__))
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def load_whole() -> None:
    """Load all modules of the program, and all that they name; extras that are not installed are left out."""
    for path in sorted(_ROOT.rglob("*.py")):
        if path.stem not in _PROGRAMS:
            parts = path.relative_to(_ROOT).with_suffix("").parts
            _load(".".join((PACKAGE, *parts)).removesuffix(".__init__"))
            for line in _IMPORT.finditer(path.read_text(encoding="utf-8")):
                _load(line[1])
    load_put_off()
    "".encode("idna")  # a codec is a module, too


def _load(name: str) -> None:
    with suppress(ImportError):
        import_module(name)
