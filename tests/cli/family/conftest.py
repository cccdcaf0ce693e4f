"""Old programs, started in this process up to where their service would begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest

import shadesocks.cli.background
import shadesocks.cli.logs
from shadesocks.cli.exits import OK
from shadesocks.cli.family import find_program
from shadesocks.cli.family.run import run
from shadesocks.config import Config, files

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Started:
    """What became of a program."""

    code: int
    config: Config | None
    out: str
    err: str
    log: str

    def value(self, path: str) -> Any:
        """Follow names, indexes and calls from the config: `servers.0.address.port`, `password.reveal()`."""
        assert self.config is not None, self.err
        return reduce(_step, path.split("."), self.config)


def _step(value: Any, name: str) -> Any:
    if name.isdecimal():
        return value[int(name)]
    return getattr(value, name[:-2])() if name.endswith("()") else getattr(value, name)


Start = Callable[[str, str], Started]


@pytest.fixture(autouse=True)
def _no_old_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no config be found that another program of this machine has in /etc."""
    monkeypatch.setattr(files, "OLD_PLACES", ())


@pytest.fixture
def start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Start:
    """Start a program with words, in an empty home and directory; its service does not run."""
    seen: list[Config] = []

    def keep(config: Config, *_: object, **__: object) -> int:
        seen.append(config)
        return OK

    def leave_logs_alone(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(shadesocks.cli.background, "run_placed", keep)
    monkeypatch.setattr(shadesocks.cli.background, "set_up_logs", leave_logs_alone)
    monkeypatch.setattr(shadesocks.cli.logs, "set_up_logs", leave_logs_alone)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    caplog.set_level("INFO", "shadesocks")

    def started(name: str, words: str) -> Started:
        seen.clear()
        caplog.clear()
        code = run(find_program(name), words.split())
        out, err = capsys.readouterr()
        return Started(code, seen[0] if seen else None, out, err, caplog.text)

    return started
