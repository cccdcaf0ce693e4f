"""Where a plugin's program is, and what it inherits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

_OURS: Final = ("SS_PLUGIN_OPTIONS", "SS_SERVER_PASSWORD", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")
_SOCKETS: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
"""Variables that are for this process alone."""


def find_program(name: str) -> str | None:
    """Return the path of a plugin: an absolute one as it is, a name from PATH. None where there is no such program."""
    if os.path.isabs(name):
        paths = [name]
    elif os.path.dirname(name):
        paths = []
    else:  # `shutil.which` would do, and loads every archive format that there is
        folders = clean_path(os.environ.get("PATH", os.defpath)).split(os.pathsep)
        paths = [os.path.join(folder, name) for folder in folders if folder]
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)


def clean_path(path: str) -> str:
    """Leave out what stands for the working directory, which may be anybody's."""
    return os.pathsep.join(part for part in path.split(os.pathsep) if os.path.isabs(part))


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a plugin inherits."""
    kept = {name: text for name, text in environ.items() if name not in _OURS and name not in _SOCKETS}
    if "PATH" in kept:
        kept["PATH"] = clean_path(kept["PATH"])
    return kept
