"""The daemon of the Python original: `-d start`, `stop` and `restart`, and where its files lie.

    stop       ends the one that holds the pid file; that none runs is no error
    restart    the same, once the config was found good, and then a start; also where none runs

Its files are root's. Another user's lie in that user's own directories, which is told; that program ended there with
a traceback.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from ...config.dialects.python import LOG_FILE, PID_FILE
from ...config.reader import Mark, Member, Node
from ..exits import say
from .program import Command

log = logging.getLogger("shadesocks.cli")

ACTIONS: Final = ("start", "stop", "restart")
_KEYS: Final = {"pid-file": (PID_FILE, "XDG_RUNTIME_DIR"), "log-file": (LOG_FILE, "XDG_STATE_HOME")}
"""Where each file lies, and the variable with the directory of those who may not write there."""
_PRIVATE: Final = 0o700


def command(in_file: Mapping[str, Member], flags: Mapping[str, Member]) -> Command:
    """Return what a file and flags want of a daemon."""
    members = {key: member for key, member in {**in_file, **flags}.items() if member.node.value is not None}
    if "daemon" not in members:
        return Command()
    action = members["daemon"].node.value or ACTIONS[0]
    made: dict[str, Member] = {}
    notes = []
    for key, (usual, variable) in _KEYS.items():
        if key not in members:
            path = usual if _is_writable(usual) else _own_place(os.path.basename(usual), variable)
            mark = Mark("default of its daemon", default=True)
            made[key] = Member(mark, Node(path, mark))
            if path != usual:
                notes.append(f"the {key} is {path}, since {usual} is not for this user; --{key} names another")
    path = str({**made, **members}["pid-file"].node.value)
    stops = partial(_stop, path) if action in ("stop", "restart") else None
    return Command(made, tuple(notes), stops, action != "stop")


def _stop(path: str) -> None:
    from ...process.daemon import stop

    if stop(path):
        say("stopped")
    else:
        log.error("not running")


def _is_writable(path: str) -> bool:
    return os.access(path if os.path.exists(path) else os.path.dirname(path), os.W_OK)


def _own_place(name: str, variable: str) -> str:
    """Return the path of a file in a directory of this user's."""
    given = os.environ.get(variable) or Path.home() / ".local" / "state"
    folder = Path(given, "shadesocks")
    folder.mkdir(_PRIVATE, parents=True, exist_ok=True)
    return str(folder / name)
