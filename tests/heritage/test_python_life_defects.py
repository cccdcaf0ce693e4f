"""P15 to P29: what the Python version did wrong over time, on other machines, with its files, its log, its attackers.
Each test is named by the id in docs/heritage.md; its first line says what happened then.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.service import journal as journal_file
from shadesocks.service.service import Service
from tests.cli import programs
from tests.cli.family.conftest import Start
from tests.e2e.crowd import back_to, eventually
from tests.e2e.crowd import echo as crowd_echo
from tests.e2e.herd import PacketEcho, Packets, kill, workers_of
from tests.e2e.herd import serving as workers_serving
from tests.peers import HOST, PASSWORDS, ROOT, free_port, listens
from tests.peers import run as run_peer
from tests.probes.craft import Crafter
from tests.service.rig import echo, pair, run, server_config, socks, started, target, until
from tests.service.test_service_udp import ask, relay_of, udp_pair
from tests.service.test_service_udp import echo as udp_echo

from .rig import (
    AEAD,
    BOTH,
    config_of,
    connected,
    crafter,
    left,
    received,
    rest_of,
    serving,
    turns,
    udp_client,
    udp_crafter,
    where,
    wrapped,
)
from .stream_craft import StreamClient, stream_config

SOURCE: Final = ROOT / "src" / "shadesocks"
GOOD: Final = "Xei9-ohM7*quah4Aiqu"


# P15: memory

KEPT: Final = 20
"""Objects of one class by which a service may grow meanwhile: what happens to be under way."""


def ours() -> Counter[str]:
    """Count the live objects of our own classes."""
    kinds = map(type, gc.get_objects())  # the module of a class may be a descriptor, as SQLAlchemy has some
    return Counter(kind.__name__ for kind in kinds if str(kind.__module__).startswith("shadesocks"))


def grown(before: Counter[str]) -> dict[str, int]:
    """Say of which classes there are more than before."""
    return {name: count - before[name] for name, count in ours().items() if count - before[name] > KEPT}


async def all_gone(before: Counter[str]) -> None:
    """Wait until there is no more of any class than before: lines for the log, and deadlines, go within a second."""
    await until(lambda: not grown(before))


@contextmanager
def no_collector() -> Iterator[None]:
    """Let nothing be found by the cyclic collector: what is in a cycle stays."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_p15_connections_leave_no_object_behind() -> None:
    """Old: cipher objects stood in reference cycles, some for ever."""

    async def once(near: Service, to: Address) -> None:
        reader, writer, _ = await socks(near, to)
        writer.write(b"hello")
        writer.write_eof()
        assert await reader.read(-1) == b"hello"
        await left(writer)

    async def story() -> None:
        async with target(echo) as to, pair(Config(), server_config(AEAD)) as (far, near):
            for _ in range(150):  # by then as many cipher contexts live as ever will (crypto/aead.py)
                await once(near, to)
            with no_collector():
                before = ours()
                for _ in range(200):
                    await once(near, to)
                await until(lambda: not far.totals[0] and not near.totals[0])
                await turns()
                await all_gone(before)

    run(story())


def test_p15_datagrams_leave_no_object_behind() -> None:
    """Old: one cipher in a cycle for each datagram; a video over UDP took 70 MB in a quarter of an hour."""

    async def story() -> None:
        config = Config(udp_max_associations=50)
        async with udp_echo() as to, udp_pair(config, server_config(AEAD)) as (_, near):
            writer, reply = await ask(near)

            async def some(clients: int, each: int) -> None:
                for _ in range(clients):
                    with udp_client() as sock:
                        for _ in range(each):
                            sock.sendto(wrapped(to, b"x"), relay_of(reply))
                            await received(sock)

            await some(60, 2)
            with no_collector():
                before = ours()
                await some(200, 10)
                await all_gone(before)
            await left(writer)

    run(story())


def test_p15_failures_leave_no_object_behind() -> None:
    """Old: the cipher of a connection that failed was lost, and its OpenSSL context with it."""

    async def story() -> None:
        entry = replace(server_config(AEAD), handshake_timeout=0.05)
        async with serving(entry) as far:

            async def fail() -> None:
                reader, writer = await connected(far)
                writer.write(bytes(100))
                assert await rest_of(reader) == b""
                await left(writer)

            await asyncio.gather(*(fail() for _ in range(20)))
            with no_collector():
                before = ours()
                for _ in range(5):
                    await asyncio.gather(*(fail() for _ in range(50)))
                await turns()
                await all_gone(before)

    run(story())


