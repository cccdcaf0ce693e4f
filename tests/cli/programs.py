"""Programs of ours as a person runs them: a process, its two outputs, its exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
LINK = "ss://2022-blake3-aes-256-gcm:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8%3D@192.0.2.7:8388"
METHOD = "2022-blake3-aes-256-gcm"


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a person with an empty home, and of this test's interpreter."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "xterm", **more}


def command(*words: str) -> list[str]:
    """What is executed for `shadesocks WORDS`."""
    return [sys.executable, "-m", "shadesocks", *words]


def run(
    home: Path, *words: str, given: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `shadesocks WORDS` to its end."""
    return subprocess.run(
        command(*words), input=given, capture_output=True, text=True, env=environment(home, **(env or {})), check=False
    )


class Program:
    """A service that runs beside the test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out: list[str] = []
        """Lines of stdout read so far."""
        self.err: list[str] = []
        """Lines of stderr read so far."""

    def until_out(self, words: str) -> str:
        """Read stdout up to the line that holds the words, and return that line."""
        return _until(self.process.stdout, self.out, words)

    def until_err(self, words: str) -> str:
        """Read stderr up to the line that holds the words, and return that line."""
        return _until(self.process.stderr, self.err, words)

    def port(self) -> int:
        """Wait until the log says where it listens, and return the port."""
        return int(self.until_err("listening on").rpartition(":")[2])

    def end(self, signal: int) -> int:
        """Send the signal and return the exit code."""
        self.process.send_signal(signal)
        return self.rest()

    def rest(self) -> int:
        """Read both outputs to their end and return the exit code."""
        out, err = self.process.communicate()
        self.out += out.splitlines()
        self.err += err.splitlines()
        return self.process.returncode


def _until(stream: object, lines: list[str], words: str) -> str:
    for line in stream:  # type: ignore[attr-defined]  # a text stream
        lines.append(line.rstrip("\n"))
        if words in line:
            return lines[-1]
    raise AssertionError(f"no line with {words!r} among {lines}")


@contextmanager
def running(home: Path, *words: str, env: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run `shadesocks WORDS` beside the test."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command(*words), stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment(home, **(env or {}))
    ) as process:
        try:
            yield Program(process)
        finally:
            if process.poll() is None:
                process.kill()


def socks_connect(proxy_port: int, target_port: int) -> socket.socket:
    """Connect to a port of this machine through a SOCKS5 proxy, and expect success."""
    sock = socket.create_connection(("127.0.0.1", proxy_port))
    sock.sendall(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + target_port.to_bytes(2))
    answer = sock.recv(2, socket.MSG_WAITALL) + sock.recv(10, socket.MSG_WAITALL)
    assert answer[:4] == b"\x05\x00\x05\x00"
    return sock
