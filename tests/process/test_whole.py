"""The whole program in memory: who may read no file of it any more can still do what was never asked before."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from shadesocks.process.user import find_user
from shadesocks.process.whole import is_closed_to

BLIND = """
import sys
from shadesocks.process.whole import load_whole

load_whole()
sys.meta_path.clear()  # from now on nothing can be loaded

from shadesocks.cli.doors import main

sys.argv[0] = "shadesocks"
main()
"""


def test_nothing_is_left_to_load(tmp_path: Path) -> None:
    """Commands that use different parts run without one import that reads a file."""
    config = tmp_path / "c.json"
    config.write_text(
        '{"server": "127.0.0.1", "server_port": 1, "password": "some words of a key", "method": "rc4-md5",'
        ' "allow_legacy": true, "acl": null}'
    )
    for words in (["check", str(config)], ["convert", str(config), "--to", "rust"], ["url", "-e", str(config), "-q"]):
        done = subprocess.run(
            [sys.executable, "-c", BLIND, *words], capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="only root may look as another user")
def test_root_s_home_is_closed_to_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Asked as that user, and as root again afterwards."""
    nobody = find_user("nobody")
    before = os.getresuid(), os.getresgid(), os.getgroups()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "os.py").touch()
    monkeypatch.setattr(os, "__file__", str(closed / "os.py"))
    assert is_closed_to(nobody)
    assert not is_closed_to(find_user("root"))
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before
    assert pwd.getpwuid(os.geteuid()).pw_name == "root"
