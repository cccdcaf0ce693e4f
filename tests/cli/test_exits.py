"""Every end of a command: a code for the supervisor, a sentence for the person."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import click
import pytest

from shadesocks.cli.exits import CONFIG, DIED, OK, USAGE, Failed, run
from shadesocks.core.errors import ConfigError, DialError, Problem

from .programs import command, environment
from .programs import run as run_program


def ending(error: BaseException | None, result: object = None) -> click.Command:
    def callback() -> object:
        if error is not None:
            raise error
        return result

    return click.Command("it", callback=callback)


NOTED = ConfigError([Problem("c.json", 3, "servers[0].port", "is no port")])
NOTED.add_note("nothing was changed")

ENDS = [
    (None, OK, ""),
    (click.UsageError("no such thing"), USAGE, "error: no such thing\n"),
    (click.FileError("x", "not there"), USAGE, "error: Could not open file 'x': not there\n"),
    (Failed("it died"), DIED, "error: it died\n"),
    (Failed("it is wrong", CONFIG), CONFIG, "error: it is wrong\n"),
    (NOTED, CONFIG, "error: c.json:3: servers[0].port: is no port\nnote: nothing was changed\n"),
    (ConfigError([Problem("--timeout", None, "", "is no number")]), USAGE, "error: --timeout: is no number\n"),
    (ConfigError([Problem("-k", None, "", "a"), Problem("c", 1, "", "b")]), CONFIG, "error: -k: a\nerror: c:1: b\n"),
    (DialError("refused", "nobody is there"), DIED, "error: nobody is there\n"),
    (FileNotFoundError(2, "No such file or directory", "f"), DIED, "error: f: No such file or directory\n"),
    (OSError(28, "No space left on device"), DIED, "error: the output: No space left on device\n"),
    (BrokenPipeError(), OK, ""),
    (KeyboardInterrupt(), 128 + signal.SIGINT, "\n"),
]


@pytest.mark.parametrize(("error", "code", "text"), ENDS, ids=lambda value: type(value).__name__)
def test_every_error_has_a_code_and_a_sentence(
    error: BaseException | None, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(ending(error), "it", []) == code
    out, err = capsys.readouterr()
    assert (out, err.replace("Try 'it --help'.\n", "")) == ("", text)


def test_a_code_that_a_command_returns_is_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ending(None, 78), "it", []) == 78
    assert capsys.readouterr() == ("", "")


def test_a_usage_error_says_where_to_read_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ending(None), "it", ["--what"]) == USAGE
    assert capsys.readouterr().err.splitlines()[-1] == "Try 'it --help'."


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("w") as out:
        done = subprocess.run(
            command("genkey", "-m", "aes-128-gcm"),
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(tmp_path),
            check=False,
        )
    assert done.returncode == DIED
    assert done.stderr == "error: the output: No space left on device\n"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("genkey", "-m", "aes-128-gcm"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait() == OK


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_stream_is_no_error(closed: str, tmp_path: Path) -> None:
    line = " ".join(f"'{word}'" for word in command("genkey", "-m", "aes-128-gcm"))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{line} {closed}"], env=environment(tmp_path), check=False, capture_output=True
    )
    assert (done.returncode, done.stderr) == (OK, b"")


def test_a_closed_stream_is_no_error_in_a_failure(tmp_path: Path) -> None:
    line = " ".join(f"'{word}'" for word in command("genkey", "-m", "nothing"))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{line} 2>&-"], env=environment(tmp_path), check=False, capture_output=True
    )
    assert (done.returncode, done.stdout) == (USAGE, b"")


def test_no_error_shows_a_traceback(tmp_path: Path) -> None:
    done = run_program(tmp_path, "check", str(tmp_path / "none.json"))
    assert done.returncode == CONFIG
    assert done.stderr == f"error: {tmp_path}/none.json: this file cannot be read: no such file or directory\n"
