"""A quota that is used up under load: what more passes, how live connections end, and what new ones see (silence)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from shadesocks.net.loop import run as run_plane
from tests.echo import echo as udp_echo
from tests.interop.streams import dial
from tests.peers import HOST, PASSWORDS, Program, need, run
from tests.probes import table
from tests.probes.craft import Crafter, IdentityCrafter, is_2022, salt_size
from tests.probes.craft_udp import IdentityUdpCrafter, UdpCrafter
from tests.probes.field import Trap, check, settle
from tests.probes.prober import Probe
from tests.probes.udp_field import Client, Post
from tests.service import rig
from tests.service.rig import until

METHODS: Final = ("2022-blake3-aes-128-gcm", "aes-256-gcm")
MIB: Final = 1 << 20
QUOTA: Final = 6 * MIB
OVERSHOOT_MOST: Final = MIB
"""One read more at most (docs/adr/0022)."""
DEADLINE: Final = 3.0
"""Seconds that a handshake may take, and so a stranger's silence lasts."""
ENDING_MOST: Final = 1.0 + 1.0
"""Seconds from the first end of a connection to the last: one by the rule, one for a busy machine."""
HEARSAY_MOST: Final = 2.0
"""Seconds until one process hears of what another counted: each tells, and looks, once a second."""
EACH_WAY, IDLE = 4, 3
SPEED: Final = MIB
"""Bytes a second of a client that takes its time, so that it is known what passes in a second."""
BLOCK: Final = bytes(64 * 1024)


def key(method: str, name: str) -> str:
    """The password of a user, made of his name."""
    size = salt_size(method)
    return base64.b64encode((name * size).encode()[:size]).decode()


@dataclass(frozen=True)
class Far:
    """A server with two users on one port, of whom anna has limits."""

    method: str
    folder: Path
    program: Program

    @contextlib.contextmanager
    def client(self, name: str) -> Iterator[Program]:
        own = key(self.method, name)
        settings = {"password": f"{PASSWORDS[self.method]}:{own}" if is_2022(self.method) else own}
        there = self.program.port
        with run("ours", "local", self.method, self.folder, server_port=there, settings=settings) as program:
            yield program

    def crafter(self, name: str) -> Crafter:
        own = key(self.method, name)
        if is_2022(self.method):
            return IdentityCrafter(self.method, PASSWORDS[self.method], own)
        return Crafter(self.method, own)

    def session(self, name: str) -> Client:
        """A client by hand, of datagrams."""
        method, own = self.method, key(self.method, name)
        crafter = IdentityUdpCrafter(method, PASSWORDS[method], own) if is_2022(method) else UdpCrafter(method, own)
        return Client(Post(method, self.program, crafter))

    def passed(self, name: str) -> list[int]:
        """Payload bytes of each connection and session of a user that his quota ended, from the log."""
        found = re.findall(rf" user {name} up (\d+) down (\d+) (?!.* handshake ).* quota$", self.program.log(), re.M)
        return [int(up) + int(down) for up, down in found]


@contextlib.contextmanager
def server(method: str, folder: Path, more: Mapping[str, object] | None = None, **limits: object) -> Iterator[Far]:
    need("ours")
    users: list[dict[str, object]] = [{"name": name, "password": key(method, name)} for name in ("anna", "ben")]
    users[0] |= limits
    settings = {"users": users, "handshake_timeout": DEADLINE, "mode": "tcp_and_udp", **(more or {})}
    if not is_2022(method):
        settings["password"] = None  # each has his own alone
    with run("ours", "server", method, folder, settings=settings) as program:
        yield Far(method, folder, program)


