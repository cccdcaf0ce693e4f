"""`shadesocks links`: every old program by its name, in one directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shadesocks.cli import symlinks
from shadesocks.cli.doors import old_names
from shadesocks.cli.exits import DIED, OK, USAGE, run
from shadesocks.cli.programs import group

from .programs import environment


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Something that runs as `shadesocks`, from where it is installed."""
    found = tmp_path / "installed" / "shadesocks"
    found.parent.mkdir()
    found.write_text(f"#!{sys.executable}\nfrom shadesocks.cli import main\nmain()\n")
    found.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(found)])
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the links go."""
    made = tmp_path / "bin"
    made.mkdir()
    return made


def started(path: Path, home: Path, *words: str) -> str:
    done = subprocess.run([path, *words], capture_output=True, text=True, env=environment(home), check=True)
    return done.stdout


def test_it_makes_a_link_of_every_name_and_says_so(
    program: Path, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(group, "shadesocks", ["links", str(directory)]) == OK
    assert {path.name for path in directory.iterdir()} == set(old_names())
    assert all(path.resolve() == program for path in directory.iterdir())
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{directory / name} -> {program}" for name in old_names()]
    assert started(directory / "ss-local", directory, "-h").startswith("usage: ss-local ")


def test_it_makes_its_own_anew(program: Path, directory: Path) -> None:
    (directory / "ss-local").symlink_to("/nowhere/shadesocks")
    assert run(group, "shadesocks", ["links", str(directory)]) == OK
    assert run(group, "shadesocks", ["links", str(directory)]) == OK
    assert (directory / "ss-local").resolve() == program
    assert len(list(directory.iterdir())) == len(old_names())


def test_what_is_not_its_own_stays(
    program: Path, directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "ss-local").write_text("the real one")
    (directory / "ss-server").symlink_to(tmp_path / "elsewhere")
    (directory / "ss-redir").mkdir()
    assert run(group, "shadesocks", ["links", str(directory)]) == DIED
    out, err = capsys.readouterr()
    assert (directory / "ss-local").read_text() == "the real one"
    assert (directory / "ss-server").readlink() == tmp_path / "elsewhere"
    assert [line.split()[1] for line in err.splitlines()] == [
        str(directory / name) for name in ("ss-server", "ss-local", "ss-redir")
    ]
    assert len(out.splitlines()) == len(old_names()) - 3
    assert (directory / "ss-tunnel").resolve() == program


def test_where_there_are_no_links_it_writes_scripts(
    program: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for _ in range(2):
        assert run(group, "shadesocks", ["links", str(directory)]) == OK
    script = directory / "ss-local"
    assert not script.is_symlink()
    assert f'exec {program} as ss-local "$@"' in script.read_text()
    assert started(script, directory, "-h").startswith("usage: ss-local ")


@pytest.mark.parametrize("place", ["nowhere", "installed/shadesocks"])
def test_a_place_that_is_no_directory_is_told(program: Path, place: str, tmp_path: Path) -> None:
    assert program.exists()
    assert run(group, "shadesocks", ["links", str(tmp_path / place)]) == USAGE


def test_without_the_program_there_is_nothing_to_link_to(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "other")])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(group, "shadesocks", ["links", str(directory)]) == DIED
    assert "the program shadesocks is not found on PATH" in capsys.readouterr().err
    assert list(directory.iterdir()) == []


def test_the_program_is_that_which_runs_else_the_one_beside_this_python(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert symlinks.find_program() == program
    monkeypatch.setattr(sys, "argv", ["/opt/shadesocks/__main__.py"])
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    assert symlinks.find_program() == program
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(program.parent))
    assert symlinks.find_program() == program
