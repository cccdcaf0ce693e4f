"""`shadesocks as`: an old program by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shadesocks.cli import doors
from shadesocks.cli.exits import OK, USAGE, run
from shadesocks.cli.programs import group

from .programs import run as run_program

if TYPE_CHECKING:
    from pathlib import Path


def test_all_words_behind_the_name_are_the_program_s(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[str]]] = []

    def keep(name: str, words: list[str]) -> None:
        seen.append((name, list(words)))

    monkeypatch.setattr(doors, "as_program", keep)
    assert run(group, "shadesocks", ["as", "ss-local", "-h", "--dialect", "x", "-vv", "--", "word"]) == OK
    assert seen == [("ss-local", ["-h", "--dialect", "x", "-vv", "--", "word"])]


def test_it_ends_with_the_program_s_code_and_usage(tmp_path: Path) -> None:
    done = run_program(tmp_path, "as", "ss-server", "--zzz")
    assert done.returncode == 1
    assert "usage: ss-server [OPTION]..." in done.stderr
    done = run_program(tmp_path, "as", "node-sslocal", "--zzz")
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["as", "ss-lokal"], "did you mean ss-local?"),
        (["as", "xyzzy"], "there are ssserver, sslocal,"),
        (["as"], "NAME"),
    ],
)
def test_an_unknown_name_is_told_the_known_ones(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(group, "shadesocks", argv) == USAGE
    assert words in capsys.readouterr().err


def test_its_help_names_every_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", ["as", "--help"]) == OK
    text = capsys.readouterr().out
    assert all(name in text for name in doors.old_names())
