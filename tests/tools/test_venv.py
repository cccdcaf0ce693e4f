"""`tools/venv.sh`, and the Makefile around it: which tools are used, and what is said where they are missing.

No test installs anything: Python and uv are stand-ins that write down how they were called, on a PATH that has
nothing else but what the script needs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent.parent
NEEDED: Final = ("sh", "dirname", "mktemp", "rm", "cat", "touch", "mkdir", "chmod")

PYTHON: Final = """#!/bin/sh
echo "python $*" >>"$CALLS"
case "$*" in
    *version_info*) exit ${TOO_OLD:-0} ;;
    -V) echo "Python 3.9.2" ;;
    *ensurepip*) exit ${NO_VENV:-0} ;;
    "-m venv "*) mkdir -p "$3/bin"; cat "$0" >"$3/bin/python"; chmod +x "$3/bin/python" ;;
    "-m pip install"*) echo "no network here"; exit ${NO_PIP:-0} ;;
esac
"""
UV: Final = """#!/bin/sh
echo "uv $*" >>"$CALLS"
case "$1" in venv) shift 4; mkdir -p "$1/bin"; echo '#!/bin/sh' >"$1/bin/python"; chmod +x "$1/bin/python" ;; esac
"""
PROGRAM: Final = """#!/bin/sh
echo "shadesocks $*" >>"$CALLS"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A PATH with stand-ins on it, and the environment directory that is to be made."""

    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    def put(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def calls(self) -> list[str]:
        """What the stand-ins were called with since the last time."""
        log = self.folder / "calls"
        said = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return said

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=ROOT,
            env={"PATH": str(self.bin), "CALLS": str(self.folder / "calls"), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def make_venv(self, kind: str = "run", python: str = "python3", **environment: str) -> tuple[int, str]:
        """Run the script; return its exit code and what it said."""
        done = self.run("/bin/sh", str(ROOT / "tools" / "venv.sh"), python, str(self.venv), kind, **environment)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.bin.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found, name
        (made.bin / name).symlink_to(found)
    made.put(made.bin / "python3", PYTHON)
    return made


def stamps(place: Place) -> set[str]:
    return {path.name for path in place.venv.glob(".*")}


def test_python_alone_is_enough(place: Place) -> None:
    assert place.make_venv() == (0, f"making {place.venv} (once)\n")
    calls = place.calls()
    assert f"python -m venv {place.venv}" in calls
    assert calls[-1] == "python -m pip install --quiet --editable ."
    assert stamps(place) == {".runs"}


def test_the_tests_need_the_development_group(place: Place) -> None:
    assert place.make_venv("test")[0] == 0
    assert place.calls()[-1] == "python -m pip install --quiet --editable . --group dev"
    assert stamps(place) == {".runs", ".tests"}


def test_an_environment_that_exists_is_kept(place: Place) -> None:
    place.make_venv()
    place.calls()
    assert place.make_venv("test") == (0, "")
    assert not [call for call in place.calls() if call.startswith("python -m venv")]


def test_without_venv_and_pip_uv_does_it(place: Place) -> None:
    place.put(place.bin / "uv", UV)
    assert place.make_venv("test", NO_VENV="1")[0] == 0
    assert [call for call in place.calls() if call.startswith("uv")] == [
        f"uv venv --quiet --python python3 {place.venv}",
        f"uv pip install --quiet --python {place.venv}/bin/python --editable . --group dev",
    ]
    assert stamps(place) == {".runs", ".tests"}


@pytest.mark.parametrize(
    ("python", "environment", "said"),
    [
        ("python3", {"NO_VENV": "1"}, "python3 has no venv and no uv is here; install one: apt install python3-venv"),
        ("python3", {"TOO_OLD": "1"}, "Python 3.9.2 is too old; install Python 3.11 or newer"),
        ("python9", {}, "there is no python9 here; install Python 3.11 or newer"),
    ],
    ids=["no venv, no uv", "too old", "no Python"],
)
def test_what_is_missing_is_said_in_one_line(place: Place, python: str, environment: dict[str, str], said: str) -> None:
    code, text = place.make_venv(python=python, **environment)
    assert code == 1
    assert text.splitlines()[-1].startswith(f"shadesocks: {said}")
    assert text.count("shadesocks: ") == 1
    assert not stamps(place)


def test_a_failed_installation_shows_why_and_is_tried_again(place: Place) -> None:
    code, text = place.make_venv(NO_PIP="1")
    assert code == 1
    assert "no network here\n" in text
    assert not stamps(place)
    assert place.make_venv()[0] == 0


def test_make_installs_once(place: Place) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make not found: apt install make")
    place.put(place.venv / "bin" / "shadesocks", PROGRAM)
    path = f"{place.bin}{os.pathsep}{os.defpath}"
    up = (make, "--no-print-directory", "up", f"PYTHON={place.bin}/python3", f"VENV={place.venv}", "ARGS=--host name")
    assert place.run(*up, PATH=path).returncode == 0
    calls = place.calls()
    assert "python -m pip install --quiet --editable ." in calls
    assert calls[-1] == "shadesocks up --host name"
    assert place.run(*up, PATH=path).returncode == 0
    assert place.calls() == ["shadesocks up --host name"]
