"""`tools/pythons.sh`: a Python that is not there is named, and a run without any is a failure."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parent.parent.parent / "tools" / "pythons.sh"


@pytest.mark.parametrize("broken", [False, True], ids=["none", "one that does not run"])
def test_a_run_without_any_python_fails(tmp_path: Path, broken: bool) -> None:
    bash, dirname = shutil.which("bash"), shutil.which("dirname")
    assert bash
    assert dirname
    (tmp_path / "dirname").symlink_to(dirname)
    if broken:
        (tmp_path / "python3.12").write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / "python3.12").chmod(0o755)
    done = subprocess.run(
        [bash, SCRIPT],
        env={"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path / "pyenv")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == "Pythons: passed none; failed none; not found 3.11 3.12 3.13\n"
