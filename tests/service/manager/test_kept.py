"""The ports that were added, on disk: whole, private, never lost by a mistake in them."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadesocks.config.files import write_private
from shadesocks.service.manager import kept as kept_file
from shadesocks.service.manager.kept import KeptPorts, PassedOn, beside
from shadesocks.wire.manager.command import Command

from ..rig import run, until

ONE = Command("add", 8001, "p\u00fc", {"method": "aes-256-gcm", "mode": "tcp_only"})
TWO = Command("add", 8002, "q")


def keep(path: Path, *commands: Command) -> KeptPorts:
    """Keep some ports."""
    kept = KeptPorts(str(path))

    async def story() -> None:
        for command in commands:
            kept.add(command)
        await kept.close()

    run(story())
    return kept


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is written, or tried to be, from now on."""
    tried: list[str] = []

    def write(place: Path, text: str) -> None:
        tried.append(text)
        write_private(place, text)

    monkeypatch.setattr(kept_file, "write_private", write)
    return tried


def test_what_is_kept_is_what_was_said(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ports.json"
    keep(path, ONE, TWO)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["ports.json"]
    assert KeptPorts(str(path)).read() == [ONE, TWO]


def test_the_config_goes_before_what_was_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert list(beside([ONE, TWO], {8001, 8003})) == [TWO]
    assert [record.getMessage() for record in caplog.records] == [
        "manager: port 8001 is in the config, so the one that was kept is not added",
        "manager: 1 ports were kept, and added again",
    ]
    caplog.clear()
    assert list(beside([ONE], {8001})) == []
    assert len(caplog.records) == 1


def test_what_was_removed_or_replaced_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    keep(path, ONE, TWO)

    async def story() -> None:
        kept = KeptPorts(str(path))
        kept.read()
        kept.remove(8001)
        kept.remove(9999)
        kept.add(Command("add", 8002, "another"))
        await kept.close()

    run(story())
    assert KeptPorts(str(path)).read() == [Command("add", 8002, "another")]


def test_commands_gather_before_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ports.json"
    monkeypatch.setattr(kept_file, "DELAY", 0.02)
    written = counted(monkeypatch)

    async def story() -> None:
        kept = KeptPorts(str(path))
        for port in range(1, 101):
            kept.add(Command("add", port, "p"))
            kept.add(Command("add", port, "p"))
        await until(lambda: bool(written))
        kept.add(Command("add", 1, "p"))  # which is there
        await kept.close()

    run(story())
    assert len(written) == 1
    assert len(KeptPorts(str(path)).read()) == 100


def test_a_slow_disk_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said while it writes is written afterwards, and before the end."""
    path = tmp_path / "ports.json"
    monkeypatch.setattr(kept_file, "DELAY", 0.01)
    began, goes_on = threading.Event(), threading.Event()

    def slow(place: Path, text: str) -> None:
        began.set()
        assert goes_on.wait(5), "the loop waits for it"
        write_private(place, text)

    monkeypatch.setattr(kept_file, "write_private", slow)

    async def story() -> None:
        kept = KeptPorts(str(path))
        kept.add(ONE)
        await until(began.is_set)
        kept.add(TWO)
        goes_on.set()
        await kept.close()

    run(story())
    assert KeptPorts(str(path)).read() == [ONE, TWO]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 2, "ports": []}', '{"format": 1, "ports": {}}', "[" * 100_000, "\0\xff"]
)
def test_a_file_that_cannot_be_used_is_set_aside(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ports.json"
    path.write_text(text, "latin-1")
    assert KeptPorts(str(path)).read() == []
    [aside] = tmp_path.iterdir()
    assert aside.name.startswith("ports.json.corrupt-")
    assert aside.read_text("latin-1") == text
    assert "cannot be used" in caplog.text


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_another_user_put_there_opens_no_port(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ports.json"
    keep(path, ONE)
    tmp_path.chmod(0o1777)
    assert KeptPorts(str(path)).read() == [ONE]
    os.chown(path, 65534, 65534)
    assert KeptPorts(str(path)).read() == []
    assert not path.exists()
    assert "another user's" in caplog.text


def test_of_a_file_with_mistakes_the_good_ports_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    entries = [{"server_port": 1, "password": "p"}, {"server_port": 0, "password": "p"}, 5, {"server_port": 2}]
    path.write_text(json.dumps({"format": 1, "ports": entries}))

    async def story() -> None:
        kept = KeptPorts(str(path))
        assert kept.read() == [Command("add", 1, "p")]
        await kept.close()

    run(story())
    assert len(list(tmp_path.iterdir())) == 2  # the old one is aside
    assert KeptPorts(str(path)).read() == [Command("add", 1, "p")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(max_size=60), st.integers(0, 200))
def test_whatever_stands_in_the_file_is_read_or_set_aside(tmp_path: Path, data: bytes, at: int) -> None:
    path = tmp_path / "ports.json"
    keep(path, ONE, TWO)
    good = path.read_bytes()
    path.write_bytes(good[:at] + data + good[at + len(data) :])

    async def story() -> None:
        kept = KeptPorts(str(path))
        assert all(command.name == "add" for command in kept.read())
        await kept.close()

    run(story())


def test_a_file_that_cannot_be_written_is_told_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept_file, "DELAY", 0.01)
    monkeypatch.setattr(kept_file, "RETRY", 0.01)
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "ports.json"
    tries = counted(monkeypatch)

    async def story() -> None:
        kept = KeptPorts(str(path))
        kept.add(ONE)
        await until(lambda: len(tries) > 2)
        (tmp_path / "file").unlink()
        await until(path.exists)
        await kept.close()

    run(story())
    assert caplog.text.count("are not kept") == 1
    assert "p\u00fc" not in caplog.text
    assert KeptPorts(str(path)).read() == [ONE]


def test_a_file_that_cannot_be_read_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ports.json"
    os.mkdir(path)
    assert KeptPorts(str(path)).read() == []
    assert path.is_dir()
    assert "cannot be read" in caplog.text


def test_the_next_worker_writes_what_the_last_one_could_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_file, "DELAY", 0.01)
    path = tmp_path / "ports.json"
    known = {8001: {"server_port": 8001, "password": "p", "method": "aes-256-gcm"}}

    async def story() -> None:
        nothing = PassedOn(str(path), {})
        assert nothing.read() == []
        await nothing.close()
        assert not path.exists(), "no ports, no file"
        kept = PassedOn(str(path), known)
        assert kept.read() == [], "all serve it"
        await until(path.exists)
        written = path.stat().st_mtime_ns
        again = PassedOn(str(path), known)
        again.read()
        await again.close()
        assert path.stat().st_mtime_ns == written, "what is there is not written again"
        kept.remove(8001)
        await kept.close()

    run(story())
    assert KeptPorts(str(path)).read() == []


def test_one_without_a_loop_only_reads(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text('{"format": 1, "ports": [{"server_port": 1, "password": "p"}, 5]}')
    assert KeptPorts(str(path)).read() == [Command("add", 1, "p")]
    assert not path.exists(), "it is set aside; a worker writes the next one"
