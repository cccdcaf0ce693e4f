"""The public API: listed, described, found, and cheap to import."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import shadesocks

DOC = (Path(__file__).parent.parent / "docs" / "api.md").read_text(encoding="utf-8")


def test_the_page_describes_what_is_listed() -> None:
    described = set()
    for row in re.findall(r"^\| (`.*?) \|", DOC, re.MULTILINE):
        described |= set(re.findall(r"`(\w+)`", row))
    assert described == set(shadesocks.__all__)


@pytest.mark.parametrize("name", shadesocks.__all__)
def test_each_name_is_found(name: str) -> None:
    assert getattr(shadesocks, name).__doc__


def test_no_other_name_is() -> None:
    with pytest.raises(AttributeError, match="no attribute 'relay'"):
        shadesocks.relay  # noqa: B018 - that is the test


def test_the_import_is_cheap() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import shadesocks, sys; print('asyncio' in sys.modules)"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert said.stdout.strip() == b"False"


def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    """As written, but that it ends after its start."""
    lines = [line[4:] for line in DOC.splitlines() if line.startswith("    ") or not line]
    code = "\n".join(lines).replace("await asyncio.Event().wait()", "await asyncio.sleep(0)")
    keys = {"server": "127.0.0.1", "server_port": _free_port(), "method": "aes-256-gcm", "password": "battery staple"}
    (tmp_path / "config.json").write_text(json.dumps(keys))
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"XDG_STATE_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr.decode()
    assert said.stdout.startswith(b"127.0.0.1:")


def _free_port() -> int:
    from socket import socket

    with socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
