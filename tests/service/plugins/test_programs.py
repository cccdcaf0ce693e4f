"""Where programs are found, and what they inherit."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadesocks.service.plugins.programs import clean_environment, clean_path, find_program

from ..stubs import stub


def test_programs_are_found_in_a_clean_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".::{tmp_path.name}:/nowhere")
    assert find_program("stub-plugin") is None
    assert find_program("./stub-plugin") is None
    monkeypatch.setenv("PATH", f".:{tmp_path}")
    assert find_program("stub-plugin") == find_program(str(tmp_path / "stub-plugin")) == str(tmp_path / "stub-plugin")
    assert find_program(str(tmp_path)) is None


def test_environments_are_clean() -> None:
    assert clean_path("/bin:.::/usr/bin:x") == "/bin:/usr/bin"
    environ = {"PATH": ":/bin", "HOME": "/", "LISTEN_FDS": "2", "SS_SERVER_PASSWORD": "x", "SS_PLUGIN_OPTIONS": "y"}
    assert clean_environment(environ) == {"PATH": "/bin", "HOME": "/"}
    assert clean_environment({}) == {}
