"""The hosts file: what its lines mean, and when it is read again."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from socket import AF_INET, AF_INET6

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.address import pack_ip
from shadesocks.net import hosts as module
from shadesocks.net.hosts import LOOK_EVERY, Hosts, hosts_path, parse_hosts


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_where_the_file_lies() -> None:
    assert hosts_path("linux", {}) == hosts_path("darwin", {}) == "/etc/hosts"
    assert hosts_path("win32", {"SystemRoot": r"D:\Win"}) == r"D:\Win\System32\drivers\etc\hosts"
    assert hosts_path("win32", {}) == r"C:\Windows\System32\drivers\etc\hosts"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", {}),
        ("192.0.2.1 a", {"a": ((AF_INET, "192.0.2.1"),)}),
        ("\ufeff192.0.2.1\ta.test  B.Test.\t c \r\n", dict.fromkeys(["a.test", "b.test", "c"], ((2, "192.0.2.1"),))),
        (
            "# all\n192.0.2.1 a # b c\n  #192.0.2.2 d\n192.0.2.3 e#f",
            {"a": ((2, "192.0.2.1"),), "e": ((2, "192.0.2.3"),)},
        ),
        ("192.0.2.1 a #\u2028 192.0.2.2 b", {"a": ((2, "192.0.2.1"),)}),
        ("192.0.2.1 a\r192.0.2.2 b", {"a": ((2, "192.0.2.1"),), "b": ((2, "192.0.2.2"),)}),
        # the first line of each family wins, and the lines tell which comes first
        ("::1 a\n192.0.2.1 a\n::2 A.\n192.0.2.2 a", {"a": ((AF_INET6, "::1"), (AF_INET, "192.0.2.1"))}),
        ("127.0.0.1 localhost\n::1 localhost", {"localhost": ((AF_INET, "127.0.0.1"), (AF_INET6, "::1"))}),
        # no lines of a hosts file
        ("192.0.2.1\n192.0.2.1 .\nname other\n1.2.3 a\n0x7f.1 a\n192.0.2.1:80 a\n[::1] a\n192.0.2.256 a", {}),
        # zones
        ("fe80::1%lo0 a\nFEBF::1%2 b", {"a": ((AF_INET6, "fe80::1%lo0"),), "b": ((AF_INET6, "FEBF::1%2"),)}),
        ("fe80::1% a\n::1%lo0 a\n192.0.2.1%lo0 a\n%lo0 a", {}),
    ],
)
def test_lines(text: str, names: dict[str, object]) -> None:
    assert parse_hosts(text) == names


@given(st.text(alphabet=st.sampled_from("1.:f%# \t\r\nab\x00\u2028\ufeff") | st.characters()))
def test_any_text_is_a_hosts_file(text: str) -> None:
    for name, found in parse_hosts(text).items():
        assert name == name.lower() != ""
        assert 1 <= len(found) == len(dict(found)) <= 2
        for family, address in found:
            packed = pack_ip(address.partition("%")[0])
            assert packed is not None
            assert family == (AF_INET if len(packed) == 4 else AF_INET6)


def test_names_are_found_however_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("192.0.2.1 a.test\n")
    hosts = Hosts(str(path))
    for name in ("a.test", "A.Test.", "A.TEST"):
        assert hosts.find(name) == ((AF_INET, "192.0.2.1"),)
    for name in ("", ".", "a.test..", "b.test", "a"):
        assert hosts.find(name) is None


def test_the_machines_own_file_is_the_usual_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("192.0.2.1 a")
    monkeypatch.setattr(module, "hosts_path", lambda: str(path))
    assert Hosts().find("a") == ((AF_INET, "192.0.2.1"),)


def test_a_changed_file_is_read_again_but_not_at_once(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "hosts"
    path.write_text("192.0.2.1 a")
    hosts = Hosts(str(path), clock=clock)
    assert hosts.find("a") == ((AF_INET, "192.0.2.1"),)
    path.write_text("192.0.2.22 a")
    clock.now += LOOK_EVERY - 0.1
    assert hosts.find("a") == ((AF_INET, "192.0.2.1"),)
    clock.now += 0.1
    assert hosts.find("a") == ((AF_INET, "192.0.2.22"),)


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    clock, path, other = Clock(), tmp_path / "hosts", tmp_path / "other"
    path.write_text("192.0.2.1 a")
    other.write_text("192.0.2.2 a")
    hosts = Hosts(str(path), clock=clock)
    assert hosts.find("a") == ((AF_INET, "192.0.2.1"),)
    there = path.stat()
    os.utime(other, ns=(there.st_atime_ns, there.st_mtime_ns))
    other.replace(path)
    clock.now += LOOK_EVERY
    assert hosts.find("a") == ((AF_INET, "192.0.2.2"),)


def test_a_file_that_did_not_change_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, path = Clock(), tmp_path / "hosts"
    path.write_text("192.0.2.1 a")
    hosts = Hosts(str(path), clock=clock)
    hosts.find("a")
    monkeypatch.setattr(module, "parse_hosts", None)
    clock.now += LOOK_EVERY
    assert hosts.find("a") == ((AF_INET, "192.0.2.1"),)


def test_a_file_may_go_and_come(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "hosts"
    hosts = Hosts(str(path), clock=clock)
    assert hosts.find("a") is None
    for _ in range(2):
        path.write_text("192.0.2.1 a")
        clock.now += LOOK_EVERY
        assert hosts.find("a") == ((AF_INET, "192.0.2.1"),)
        path.unlink()
        clock.now += LOOK_EVERY
        assert hosts.find("a") is None


def test_what_cannot_be_read_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Hosts(str(tmp_path)).find("a") is None
    assert Hosts("a\x00b").find("a") is None
    path = tmp_path / "hosts"
    path.write_bytes(b"192.0.2.1 \xff\xfe a \x00\n192.0.2.2 b")
    assert Hosts(str(path)).find("b") == ((AF_INET, "192.0.2.2"),)

    clock = Clock()
    hosts = Hosts(str(path), clock=clock)

    def refuse(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refuse)
        assert hosts.find("b") is None
    clock.now += LOOK_EVERY
    assert hosts.find("b") == ((AF_INET, "192.0.2.2"),)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hosts")
    assert Hosts(str(tmp_path / "hosts")).find("a") is None


def test_a_file_that_is_too_long_is_refused_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SIZE_MOST", 100)
    clock, path = Clock(), tmp_path / "hosts"
    hosts = Hosts(str(path), clock=clock)
    with caplog.at_level(logging.WARNING):
        for size in (101, 102, 103):
            path.write_bytes(b"192.0.2.1 a\n".ljust(size, b"#"))
            clock.now += LOOK_EVERY
            assert hosts.find("a") is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is over 0 MiB and is not used: no hosts file is so long"
    ]
    path.write_bytes(b"192.0.2.1 a\n".ljust(100, b"#"))
    clock.now += LOOK_EVERY
    assert hosts.find("a") is not None