def test_p15_memory_and_descriptors_come_back(tmp_path: Path) -> None:
    """Old: 1.3 % of the memory became 89 % in twenty days."""
    with run_peer("ours", "server", AEAD, tmp_path) as server, crowd_echo() as far:
        made = crafter_of(AEAD)

        def visit(count: int) -> None:
            for _ in range(count):
                with socket.create_connection(server.address) as sock:
                    sock.sendall(made.good(Address(HOST, far.port).pack(), b"x"))
                    assert sock.recv(1)

        visit(300)
        eventually(lambda: far.held() == 0, "the targets' connections ended")
        descriptors, rss = server.descriptors(), server.rss()
        visit(2000)
        back_to(server, descriptors)
        assert server.rss() - rss < 2 << 20


def crafter_of(method: str) -> Crafter:
    return Crafter(method, PASSWORDS[method])


# P16, P17: libraries and Pythons

SEAL: Final = """
import sys
from shadesocks.crypto.keys import make_key_text, parse_keys
from shadesocks.crypto.methods import find_method
from shadesocks.wire.editions import make_shadow
from shadesocks.core.address import Address
import os
for name in sys.argv[1:]:
    method = find_method(name)
    shadow = make_shadow(method, parse_keys(method, make_key_text(method, os.urandom)))
    seals, _ = shadow.open_stream(Address("192.0.2.1", 80), lambda: 0, os.urandom)
    seals.seal(memoryview(b"x"), 1, memoryview(bytearray(4096)))
print(*sorted(name for name in sys.modules if "ctypes" in name))
"""


