"""The managers of shadowsocks-libev and shadowsocks-rust beside ours: the same commands, the same answers."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from shadesocks.cli.place import free_port
from tests.peers import CACHE, HOST, PASSWORDS, PEERS, need, need_tool, start

from .streams import dial

LIMIT = 15.0
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
USER = "AQEBAQEBAQEBAQEBAQEBAQ=="


class Asker:
    """Somebody with commands."""

    def __init__(self, port: int) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.connect((HOST, port))

    def ask(self, command: str, limit: float = 0.3) -> bytes | None:
        """Return the answer, None where there is none."""
        self._sock.settimeout(limit)
        try:
            self._sock.send(command.encode())
            return self._sock.recv(70_000)
        except (TimeoutError, ConnectionRefusedError):
            return None

    def close(self) -> None:
        self._sock.close()


@contextlib.contextmanager
def manager(command: list[str], folder: Path, port: int) -> Iterator[Asker]:
    """Run a manager until the block ends."""
    with (folder / f"{Path(command[0]).name}-{port}.log").open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder)
    asker = Asker(port)
    try:
        until = time.monotonic() + LIMIT
        while asker.ask("ping", 0.1) is None:
            assert time.monotonic() < until, "the manager does not answer"
        yield asker
    finally:
        asker.close()
        process.terminate()
        process.wait(LIMIT)


def script(first: int, second: int) -> list[str]:
    """Commands that both answer; nothing in it depends on a server that really starts."""
    add = f'add: {{"server_port": {first}, "password": "correct horse battery staple"'
    return [
        "ping",
        "list",
        "bogus",
        "add: {",
        "add",
        "remove",
        "remove: {}",
        'add: {"password": "x"}',
        f'add: {{"server_port": {first}}}',
        add + "}",
        add + "}",
        add + ', "method": "aes-128-gcm"}',
        "list\n",
        " ping ",
        "list:",
        f'remove: {{"server_port": {second}}}',
        f'remove: {{"server_port": {first}}}',
        "ping",
        "list",
    ]


RUST_ONLY = [
    'add: {{"server_port": "{port}", "password": "x"}}',
    'add: {{"server_port": {port}, "password": "correct horse", "method": "nope"}}',
    'add: {{"server_port": {port}, "password": "correct horse", "mode": "nope"}}',
    'add: {{"server_port": {port}, "password": "xx", "method": "2022-blake3-aes-128-gcm"}}',
    'stat: {{"{port}": 5}}',
    f'add: {{{{"server_port": {{port}}, "password": "{KEY}", "method": "2022-blake3-aes-128-gcm", '
    f'"users": [{{{{"name": "alice", "password": "{USER}"}}}}]}}}}',
    "list",
]


def answers(asker: Asker, commands: list[str]) -> list[bytes | None]:
    return [asker.ask(command) for command in commands]


def test_rusts_manager_and_ours_say_the_same(tmp_path: Path) -> None:
    need("rust")
    first, second, third = free_port(), free_port(), free_port()
    commands = script(first, second) + [command.format(port=third) for command in RUST_ONLY]
    said = []
    for name in ("rust", "ours"):
        port = free_port()
        program = [str(CACHE / "rust" / "bin" / "ssmanager")] if name == "rust" else ours("ssmanager")
        words = ["--manager-addr", f"{HOST}:{port}", "-s", HOST, "-m", "aes-256-gcm"]
        with manager([*program, *words], tmp_path, port) as asker:
            said.append(answers(asker, commands))
    assert said[0].count(b"ok\n") > 3
    assert said[1] == said[0]


def test_libevs_manager_and_ours_say_the_same(tmp_path: Path) -> None:
    path = need_tool("ss-manager")
    first, second = free_port(), free_port()
    said = []
    for name in ("libev", "ours"):
        port = free_port()
        # Its servers are processes that it starts; what it says does not depend on them.
        words = ["--manager-address", f"{HOST}:{port}", "-s", HOST, "-m", "aes-256-gcm", "--executable", "/bin/true"]
        program = [path, "-D", str(tmp_path)] if name == "libev" else ours("ss-manager")
        with manager([*program, *words], tmp_path, port) as asker:
            said.append(answers(asker, script(first, second)))
    assert said[0].count(b"ok") > 3
    assert said[1] == said[0]


def ours(name: str) -> list[str]:
    return [*PEERS["ours"].server[:-1], "as", name]


def test_our_server_tells_libevs_manager_what_passed(tmp_path: Path) -> None:
    path = need_tool("ss-manager")
    port, place = free_port(), free_port()
    method = "aes-256-gcm"
    words = [path, "-D", str(tmp_path), "--manager-address", f"{HOST}:{place}", "-s", "127.0.0.2", "-m", method]
    server = [*ours("ss-server"), "-s", HOST, "-p", str(port), "-k", PASSWORDS[method], "-m", method]
    with (
        manager([*words, "--executable", "/bin/true"], tmp_path, place) as asker,
        socket.create_server((HOST, 0)) as target,
    ):
        assert asker.ask(f'add: {{"server_port": {port}, "password": "x"}}', LIMIT) == b"ok"
        config = tmp_path / "ours.json"
        config.write_text(json.dumps({"forbidden_ip": "192.0.2.1"}))
        local = free_port()
        client = {"server": HOST, "server_port": port, "method": method, "password": PASSWORDS[method]}
        (tmp_path / "local.json").write_text(json.dumps({**client, "local_address": HOST, "local_port": local}))
        command = [*server, "-c", str(config), "--manager-address", f"{HOST}:{place}"]
        with (
            start(command, port, tmp_path, title="ss-server") as program,
            start((*PEERS["ours"].local, "-c", str(tmp_path / "local.json")), local, tmp_path, title="local"),
        ):
            with dial((HOST, local), HOST, target.getsockname()[1]) as sock:
                sock.sendall(b"x" * 1000)
                far, _ = target.accept()
                with far:
                    far.settimeout(LIMIT)
                    size = 0
                    while size < 1000:
                        size += len(far.recv(4096))
            program.stop()  # it says what passed for the last time
        answer = asker.ask("ping", LIMIT)
        assert answer == b'stat: {"%d":1000}' % port


def test_libevs_server_tells_our_manager_what_passed(tmp_path: Path) -> None:
    """ss-manager takes in what its servers say; ours does for a port that is open here."""
    path = need_tool("ss-server")
    port, place = free_port(), free_port()
    words = ["--manager-address", f"{HOST}:{place}", "-s", "127.0.0.2", "-m", "aes-256-gcm"]
    with manager([*ours("ss-manager"), *words], tmp_path, place) as asker:
        assert asker.ask(f'add: {{"server_port": {port}, "password": "correct horse"}}', LIMIT) == b"ok"
        command = [path, "-s", HOST, "-p", str(port), "-k", "x", "-m", "aes-256-gcm"]
        with (
            start([*command, "--manager-address", f"{HOST}:{place}"], port, tmp_path),
            socket.create_connection((HOST, port)) as noise,
        ):
            noise.sendall(bytes(500))  # which it counts
            until = time.monotonic() + LIMIT
            while (answer := asker.ask("ping", LIMIT)) == b'stat: {"%d":0}' % port:
                assert time.monotonic() < until
                time.sleep(0.2)
        assert answer == b'stat: {"%d":500}' % port
