"""Plugins for tests: the stub as an executable, and what is left of its processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from shadesocks.config.model import DEFAULT_PLUGIN_MODE, Mode, PluginConfig
from shadesocks.core.secret import Secret

SOURCE: Final = Path(__file__).with_name("stub_plugin.py")


def stub(folder: Path, options: str = "", mode: Mode = DEFAULT_PLUGIN_MODE, args: tuple[str, ...] = ()) -> PluginConfig:
    """Return the stub as a plugin that behaves as these options say."""
    path = folder / "stub-plugin"
    if not path.exists():
        path.write_text(f"#!{sys.executable} -S\n{SOURCE.read_text(encoding='utf-8')}", encoding="utf-8")
        path.chmod(0o700)
    return PluginConfig(str(path), Secret(options), args, mode)


def alive(session: int) -> list[int]:
    """Return the processes of a session that run, and are no zombies whose reaper is another."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                state, parent, _, sid = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:4]
            except (OSError, ValueError):
                continue
            if int(sid) == session and (state != "Z" or int(parent) == os.getpid()):
                found.append(int(name))
    return found


def children() -> list[int]:
    """Return the children of this process, zombies and all."""
    found: list[int] = []
    for task in os.listdir("/proc/self/task"):
        found += map(int, Path(f"/proc/self/task/{task}/children").read_text().split())
    return found
