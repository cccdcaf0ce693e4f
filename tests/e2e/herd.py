"""A server of several processes, and clients that speak to it without a client of ours between: streams and datagrams.

Called by `tests/e2e/test_workers.py` and `test_upgrade.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from shadesocks.cli.place import free_port
from shadesocks.crypto.keys import parse_keys
from shadesocks.crypto.methods import METHODS
from shadesocks.wire.editions import make_packets
from tests.interop.streams import HOST, pack_address
from tests.peers import PASSWORDS, PEERS, ROOT, Program, start
from tests.probes.craft import Sealer, salt_size

METHOD: Final = "aes-256-gcm"
LIMIT: Final = 20.0
_ROOM: Final = 2048


def lasting_port() -> int:
    """Return a free port that no outgoing connection has as its own, so that it is still free when it was given up."""
    return free_port()


def write(path: Path, port: int, **settings: Any) -> Path:
    """Write the config of a server."""
    keys = {"server": HOST, "server_port": port, "method": METHOD, "password": PASSWORDS[METHOD]}
    path.write_text(json.dumps({**keys, "allow_private": True, "mode": "tcp_and_udp", **settings}))
    return path


@contextlib.contextmanager
def serve(folder: Path, port: int, **settings: Any) -> Iterator[Program]:
    """Run a server until the block ends; it may have ended by itself."""
    config = write(folder / f"{port}.json", port, **settings)
    with start((*PEERS["ours"].server, "-c", str(config)), port, folder) as program:
        yield program


def workers_of(program: Program) -> list[int]:
    """The processes of a master."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text()
        return [int(word) for word in text.split()]
    return []


def serving(program: Program) -> int:
    """How often a worker has said that it serves."""
    return program.log().count(" serves; its process is ")


def is_there(pid: int) -> bool:
    """True while a process runs; a zombie does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def sockets_of(pid: int) -> int:
    """How many sockets a process has."""
    count = 0
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                count += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
    return count


class Stream:
    """A connection through a server to a target that echoes."""

    def __init__(self, port: int, target: int, method: str = METHOD) -> None:
        self.sock = socket.create_connection((HOST, port), LIMIT)
        salt = os.urandom(salt_size(method))
        self._sealer = Sealer(method, PASSWORDS[method], salt)
        self.hello = salt + self._sealer.chunk(pack_address(HOST, target) + b"hello")
        try:
            self.sock.sendall(self.hello)
        except OSError:
            self.sock.close()
            raise

    def answered(self) -> bool:
        """True once something came back; raises what the connection raises."""
        return bool(self.sock.recv(4096))

    def lives(self) -> bool:
        """True when more is answered, too."""
        self.sock.sendall(self._sealer.chunk(b"more"))
        return self.answered()

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def trip(port: int, target: int) -> bool:
    """Say whether a connection through a server has an answer."""
    with Stream(port, target) as stream:
        return stream.answered()


class PacketEcho:
    """A target that sends every datagram back, and keeps those that came."""

    def __init__(self) -> None:
        self._sock = socket.socket(type=socket.SOCK_DGRAM)
        self._sock.bind((HOST, 0))
        self.port: int = self._sock.getsockname()[1]
        self.came: list[bytes] = []
        self.senders: set[tuple[str, int]] = set()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            data, sender = self._sock.recvfrom(65536)
            if data == b"end" and sender == self._sock.getsockname():
                return
            self.came.append(data)
            self.senders.add(sender)
            self._sock.sendto(data, sender)

    def __enter__(self) -> PacketEcho:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.sendto(b"end", ("127.0.0.1", self.port))
        self._thread.join(LIMIT)
        self._sock.close()


class Packets:
    """A client's datagrams, from one address."""

    def __init__(self, port: int, target: int, method: str = METHOD) -> None:
        keys = parse_keys(METHODS[method], PASSWORDS[method])
        self._talk = make_packets(METHODS[method], keys, os.urandom, lambda _salt: True).join()
        self._target = pack_address(HOST, target)
        self.sock = socket.socket(type=socket.SOCK_DGRAM)
        self.sock.connect((HOST, port))
        self.sock.settimeout(LIMIT)

    def sealed(self, payload: bytes) -> bytes:
        """Return a datagram for the server."""
        message = bytearray(_ROOM) + self._target + payload
        out = bytearray(_ROOM + len(message) + _ROOM)
        span = (_ROOM, _ROOM + len(self._target), len(message))
        return bytes(out[: self._talk.seal(memoryview(message), span, memoryview(out), 0, int(time.time()))])

    def send(self, payload: bytes) -> None:
        self.sock.send(self.sealed(payload))

    def receive(self) -> bytes:
        data = self.sock.recv(65536)
        out = bytearray(len(data) + _ROOM)
        span = self._talk.open(memoryview(data), memoryview(out), 0, int(time.time()))
        return bytes(out[span[1] : span[2]])

    def trip(self, payload: bytes, tries: int = 5) -> bool:
        """Say whether a datagram came back; one may be lost, as anywhere."""
        self.sock.settimeout(LIMIT / 10)
        for _ in range(tries):
            self.send(payload)
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                if self.receive() == payload:
                    return True
        return False

    def __enter__(self) -> Packets:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def kill(pid: int) -> None:
    """End a process that this test started, by way of its master."""
    os.kill(pid, signal.SIGKILL)


class Visitors:
    """Short connections, one after the other from each of a few threads, and what became of them."""

    def __init__(
        self,
        port: int,
        target: int,
        threads: int = 3,
        visit: Callable[[int, int], object] = trip,
        pause: float = 0.005,
    ) -> None:
        """Begin; `visit` returns something true for who was served, and else nothing, or it raises."""
        self.served = 0
        self.lost: list[str] = []
        self._port, self._target, self._pause = port, target, pause
        self._ask = visit
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(threads)]

    def _visit(self) -> None:
        while not self._over.is_set():
            try:
                if self._ask(self._port, self._target):
                    self.served += 1
                else:
                    self.lost.append("ended without an answer")
            except (OSError, EOFError, AssertionError) as error:
                self.lost.append(repr(error))
            self._over.wait(self._pause)

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def serve_on(folder: Path, sockets: Sequence[socket.socket], **settings: Any) -> Iterator[Program]:
    """Run a server on sockets of this test's, as systemd would; it need not listen yet when the block begins."""
    port: int = sockets[0].getsockname()[1]
    config = write(folder / "activated.json", port, state_dir=str(folder), **settings)
    numbers = [sock.fileno() for sock in sockets]
    given = " ".join(f"{place}<&{number}" for place, number in enumerate(numbers, 3))
    script = (
        f"exec {given}; LISTEN_PID=$$ LISTEN_FDS={len(numbers)} exec {shlex.join(PEERS['ours'].server)} -c {config}"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    log = folder / "activated.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ("bash", "-c", script), pass_fds=numbers, stdout=out, stderr=out, env=env, stdin=subprocess.DEVNULL
        )
    program = Program("ours", process, port, log)
    try:
        yield program
    finally:
        program.stop()