def test_p16_no_cipher_is_called_through_ctypes() -> None:
    """Old: OpenSSL and libsodium were searched for and called through ctypes, and broke with every new version."""
    methods = ["aes-256-gcm", "chacha20-ietf-poly1305", "2022-blake3-aes-256-gcm", "aes-256-cfb", "rc4-md5", "table"]
    done = subprocess.run([sys.executable, "-c", SEAL, *methods], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    for file in (SOURCE / "crypto").glob("*.py"):
        assert "ctypes" not in file.read_text(encoding="utf-8")


COMPILE: Final = "import sys\nfor name in sys.argv[1:]: compile(open(name, encoding='utf-8').read(), name, 'exec')"
IMPORT: Final = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"


def test_p17_every_file_is_good_for_every_python_here() -> None:
    """Old: a name that Python 3.10 took away ended the program; `is` with literals only worked by chance."""
    files = sorted(str(path) for path in SOURCE.rglob("*.py"))
    for python in [sys.executable, *filter(None, (shutil.which(f"python3.{minor}") for minor in range(11, 16)))]:
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:  # no mere shim
            subprocess.run([python, "-W", "error", "-c", COMPILE, *files], check=True)
    names = [
        ".".join(("shadesocks", *path.relative_to(SOURCE).with_suffix("").parts))
        for path in SOURCE.rglob("*.py")
        if not path.stem.startswith("__") and (path.parent.name, path.stem) != ("migrations", "env")  # alembic's alone
    ]
    subprocess.run([sys.executable, "-W", "error", "-c", IMPORT, *names], check=True)


# P18, P19: configurations


def check(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Let `shadesocks check` say what it thinks of a text."""
    (folder / "config.json").write_text(text, encoding="utf-8")
    return programs.run(folder, "check", str(folder / "config.json"))


def test_p18_a_fault_is_named_with_its_line_and_column(tmp_path: Path) -> None:
    """Old: bad JSON was a crash within its own error message."""
    said = check(tmp_path, '{\n  "server": "192.0.2.1"\n  "server_port": 8388\n}\n')
    assert said.returncode == 78
    assert re.search(r"config\.json:2: a comma is missing .*\(column 24\)", said.stderr)
    assert "Traceback" not in said.stderr


def test_p18_a_number_as_password_is_told(tmp_path: Path) -> None:
    """Old: a password without quotes was a crash."""
    text = '{"server": "192.0.2.1", "server_port": 8388, "method": "aes-128-gcm",\n "password": 12345678}'
    said = check(tmp_path, text)
    assert said.returncode in (0, 78)
    assert "password" in said.stderr
    assert ":2:" in said.stderr
    assert "Traceback" not in said.stderr


def test_p18_full_width_punctuation_is_explained(tmp_path: Path) -> None:
    """Old: commas and quotes of a Chinese keyboard gave an error that nobody understood."""
    said = check(tmp_path, '{"server": "192.0.2.1"\uff0c "server_port": 8388}')
    assert said.returncode == 78
    assert "\uff0c only looks like" in said.stderr
    assert "Traceback" not in said.stderr


def test_p19_a_server_listens_on_several_addresses() -> None:
    """Old: a server could not listen on a list."""

    async def story() -> None:
        entries = tuple(replace(server_config(AEAD), address=Address(host, 0)) for host in (HOST, "127.0.0.2"))
        async with target(echo) as to, started(Service.server(Config(servers=entries, allow_private=True))) as far:
            assert [address.host for address in far.addresses] == [HOST, "127.0.0.2"]
            for address in far.addresses:
                reader, writer = await asyncio.open_connection(address.host, address.port)
                writer.write(crafter().good(to.pack(), b"x"))
                assert await reader.read(1)
                await left(writer)

    run(story())


def test_p19_a_list_in_an_old_file_is_a_list(start: Start, tmp_path: Path) -> None:
    """Old: only a client's `server` could be a list."""
    file = {"server": [HOST, "::1"], "server_port": [8388, "8389"], "password": GOOD, "method": AEAD}
    (tmp_path / "old.json").write_text(json.dumps(file))
    started_ = start("ssserver", f"-c {tmp_path / 'old.json'}")
    assert started_.config is not None
    places = [(server.address.host, server.address.port) for server in started_.config.servers]
    assert sorted(places) == [(HOST, 8388), (HOST, 8389), ("::1", 8388), ("::1", 8389)]


def test_p19_one_listener_takes_both_families() -> None:
    """Old: no clean way to listen with IPv4 and IPv6."""

    async def story() -> None:
        entry = replace(server_config(AEAD), address=Address("::", 0))
        async with target(echo) as to, udp_echo() as packets, serving(entry) as far:
            for host in (HOST, "::1"):
                reader, writer = await asyncio.open_connection(host, far.addresses[0].port)
                writer.write(crafter().good(to.pack(), b"x"))
                assert await reader.read(1)
                await left(writer)
                made = udp_crafter()
                with udp_client(host) as sock:
                    sock.sendto(made.request(packets.pack(), b"x", bytes(8), 1), (host, far.addresses[0].port))
                    assert made.open(await received(sock), 1).payload == b"x"

    run(story())


# P20 to P22: starts and ends


def server_words(port: int) -> list[str]:
    return ["server", "-s", f"{HOST}:{port}", "-m", AEAD, "-k", GOOD]


def test_p20_nothing_must_be_writable(tmp_path: Path) -> None:
    """Old: the default pid file wanted root, and was a traceback for others."""
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    port = free_port()
    words = server_words(port)
    with programs.running(nowhere / "home", *words, env={"STATE_DIRECTORY": str(nowhere / "state")}) as program:
        program.until_err("listening on")
        socket.create_connection((HOST, port)).close()
        assert program.end(signal.SIGTERM) == 0
        assert "Traceback" not in "\n".join(program.err)
    assert not (tmp_path / "shadowsocks.pid").exists()


@pytest.mark.parametrize("more", [[], ["-d", "start"]], ids=["foreground", "daemon"])
def test_p20_a_pid_file_that_cannot_be_written_is_no_traceback(more: list[str], tmp_path: Path) -> None:
    """Old: without root the default pid file was a traceback."""
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    port = free_port()
    files = ["--pid-file", str(nowhere / "x.pid"), "--log-file", str(nowhere / "x.log")]
    words = ["as", "ssserver", "-s", HOST, "-p", str(port), "-m", AEAD, "-k", GOOD, *files, *more]
    with programs.running(tmp_path, *words) as program:
        process = program.process
        eventually(lambda: process.poll() is not None or listens(process.pid, port), "it serves, or says why not")
        ended = process.poll()
        assert ended in (None, 1)
        assert program.end(signal.SIGTERM) == 0 if ended is None else program.rest()
        assert "Traceback" not in "\n".join(program.err)
        assert program.err


def test_p23_workers_are_replaced_and_keep_their_clients(tmp_path: Path) -> None:
    """Old: workers were not replaced when they died, and datagrams of one client came to any of them."""
    settings = {"workers": 2, "mode": "tcp_and_udp"}
    with run_peer("ours", "server", AEAD, tmp_path, settings=settings) as server, PacketEcho() as target:
        eventually(lambda: workers_serving(server) == 2, "both serve")
        with ExitStack() as stack:
            clients = [stack.enter_context(Packets(server.port, target.port, AEAD)) for _ in range(8)]
            for _ in range(3):
                for number, client in enumerate(clients):
                    assert client.trip(b"%d" % number)
            assert len(target.senders) == len(clients), "each has one session, so one worker, all the time"
            kill(workers_of(server)[0])
            eventually(lambda: workers_serving(server) == 3, "another one serves")
            assert all(client.trip(b"again") for client in clients)


def test_p21_a_new_process_may_begin_while_the_old_one_finishes(tmp_path: Path) -> None:
    """Old: a graceful end was SIGQUIT, which some systems do not have or use otherwise."""
    settings = {"drain_timeout": 60}
    made = crafter_of(AEAD)
    with ExitStack() as stack:
        far = stack.enter_context(crowd_echo())
        old = stack.enter_context(run_peer("ours", "server", AEAD, tmp_path, settings=settings))
        live = stack.enter_context(socket.create_connection(old.address))
        good = made.good(Address(HOST, far.port).pack(), b"x")
        live.sendall(good)
        assert live.recv(1)
        old.signal(signal.SIGTERM)
        eventually(lambda: "drain" in old.log() or not listens(old.pid, old.port), "the listener is closed")
        folder = tmp_path / "new"
        folder.mkdir()
        new = stack.enter_context(run_peer("ours", "server", AEAD, folder, port=old.port))
        with socket.create_connection(new.address) as sock:
            sock.sendall(made.good(Address(HOST, far.port).pack(), b"x"))
            assert sock.recv(1)
        assert old.alive
        live.close()
        assert old.wait() == 0


def test_p22_a_drain_of_several_ports_waits_for_all() -> None:
    """Old: the first idle port stopped the loop and cut the others; a live UDP association was a crash."""

    async def story() -> None:
        entries = tuple(replace(server_config(AEAD), mode=BOTH) for _ in range(3))
        far = Service.server(Config(servers=entries, allow_private=True))
        async with target(echo) as to, udp_echo() as packets, started(far):
            last = far.addresses[-1]
            reader, writer = await asyncio.open_connection(last.host, last.port)
            writer.write(crafter().good(to.pack(), b"x"))
            assert await reader.read(1)
            with udp_client() as sock:
                sock.sendto(udp_crafter().request(packets.pack(), b"x", bytes(8), 1), where(far))
                await received(sock)
                draining = asyncio.get_running_loop().create_task(far.drain(60))
                await until(lambda: not far.addresses)
                for _ in range(20):
                    await asyncio.sleep(0.005)
                    assert not draining.done()
                await left(writer)
                await draining
            assert far.journal.reasons["done"] == 1

    run(story())


# P25 to P27: attackers


def test_p25_a_flood_of_probes_is_a_bounded_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Old: several lines for each probe, without a limit."""
    monkeypatch.setattr(journal_file, "LINES_MAX", 10)
    probes = 40

    async def story() -> None:
        entry = replace(server_config(AEAD), handshake_timeout=0.1)
        async with serving(entry) as far:
            clients = []
            for _ in range(probes):
                clients.append(await connected(far))
                clients[-1][1].write(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n" + bytes(60))
            for reader, writer in clients:
                assert await rest_of(reader) == b""
                await left(writer)
            await until(lambda: far.journal.accepted == probes)

    with caplog.at_level(logging.DEBUG, "shadesocks"):
        run(story())
    lines = [line for record in caplog.records for line in record.getMessage().splitlines()]
    told = [line for line in lines if " handshake " in line]
    assert 0 < len(told) <= 20  # of at most two batches
    assert "more connections ended" in caplog.text


@pytest.mark.parametrize("style", ["python", "go", "lite", "node"])
def test_p25_a_flood_is_bounded_in_the_words_of_old_programs(style: str, caplog: pytest.LogCaptureFixture) -> None:
    """Old: several lines for each probe, without a limit; tools still find those that they ban by."""
    probes = 150

    async def story() -> None:
        entry = stream_config(handshake_timeout=0.5)
        async with serving(entry, log_style=style, allow_legacy=True) as far:
            clients = []
            for _ in range(probes):
                clients.append(await connected(far))
                made = StreamClient()
                clients[-1][1].write(made.iv + made.more(bytes(200)))
            for reader, writer in clients:
                assert await rest_of(reader) == b""
                await left(writer)
            await until(lambda: far.journal.accepted == probes)

    with caplog.at_level(logging.DEBUG, "shadesocks"):
        run(story())
    lines = caplog.text.splitlines()
    assert len(lines) < probes
    assert ("can not parse header when handling connection from 127.0.0.1:" in caplog.text) == (style == "python")


@pytest.mark.parametrize(
    "name", [b"a\n2026-01-01 00:00:00 INFO all is well", b"\x1b[2J", b"a\r\nb", b"$(reboot)", b"\xff"]
)
def test_p26_no_name_can_write_a_line(name: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Old: host names went to the log as they came, and from there to a shell."""

    async def story() -> None:
        async with serving(log_targets=True, bad_handshake="fin") as far:
            reader, writer = await connected(far)
            writer.write(crafter().good(b"\3" + bytes((len(name),)) + name + b"\0\x50", b"x"))
            assert await rest_of(reader) == b""
            await left(writer)

    with caplog.at_level(logging.DEBUG, "shadesocks"):
        run(story())
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert name.decode("latin-1") not in text or (name.isascii() and name.decode().isprintable())
    assert all(character.isprintable() or character == "\n" for character in text)
    assert len([line for line in text.splitlines() if "all is well" in line and "\\x0a" not in line]) == 0


@pytest.mark.parametrize("method", [AEAD, "2022-blake3-aes-128-gcm"])
def test_p27_a_recorded_handshake_serves_nobody(method: str) -> None:
    """Old: whoever recorded a connection could send it again."""

    async def story() -> None:
        came: list[bytes] = []

        async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.append(await reader.read(100))
            writer.write(b"!")

        entry = replace(server_config(method), handshake_timeout=0.3)
        async with target(note) as to, serving(entry) as far:
            recorded = crafter(method).good(to.pack(), b"x")
            for _ in range(3):
                reader, writer = await connected(far)
                writer.write(recorded)
                answer = await rest_of(reader)
                assert bool(answer) == (far.journal.reasons["replay"] == 0)
                await left(writer)
            assert came == [b"x"]
            assert far.journal.reasons["replay"] == 2

    run(story())


def test_p27_bad_first_bytes_meet_the_same_silence_whatever_they_are() -> None:
    """Old: bad bytes were closed at once, so a few probes of one byte identified a server."""

    async def story() -> None:
        deadline = 0.3
        entry = replace(server_config(AEAD), handshake_timeout=deadline)
        async with serving(entry) as far:
            loop = asyncio.get_running_loop()

            async def probe(said: bytes) -> float:
                began = loop.time()
                reader, writer = await connected(far)
                writer.write(said)
                assert await rest_of(reader) == b""
                await left(writer)
                return loop.time() - began

            said = [
                bytes((first,)) + bytes(size) for first in (0, 1, 3, 4, 5, 22, 71, 255) for size in (0, 20, 49, 50, 500)
            ]
            times = await asyncio.gather(*map(probe, said))
            assert min(times) >= deadline - 0.02

    run(story())


@pytest.mark.parametrize("password", ["123456", "password", "mypassword", "barfoo!", "aaaaaaaaaaaaaaaaaaaa"])
def test_p27_a_weak_password_is_told(password: str) -> None:
    """Old: every password was taken without a word, but the one of the example."""
    text = json.dumps({"server": HOST, "server_port": 1, "method": AEAD, "password": password})
    assert any("weak" in problem.text for problem in config_of(text, "server").warnings)
    good = json.dumps({"server": HOST, "server_port": 1, "method": AEAD, "password": GOOD})
    assert not config_of(good, "server").warnings


def test_p29_no_descriptor_left_is_no_spin(tmp_path: Path) -> None:
    """Old: an error of accept came back at once, for ever, and took a whole processor."""
    made = crafter_of(AEAD)
    with run_peer("ours", "server", AEAD, tmp_path, nofile=64) as server, crowd_echo() as far, ExitStack() as crowd:
        good = Address(HOST, far.port).pack()
        for _ in range(80):
            sock = crowd.enter_context(socket.create_connection(server.address))
            sock.sendall(made.good(good, b"x"))
        eventually(lambda: "cannot accept" in server.log(), "the server says that it cannot accept")
        cpu, began = server.cpu(), time.monotonic()
        time.sleep(1.0)  # what is measured is what happens meanwhile
        assert server.cpu() - cpu < 0.2 * (time.monotonic() - began)
        crowd.close()

        def serves() -> bool:
            with socket.create_connection(server.address, 5) as sock:
                sock.sendall(made.good(good, b"x"))
                try:
                    return bool(sock.recv(1))
                except OSError:
                    return False

        eventually(serves, "the server serves again")


def test_p29_the_limit_of_descriptors_is_raised_by_the_program(tmp_path: Path) -> None:
    """Old: raising the limit was left to the user."""
    command = ["/bin/sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh", *programs.command(*server_words(free_port()))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=programs.environment(tmp_path))
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "listening on" in line:
                break
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        soft, hard = re.search(r"Max open files\s+(\S+)\s+(\S+)", limits).groups()  # type: ignore[union-attr]
        assert soft == hard
    finally:
        process.terminate()
        process.communicate()
