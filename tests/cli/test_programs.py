"""The group `shadesocks`, and the names of shadowsocks-rust's programs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli.exits import OK, USAGE, run
from shadesocks.cli.programs import group, version

from .programs import environment
from .programs import run as run_program

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = (
    "up",
    "connect",
    "server",
    "local",
    "url",
    "genkey",
    "check",
    "convert",
    "acl",
    "as",
    "links",
    "servers",
    "status",
    "sessions",
    "kick",
    "reload",
    "user",
    "service",
)


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", ["--help"]) == OK
    text = capsys.readouterr().out
    listed = [line.split()[0] for line in text.partition("Commands:\n")[2].splitlines()]
    assert listed == list(COMMANDS)


def test_without_a_word_it_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", []) == USAGE
    assert "shadesocks up" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_usage_text_and_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", [name, "-h"]) == OK
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: shadesocks {name} ")
    assert f"\n  shadesocks {name}" in text.partition("Examples:\n")[2] or f"shadesocks {name}" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("typed", "meant"), [("sever", "server"), ("Up", "up"), ("genky", "genkey"), ("client", "local")]
)
def test_a_wrong_command_is_told_the_near_one(typed: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", [typed]) == USAGE
    assert f"did you mean '{meant}'?" in capsys.readouterr().err


def test_a_command_that_is_like_none_is_told_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", ["xyzzy"]) == USAGE
    assert "there are up, connect, server," in capsys.readouterr().err


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", ["--version"]) == OK
    assert capsys.readouterr().out == f"shadesocks {version()}\n"


@pytest.mark.parametrize(("name", "words"), [("ssserver", "server"), ("sslocal", "client")])
def test_the_names_of_the_rust_programs_work(name: str, words: str, tmp_path: Path) -> None:
    code = f"import shadesocks.cli; shadesocks.cli.{name}()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, env=environment(tmp_path), check=False
    )
    assert done.returncode == OK
    assert done.stdout.startswith(f"Usage: {name} ")
    assert f"Run a Shadowsocks {words}" in done.stdout


def test_a_start_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    heavy = ("segno", "argparse", "email", "http", "unittest", "xml", "importlib.metadata")
    code = (
        "import sys; import shadesocks.cli.serve, shadesocks.service.service\n"
        f"print([module for module in {heavy} if module in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(tmp_path), check=True
    )
    assert done.stdout == "[]\n"


def test_a_word_that_is_no_option_is_told_the_near_one(tmp_path: Path) -> None:
    done = run_program(tmp_path, "local", "--server-ulr", "x")
    assert done.returncode == USAGE
    assert "--server-url" in done.stderr
