"""The programs that tests talk to: where they are, which version they are, how one is started and ended.

Called by `tests/interop`, `tests/probes`, `tests/e2e` and the benchmarks. A peer is always called by its absolute
path and only after its version was read: our own `ssserver` may stand first on PATH. A program started here is
ended here, by its own process handle, and nothing else is ever signalled.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pytest

Role = Literal["server", "local"]

HOST: Final = "127.0.0.1"
ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = Path(os.environ.get("SHADESOCKS_PEERS") or Path.home() / ".cache" / "shadesocks" / "peers")

START_LIMIT: Final = 30.0
"""Seconds for a program to listen: a cold start takes one, a machine that is busy with others may need many."""
STOP_LIMIT: Final = 5.0
"""Seconds after each signal before the next, harsher one."""
START_TRIES: Final = 5
"""A port found free can be taken before the program binds it; five losses in a row are no accident."""

AEAD: Final = ("aes-128-gcm", "aes-192-gcm", "aes-256-gcm", "chacha20-ietf-poly1305", "xchacha20-ietf-poly1305")
AEAD2022: Final = ("2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305")
SECRET: Final = (*AEAD, *AEAD2022)
"""Methods that authenticate, so all but `none`."""
EVERY: Final = (*SECRET, "none")

LIBEV_STREAM: Final = (
    *(f"aes-{size}-{mode}" for mode in ("cfb", "ctr") for size in (128, 192, 256)),
    *(f"camellia-{size}-cfb" for size in (128, 192, 256)),
    *("bf-cfb", "rc4-md5", "salsa20", "chacha20", "chacha20-ietf"),
)
"""Methods of libev's that authenticate nothing; ours run with `allow_legacy`."""

_KEY16, _KEY32 = "AQIDBAUGBwgJCgsMDQ4PEA==", "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
PASSWORDS: Final = {
    **dict.fromkeys((*EVERY, *LIBEV_STREAM), "correct horse battery staple"),
    "2022-blake3-aes-128-gcm": _KEY16,
    "2022-blake3-aes-256-gcm": _KEY32,
    "2022-blake3-chacha20-poly1305": _KEY32,
}


@dataclass(frozen=True, slots=True)
class Peer:
    """One program that speaks Shadowsocks."""

    name: str
    """A word for test names."""
    title: str
    server: tuple[str, ...]
    """The command of the server, without its options."""
    local: tuple[str, ...]
    version: tuple[str, ...]
    """A command whose output holds the version, whatever its exit status."""
    expect: str
    """What that output must match."""
    methods: tuple[str, ...]
    half_close: bool
    """Whether end of file one way leaves the other way open (libev closes both, protocol §1)."""
    remedy: str
    """What to type when it is missing."""
    pads_always: bool = True
    """Whether a 2022 header without payload always has padding. shadowsocks-rust draws 0..900, so one in 901 is
    illegal and refused by every server, its own included (protocol §7.3)."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Keys of its configuration beside the common ones, for tests on loopback."""


PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer(
            "ours",
            "shadesocks",
            (sys.executable, "-m", "shadesocks", "server"),
            (sys.executable, "-m", "shadesocks", "local"),
            (sys.executable, "-m", "shadesocks", "--version"),
            r"shadesocks",
            EVERY,
            True,
            "make up",
            # No control socket: it opens a moment after the ports, and tests count descriptors.
            settings={"allow_private": True, "control": ""},
        ),
        Peer(
            "libev",
            "shadowsocks-libev",
            ("/usr/bin/ss-server",),
            ("/usr/bin/ss-local",),
            ("/usr/bin/ss-server", "--version"),
            r"shadowsocks-libev 3\.3\.5\b",
            AEAD,
            False,
            "make peers",
            settings={
                "timeout": 3600,
                "mtu": 65535,
            },  # it drops datagrams over twice its mtu, by default some 2,700 bytes
        ),
        Peer(
            "rust",
            "shadowsocks-rust",
            (str(CACHE / "rust" / "bin" / "ssserver"),),
            (str(CACHE / "rust" / "bin" / "sslocal"),),
            (str(CACHE / "rust" / "bin" / "ssserver"), "--version"),
            r"shadowsocks 1\.\d+\.\d+",
            ("aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305", *AEAD2022, "none"),
            True,
            "make peers",
            pads_always=False,
        ),
    )
}