def run_within(story: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(120):
            await story

    run_plane(limited())


class Target:
    """Takes all of a connection that begins with U, fills one that begins with D, sends back one that begins with E."""

    def __init__(self) -> None:
        self.port = 0
        self.taken = 0
        """Bytes of those it takes."""
        self.arrived = 0
        self.begin = asyncio.Event()
        """Until then nothing is filled: all are to be there first."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            kind = await reader.readexactly(1)
            self.arrived += 1
            self.taken += kind == b"U"
            if kind == b"D":
                await self.begin.wait()
            while kind == b"D":
                writer.write(BLOCK)
                await writer.drain()
            while data := await reader.read(len(BLOCK)):
                if kind == b"U":
                    self.taken += len(data)
                else:
                    writer.write(data)
                    await writer.drain()


@contextlib.asynccontextmanager
async def target() -> AsyncIterator[Target]:
    made = Target()
    async with rig.target(made.serve) as there:
        made.port = there.port
        yield made


async def connect(near: Program, port: int, kind: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    sock = await asyncio.to_thread(dial, near.address, HOST, port)
    sock.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(kind)
    return reader, writer


async def fill(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[float, int]:
    """Send as fast as it goes, until the connection ends; return when that was."""
    with contextlib.suppress(ConnectionError):
        while not reader.at_eof():
            writer.write(BLOCK)
            await writer.drain()
    ended_at = time.monotonic()
    writer.close()
    return ended_at, 0


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[float, int]:
    """Send at `SPEED` until the connection ends."""
    with contextlib.suppress(ConnectionError):
        due = time.monotonic()
        while not reader.at_eof():
            writer.write(BLOCK)
            await writer.drain()
            due += len(BLOCK) / SPEED
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    ended_at = time.monotonic()
    writer.close()
    return ended_at, 0


async def drain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[float, int]:
    """Read as fast as it goes, until the connection ends; return when that was, and how much there was."""
    got = 0
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 18):
            got += len(data)
    ended_at = time.monotonic()
    writer.close()
    return ended_at, got


class Beside:
    """A user who says something now and then, and hears it back each time."""

    def __init__(self, near: Program, port: int) -> None:
        self._near, self._port = near, port
        self.trips = 0
        self.longest = 0.0

    async def go_on(self) -> None:
        reader, writer = await connect(self._near, self._port, b"E")
        try:
            while True:
                said, began = os.urandom(1000), time.monotonic()
                writer.write(said)
                assert await reader.readexactly(len(said)) == said
                self.longest = max(self.longest, time.monotonic() - began)
                self.trips += 1
                await asyncio.sleep(0.005)
        finally:
            writer.close()


def looks_like_a_failed_handshake(far: Far) -> None:
    """New connections of anna's, beside those of somebody with another key: nothing, until the end of all silence."""
    with contextlib.closing(Trap()) as trap:
        probes = []
        for name in ("anna", "nobody"):
            crafter = far.crafter(name)
            for size in (0, 300, 20_000):
                probe = Probe.fresh(name, f"{size} bytes", partial(crafter.good, trap.address, bytes(size)))
                probes += [probe, table.ending(probe)]
        address = far.program.address
        check("ours", settle([(probe, address) for probe in probes * 2], DEADLINE), DEADLINE)
        assert trap.count() == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("method", METHODS)
def test_connections(method: str, tmp_path: Path) -> None:
    async def story(far: Far, annas: Program, bens: Program, session: Client, other: Any) -> None:
        async with target() as there:
            beside = Beside(bens, there.port)
            going_on = asyncio.create_task(beside.go_on())
            try:
                kinds = b"U" * EACH_WAY + b"D" * EACH_WAY + b"E" * IDLE
                live = [await connect(annas, there.port, bytes([kind])) for kind in kinds]
                await until(lambda: there.arrived == len(live) + 1)
                there.begin.set()
                ways = [fill] * EACH_WAY + [drain] * (EACH_WAY + IDLE)
                ends = await asyncio.gather(*(way(*pair) for way, pair in zip(ways, live, strict=True)))
                instants = [ended_at for ended_at, _ in ends]
                assert max(instants) - min(instants) < ENDING_MOST
                got = there.taken + sum(size for _, size in ends) + IDLE
                assert 0 < got <= QUOTA + OVERSHOOT_MOST
                session.send(other.address, b"x" * 100)
                await asyncio.to_thread(looks_like_a_failed_handshake, far)
                before = beside.trips
                await asyncio.sleep(0.2)
                assert beside.trips > before
            finally:
                going_on.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await going_on
            assert beside.longest < ENDING_MOST

    with server(method, tmp_path, quota=QUOTA) as far, far.client("anna") as annas, far.client("ben") as bens:
        with udp_echo() as other, far.session("anna") as session, far.session("ben") as bens_session:
            assert session.ask(other.address, b"before").payload == b"before"
            assert bens_session.ask(other.address, b"ben").payload == b"ben"
            run_within(story(far, annas, bens, session, other))
            assert bens_session.ask(other.address, b"ben still").payload == b"ben still"
            assert [data for data, _ in other.until(b"ben still")] == [b"before", b"ben"]
        each = far.passed("anna")
        assert len(each) == 2 * EACH_WAY + IDLE + 1
        assert QUOTA <= sum(each) <= QUOTA + OVERSHOOT_MOST


@pytest.mark.timeout(120)
@pytest.mark.parametrize("method", METHODS)
def test_datagrams(method: str, tmp_path: Path) -> None:
    size, window, quota = 1200, 16, 2 * MIB
    with (
        server(method, tmp_path, quota=quota) as far,
        udp_echo() as target,
        far.session("anna") as anna,
        far.session("ben") as ben,
        far.session("anna") as late,
    ):
        anna.sock.settimeout(1.0)
        got = 0
        with contextlib.suppress(TimeoutError):
            while got <= quota:
                for _ in range(window):
                    anna.send(target.address, bytes(size))
                for _ in range(window):
                    assert anna.hear().payload == bytes(size)
                    got += size
                assert ben.ask(target.address, b"ben").payload == b"ben"
        assert ben.ask(target.address, b"undisturbed").payload == b"undisturbed"
        reached = sum(len(data) for data, _ in target.until(b"undisturbed") if len(data) == size)
        assert quota / 2 - window * size < got <= reached
        assert got + reached <= quota + 2 * size
        for each in (anna, late):
            each.send(target.address, b"x")
        assert ben.ask(target.address, b"last").payload == b"last"
        assert [data for data, _ in target.until(b"last")] == []
        looks_like_a_failed_handshake(far)
        (each_passed,) = far.passed("anna")
        assert quota <= each_passed <= quota + 2 * size


@pytest.mark.timeout(120)
def test_several_processes(tmp_path: Path) -> None:
    """Each counts its own, and hears of the others once a second: what passes meanwhile is too much at most."""
    count = 6

    async def story(far: Far, annas: Program) -> None:
        async with target() as there:
            live = [await connect(annas, there.port, b"U") for _ in range(count)]
            await until(lambda: there.arrived == count)
            ends = [ended_at for ended_at, _ in await asyncio.gather(*(trickle(*pair) for pair in live))]
            assert max(ends) - min(ends) < HEARSAY_MOST
            assert there.taken <= QUOTA + HEARSAY_MOST * count * SPEED
            await asyncio.to_thread(looks_like_a_failed_handshake, far)

    with server(METHODS[0], tmp_path, {"workers": 2}, quota=QUOTA) as far, far.client("anna") as annas:
        run_within(story(far, annas))
        each = far.passed("anna")
        assert len(each) == count
        assert QUOTA <= sum(each) <= QUOTA + HEARSAY_MOST * count * SPEED


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_it_stays_used_up_after_a_restart(how: signal.Signals, tmp_path: Path) -> None:
    """Where a store keeps it."""

    async def story(annas: Program) -> None:
        async with target() as there:
            live = [await connect(annas, there.port, kind) for kind in (b"U", b"E")]
            await until(lambda: there.arrived == len(live))
            await asyncio.gather(*(fill(*pair) for pair in live))

    store = {"store": str(tmp_path / "users.db")}
    with udp_echo() as other, server(METHODS[0], tmp_path, store, quota=QUOTA) as far:
        with far.client("anna") as annas:
            run_within(story(annas))
        time.sleep(1.5)  # it is written once a second
        far.program.signal(how)
        far.program.wait()
        with server(METHODS[0], tmp_path, store, quota=QUOTA) as again, again.session("ben") as ben:
            with again.session("anna") as anna:
                anna.send(other.address, b"x")
            assert ben.ask(other.address, b"ben").payload == b"ben"
            assert [data for data, _ in other.until(b"ben")] == []
            looks_like_a_failed_handshake(again)
        with server(METHODS[0], tmp_path, store, quota=4 * QUOTA) as more, more.session("anna") as anna:
            assert anna.ask(other.address, b"there is more").payload == b"there is more"
