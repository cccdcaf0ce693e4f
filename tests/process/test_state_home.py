from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from shadesocks.process.state_home import VARIABLE, StateHome, prepare
from shadesocks.process.user import User

from .children import run

of_root = pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
SELF = User("somebody", os.getuid(), os.getgid(), ())
OTHER = User("somebody", 12345, 12346, ())
USE = """
import sys
from shadesocks.process.state_home import prepare
from shadesocks.process.user import become, find_user
user = find_user("nobody")
home = prepare(user, sys.argv[1] or None, {"XDG_STATE_HOME": sys.argv[2]})
open(home.path + "/aead.salts", "w").close()
home.give()
become(user)
print(home.complaint())
open(home.path + "/aead.salts", "w").close()
open(home.path + "/aead.salts.lock", "w").close()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that every user can look into."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_one_by_the_name_of_the_user_is_made_and_said(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    home = prepare(SELF, None, environ)
    assert home.path == environ[VARIABLE] == str(tmp_path / "state" / "shadesocks" / "somebody")
    assert Path(home.path).stat().st_mode & 0o777 == 0o700
    assert Path(home.path).parent.stat().st_mode & 0o055 == 0o055, "all users look for theirs there"
    assert home.complaint() == ""
    assert prepare(SELF, None, {"XDG_STATE_HOME": str(tmp_path / "state")}) == home


def test_without_a_place_of_ones_own_it_is_the_system_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shadesocks.process.state_home.BASE", str(tmp_path))
    assert prepare(SELF, None, {}).path == str(tmp_path / "shadesocks" / "somebody")


def test_one_that_is_named_goes_first(tmp_path: Path) -> None:
    environ = {VARIABLE: f"{tmp_path / 'of systemd'}:/else", "XDG_STATE_HOME": str(tmp_path)}
    assert prepare(SELF, str(tmp_path / "mine"), environ).path == str(tmp_path / "mine")
    assert prepare(SELF, None, environ).path == str(tmp_path / "of systemd")
    assert environ[VARIABLE].endswith(":/else"), "what was said stays as it was"


def test_what_cannot_be_made_is_told_once_it_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = prepare(SELF, str(tmp_path / "file" / "state"), {})
    home.give()
    assert home.complaint() == (
        f"the state directory {tmp_path}/file/state is closed to somebody, who runs this service: give it to that user "
        "(chown), or name none, and one is made"
    )


@of_root
def test_only_what_is_made_here_is_given_away(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name, owner in {"there": 0, "new": OTHER.uid}.items():
        prepare(OTHER, str(tmp_path / name), {})
        assert (tmp_path / name).stat().st_uid == owner, name


@of_root
def test_stores_are_given_with_the_directory_and_nothing_else_of_root_s(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("root's")
    home = prepare(OTHER, str(tmp_path / "state"), {})
    state = Path(home.path)
    for name in ("aead.salts", "aead.salts.lock", "x.txt"):
        (state / name).write_text("")
    (state / "link.salts").symlink_to(other)
    (state / "twin.salts").hardlink_to(other)
    home.give()
    assert {path.name for path in state.iterdir() if path.lstat().st_uid == OTHER.uid} == {
        "aead.salts",
        "aead.salts.lock",
    }
    assert other.stat().st_uid == 0


@of_root
def test_nothing_is_given_in_a_directory_that_is_another_s(tmp_path: Path) -> None:
    (tmp_path / "aead.salts").write_text("")
    StateHome(str(tmp_path), OTHER).give()
    assert (tmp_path / "aead.salts").stat().st_uid == 0


@of_root
@pytest.mark.parametrize("configured", ["", "mine"])
def test_the_user_can_use_it(configured: str, folder: Path) -> None:
    done = run(USE, str(folder / configured) if configured else "", folder)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
    path = folder / (configured or "shadesocks/nobody")
    assert {each.stat().st_uid for each in (path, *path.iterdir())} == {pwd.getpwnam("nobody").pw_uid}


@of_root
def test_one_that_is_closed_to_the_user_is_told(folder: Path) -> None:
    (folder / "mine").mkdir(0o700)
    done = run(USE, folder / "mine", folder)
    assert f"the state directory {folder}/mine is closed to nobody" in done.stdout
    assert "PermissionError" in done.stderr