@functools.cache
def missing(name: str) -> str | None:
    """Return why a peer cannot be used here, in one sentence, or None."""
    peer = PEERS[name]
    for command in (peer.server, peer.local):
        if not os.access(command[0], os.X_OK):
            return f"{peer.title} not found: {peer.remedy}"
    shown = subprocess.run(peer.version, capture_output=True, text=True, env=_environment({}), check=False, timeout=30)
    if not re.search(peer.expect, shown.stdout + shown.stderr):
        return f"{peer.title} at {peer.server[0]} is not the version these tests know (/{peer.expect}/): {peer.remedy}"
    return None


def need(name: str) -> Peer:
    """Return the peer, or skip the test by name; with SHADESOCKS_REQUIRE_PEERS=1 a missing one fails."""
    if reason := missing(name):
        if os.environ.get("SHADESOCKS_REQUIRE_PEERS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return PEERS[name]


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> bool:
    """True under `--whole`: the long tables entire, where `make test` runs a sample of each."""
    return bool(request.config.getoption("--whole", default=False))


def need_tool(name: str) -> str:
    """Return the path of a tool of the system, or skip as `need` does."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")  # where daemons are
    if path is None:
        reason = f"{name} not found: make peers, or install it with the system's packages"
        if os.environ.get("SHADESOCKS_REQUIRE_PEERS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return path


def need_curl() -> str:
    """Return the path of curl, or skip as `need` does."""
    return need_tool("curl")


def free_port(host: str = HOST) -> int:
    """Return a port nobody had a moment ago, of TCP nor UDP. Whoever binds it must be ready to lose the race."""
    for _ in range(START_TRIES):
        with socket.socket() as probe, socket.socket(type=socket.SOCK_DGRAM) as other:
            probe.bind((host, 0))
            port: int = probe.getsockname()[1]
            with contextlib.suppress(OSError):
                other.bind((host, port))
                break
    return port


RESERVED: Final = range(600, 1024)
"""Ports that only root may have, and hardly any service does."""


def reserved_port() -> int:
    """Return one of them that nobody has, of TCP nor UDP; skip the test where there is none."""
    for port in RESERVED:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as packets, contextlib.suppress(OSError):
            stream.bind((HOST, port))
            packets.bind((HOST, port))
            return port
    pytest.skip("no port below 1024 is free")


class StartError(Exception):
    """A program ended, or stayed deaf, where it should have listened; the text holds its log."""


class Program:
    """One running process: its port, its log, its appetite."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.name = name
        self.process = process
        self.port = port
        self.address = (HOST, port)
        self._log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss(self) -> int:
        """Resident bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Seconds of processor used so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, limit: float = START_LIMIT) -> int:
        """Wait for the end; returns the exit status."""
        return self.process.wait(limit)

    def stop(self) -> int:
        """End the process: asked twice politely (the second asks ours to stop draining), then not."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if not self.alive:
                break
            self.signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(STOP_LIMIT if number is signal.SIGTERM else START_LIMIT)
        return self.process.wait(START_LIMIT)


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child: our sources importable, nothing of ours in the user's own state directory."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONASYNCIODEBUG", "PYTHONWARNINGS"}}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", **extra}


def ports_of(pid: int, kind: Literal["tcp", "udp"]) -> set[int]:
    """The ports of that very process: those it listens on by TCP, those of its UDP sockets. Nothing is sent to ask."""
    found = {}
    states = ("0A",) if kind == "tcp" else ("07", "01")  # listening; not connected, connected
    for name in (kind, kind + "6"):
        with contextlib.suppress(OSError), Path(f"/proc/{pid}/net/{name}").open() as lines:
            next(lines)
            for line in lines:
                fields = line.split()
                if fields[3] in states:
                    found[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
                elif kind == "tcp":
                    break  # listeners come first; behind them, tens of thousands may linger
    held = set()
    folder = Path(f"/proc/{pid}/fd")
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                held.add(os.readlink(folder / name))
    return {port for inode, port in found.items() if inode in held}


def listens(pid: int, port: int) -> bool:
    """True when that very process holds a listening TCP socket on the port: no connection is spent on asking."""
    return port in ports_of(pid, "tcp")


def _family_of(pid: int) -> list[int]:
    """Return the children of a process, and theirs: a plugin is a child of its launcher."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            found += (child, *_family_of(child))
    return found


def _accepts(port: int) -> bool:
    """The same question where there is no /proc: does anybody answer?"""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


def _await_listening(program: Program, udp: bool) -> None:
    known = Path(f"/proc/{program.pid}/net/tcp").exists()
    give_up_at = time.monotonic() + START_LIMIT
    while time.monotonic() < give_up_at:
        if not program.alive:
            raise StartError(f"{program.name} ended with status {program.process.returncode}:\n{program.log()[-4000:]}")
        pids = (program.pid, *_family_of(program.pid))  # behind a plugin it is the plugin that listens
        there = any(listens(pid, program.port) for pid in pids) if known else _accepts(program.port)
        if there and (not (udp and known) or any(program.port in ports_of(pid, "udp") for pid in pids)):
            return
        time.sleep(0.01)
    raise StartError(
        f"{program.name} did not listen on port {program.port} in {START_LIMIT} s:\n{program.log()[-4000:]}"
    )


@contextlib.contextmanager
def start(
    command: Sequence[str], port: int, folder: Path, *, nofile: int | None = None, title: str = "", udp: bool = False
) -> Iterator[Program]:
    """Run a command until the block ends; enters it once the process listens on the port (of UDP too if asked)."""
    title = title or Path(command[0]).name
    log = folder / f"{title}-{port}.log"
    env = _environment({"STATE_DIRECTORY": str(folder), "XDG_STATE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)})
    if nofile is not None:
        command = ("/bin/sh", "-c", f'ulimit -n {nofile}; exec "$@"', "sh", *command)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=folder
        )
    program = Program(title, process, port, log)
    try:
        _await_listening(program, udp)
        yield program
    finally:
        program.stop()


def settings_for(peer: Peer, role: Role, method: str, server_port: int, local_port: int) -> dict[str, Any]:
    """The configuration both ends of every peer understand: shadowsocks-rust's JSON, single form."""
    settings: dict[str, Any] = {
        "server": HOST,
        "server_port": server_port,
        "method": method,
        "password": PASSWORDS[method],
        "no_delay": True,
        **peer.settings,
    }
    if role == "local":
        settings |= {"local_address": HOST, "local_port": local_port}
    return settings


@contextlib.contextmanager
def run(
    name: str,
    role: Role,
    method: str,
    folder: Path,
    *,
    server_port: int = 0,
    port: int = 0,
    nofile: int | None = None,
    settings: Mapping[str, object] | None = None,
) -> Iterator[Program]:
    """Start a peer in a role on a free port of loopback, and end it with the block.

    `server_port` is where a local finds its server; `port` insists on a listening port; `settings` go into the
    configuration as they are; with the mode `tcp_and_udp` among them the block is entered once UDP is there too.
    A program of ours that wrote a traceback fails the test when the block ends.
    """
    peer = need(name)
    wants = settings or {}
    with contextlib.ExitStack() as stack:
        for attempt in range(START_TRIES):
            chosen = port or free_port()
            ports = (chosen, 0) if role == "server" else (server_port, chosen)
            config = folder / f"{name}-{role}-{chosen}.json"
            config.write_text(json.dumps(settings_for(peer, role, method, *ports) | dict(wants)))
            command = (*(peer.server if role == "server" else peer.local), "-c", str(config))
            try:
                program = stack.enter_context(
                    start(
                        command,
                        chosen,
                        folder,
                        nofile=nofile,
                        title=f"{name}-{role}-{method}",
                        udp=wants.get("mode") == "tcp_and_udp" and not wants.get("udp_socket_per_association"),
                    )
                )
                break
            except StartError as error:
                if attempt + 1 == START_TRIES or not re.search("(?i)in use", str(error)):
                    raise
        yield program
        stack.close()
        if name == "ours":
            assert "Traceback (most recent call last)" not in program.log(), program.log()[-8000:]


@dataclass(frozen=True, slots=True)
class Pair:
    """A server and a local that talk to each other."""

    server: Program
    local: Program
    half_close: bool
    pads_always: bool


@contextlib.contextmanager
def run_pair(
    server: str, local: str, method: str, folder: Path, *, settings: Mapping[str, object] | None = None
) -> Iterator[Pair]:
    """Start a server of one program and a local of another (or the same) for it; `settings` are for both."""
    with (
        run(server, "server", method, folder, settings=settings) as far,
        run(local, "local", method, folder, server_port=far.port, settings=settings) as near,
    ):
        yield Pair(far, near, PEERS[server].half_close and PEERS[local].half_close, PEERS[local].pads_always)
