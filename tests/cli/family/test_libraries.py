"""Flags that name libraries of ciphers."""

from __future__ import annotations

from pathlib import Path

from shadesocks.cli.family.libraries import LIBRARIES, check_library
from shadesocks.cli.family.python import PROGRAMS


def test_a_library_must_be_there_though_nobody_loads_it(tmp_path: Path) -> None:
    (tmp_path / "libcrypto.so").touch()
    assert check_library(str(tmp_path / "libcrypto.so")) == ""
    assert "leave this flag out" in check_library(str(tmp_path / "nowhere.so"))


def test_both_python_programs_take_them() -> None:
    for program in PROGRAMS.values():
        names = {name for flag in program.flags for name in flag.names}
        assert names >= {f"--{name}" for name in LIBRARIES}
