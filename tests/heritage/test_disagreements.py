"""Where the five old systems disagree: what this program does behind the name of each.

One test for each point of docs/heritage.md, one of its cases for each system: `test_socks_answer[go]` is the cell of
that row and column. The programs are started by their words, as a person starts them; their services run here, on
ports the system chose.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.crypto.methods import find_method
from shadesocks.service.service import Service
from tests.cli import programs
from tests.cli.family.conftest import Start
from tests.e2e.crowd import echo as crowd_echo
from tests.e2e.crowd import eventually
from tests.peers import free_port
from tests.probes.craft import Crafter
from tests.service.rig import HOST, echo, run, server_config, socks, started, target, until

from .managing import SOON, managed, manager_of, tool_of, trip
from .managing import often as often
from .rig import (
    AEAD,
    CONNECT,
    GREETED,
    GREETING,
    behind,
    connected,
    dead_port,
    left,
    received,
    rest_of,
    serving,
    udp_client,
    where,
)
from .stream_craft import PASSWORD, StreamClient, datagram, opened, stream_config

LITE: Final = {
    "server": ["192.0.2.1", "192.0.2.2"],
    "server_port": 8388,
    "password": PASSWORD,
    "local_address": HOST,
    "local_port": 1080,
}
"""What shadowsocks-lite's file must hold: it has no flags."""
CLIENTS: Final = {
    "python": ("sslocal", f"-s 192.0.2.1 -p 8388 -l 1080 -k {PASSWORD}"),
    "go": ("shadowsocks-local", f"-s 192.0.2.1 -p 8388 -l 1080 -k {PASSWORD}"),
    "lite": ("ssllocal", "-c FILE"),
    "node": ("node-sslocal", f"-s 192.0.2.1 -p 8388 -l 1080 -k {PASSWORD} -m aes-256-cfb"),
    "procurator": (
        "procurator-local",
        f"--remote-host 192.0.2.1 --remote-port 8388 --local-port 1080 --password {PASSWORD}",
    ),
}
SERVERS: Final = {
    "python": ("ssserver", f"-s {HOST} -p 8388 -k {PASSWORD}"),
    "go": ("shadowsocks-server", f"-p 8388 -k {PASSWORD} -u"),
    "lite": ("sslserver", "-c FILE"),
    "node": ("node-ssserver", f"-s {HOST} -p 8388 -k {PASSWORD} -m aes-256-cfb"),
    "procurator": ("procurator-server", f"--remote-port 8388 --password {PASSWORD}"),
}
SYSTEMS: Final = tuple(CLIENTS)

every_system = pytest.mark.parametrize("system", SYSTEMS)


class Names:
    """Starts the program of a system, and gives what its words configured."""

    def __init__(self, start: Start, folder: Path) -> None:
        self._start = start
        self._folder = folder

    def client(self, system: str, more: str = "", file: Mapping[str, object] | None = None) -> Config:
        """The client, with its least words and those given; or with a file, and no words but its name."""
        return self._config(*CLIENTS[system], more, file)

    def server(self, system: str, more: str = "", file: Mapping[str, object] | None = None) -> Config:
        """The server."""
        return self._config(*SERVERS[system], more, file)

    def _config(self, name: str, words: str, more: str, file: Mapping[str, object] | None) -> Config:
        path = self._folder / "old.json"
        path.write_text(json.dumps(LITE if file is None else file))
        words = f"-c {path}" if file is not None else words.replace("FILE", str(path))
        return behind(self._start, name, f"{words} {more}")


@pytest.fixture
def names(start: Start, tmp_path: Path) -> Names:
    return Names(start, tmp_path)


@asynccontextmanager
async def client(config: Config, *servers: Service) -> AsyncIterator[Service]:
    """Run the client of a configuration, with these AEAD servers in the place of its own."""
    entries = tuple(
        replace(config.servers[0], address=server.addresses[0], **_spoken())  # type: ignore[arg-type]  # names of fields
        for server in servers
    )
    local = replace(config.locals[0], address=Address(HOST, 0))
    config = replace(config, balancer_probe_url=f"http://{HOST}:9/", balancer_probe_dns=Address(HOST, 9))
    async with started(Service.local(replace(config, servers=entries or config.servers, locals=(local,)))) as near:
        yield near


def _spoken() -> dict[str, object]:
    return {"method": find_method(AEAD), "password": server_config(AEAD).password}


@asynccontextmanager
async def server(config: Config, **changes: object) -> AsyncIterator[Service]:
    """Run the server of a configuration on loopback, where everything may be reached."""
    entry = replace(config.servers[0], address=Address(HOST, 0), method=find_method("aes-256-ctr"), **changes)  # type: ignore[arg-type]
    config = replace(config, servers=(entry,), forbidden_ip=(), allow_private=True)
    async with started(Service.server(config)) as far:
        yield far


# -- the SOCKS answer

REPLY_PORTS: Final = {"python": 4112, "go": 2115, "lite": 1, "node": 2222, "procurator": 1}


@every_system
def test_socks_answer(system: str, names: Names) -> None:
    """Its port is the program's; that it comes when the connection stands is ours."""

    async def story() -> None:
        config = names.client(system)
        async with target(echo) as to, serving() as far, client(config, far) as near:
            reader, writer = await connected(near)
            writer.write(GREETING + CONNECT + to.pack())
            answer = await reader.readexactly(12)
            assert answer == GREETED + b"\5\0\0\1" + bytes(4) + REPLY_PORTS[system].to_bytes(2)
            await left(writer)
        with dead_port() as nobody:
            dead = replace(config.servers[0], address=nobody)
            async with client(replace(config, servers=(dead,))) as near:
                _, writer, reply = await socks(near, Address(HOST, 9))
                assert reply == 5
                await left(writer)

    run(story())


# -- the manager's statistics, and its answers

MANAGERS: Final = {"python": "ssserver", "go": "shadowsocks-server"}
with_manager = pytest.mark.parametrize("system", MANAGERS)


@pytest.mark.usefixtures("often")
@with_manager
def test_stat(system: str, start: Start) -> None:
    """Python: what came since the last, ports that were busy, to the last who asked, 50 ports a datagram. Go: all since
    `add`, all ports, to everybody who pinged."""

    async def story() -> None:
        config = manager_of(start, MANAGERS[system])
        async with target(echo) as to, managed(config) as (service, first):
            with tool_of(service) as second:
                ports = [free_port() for _ in range(2)]
                for port in ports:
                    assert await first.ask("add", {"server_port": port, "password": PASSWORD}) == "ok"
                assert await first.ask("ping") == "pong"
                assert await second.ask("ping") == "pong"
                assert await trip(ports[0], PASSWORD, to.pack())
                busy, idle = map(str, ports)
                await until(lambda: service.passed().get(ports[0]) == 2)  # a byte there, and a byte back
                if system == "go":
                    while (seen := await second.stat())[busy] < 2:
                        pass
                    assert (seen[busy], seen[idle]) == (2, 0)
                    assert (await second.stat())[busy] == 2, "and again"
                    assert busy in await first.stat(), "and to the other, too"
                else:
                    told = 0
                    while told < 2:
                        seen = await second.stat()
                        assert set(seen) == {busy}
                        told += seen[busy]
                    assert told == 2
                    for tool in (first, second):
                        with pytest.raises(TimeoutError):
                            async with asyncio.timeout(4 * SOON):
                                await tool.stat()

    run(story())


@with_manager
def test_add_of_an_open_port(system: str, start: Start) -> None:
    """Python keeps the old password, and says ok; go takes the new one."""

    async def story() -> None:
        async with target(echo) as to, managed(manager_of(start, MANAGERS[system])) as (_, tool):
            port = free_port()
            for password in ("the-first-password", "the-second-password"):
                assert await tool.ask("add", {"server_port": port, "password": password}) == "ok"
            holds = "the-second-password" if system == "go" else "the-first-password"
            assert await trip(port, holds, to.pack())

    run(story())


@with_manager
def test_bad_add_and_remove(system: str, start: Start) -> None:
    """Python does not answer; go says err. Both know `list` here, which neither did."""

    async def story() -> None:
        async with managed(manager_of(start, MANAGERS[system])) as (_, tool):
            for command in ('add: {"server_port": 0}', "add: {", 'remove: {"server_port": "x"}'):
                tool.say(command)
                if system == "go":
                    assert await tool.hear() == "err"
            assert (await tool.ask("list")).startswith("[")
            with pytest.raises(BlockingIOError):
                tool.sock.recv(100)

    run(story())


# -- one-time auth

SWITCHES: Final = [
    ("python", "client", "-a", None),
    ("python", "client", "", {"one_time_auth": True}),
    ("python", "server", "-a", None),
    ("python", "server", "", {"one_time_auth": True}),
    ("go", "client", "-A", None),
    ("go", "client", "-m aes-256-cfb-auth", None),
    ("go", "client", "", {"auth": True}),
    ("go", "server", "-m aes-256-cfb-auth", None),
    ("go", "server", "", {"method": "aes-256-cfb-auth"}),
]
FILE: Final = {"server": HOST, "server_port": 8388, "local_port": 1080, "password": PASSWORD, "method": "aes-256-cfb"}


@pytest.mark.parametrize(
    ("system", "end", "more", "keys"),
    SWITCHES,
    ids=[f"{system}-{end}-{more or next(iter(keys or {}))}".replace(" ", "=") for system, end, more, keys in SWITCHES],
)
def test_one_time_auth_switch(
    system: str, end: str, more: str, keys: Mapping[str, object] | None, names: Names
) -> None:
    """Each switch makes a client send hashes, and a server ask for them."""
    file = None if keys is None else {**FILE, **keys}

    async def serve() -> None:
        async with target(echo) as to, server(names.server(system, more, file), handshake_timeout=0.2) as far:
            reader, writer = await connected(far)
            writer.write(StreamClient().plain(to, b"without"))
            assert await rest_of(reader) == b""
            await left(writer)
            reader, writer = await connected(far)
            made = StreamClient()
            writer.write(made.flagged(to) + made.chunk(b"with"))
            writer.write_eof()
            assert opened(await reader.read(-1)) == b"with"
            await left(writer)

    async def ask_for() -> None:
        said: list[bytes] = []

        async def note(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            said.append(await reader.read(-1))

        config = names.client(system, more, file)
        async with target(note) as there:
            entry = stream_config(address=there, one_time_auth=config.servers[0].one_time_auth)
            async with client(replace(config, servers=(entry,))) as near:
                _, writer, _ = await socks(near, Address("192.0.2.1", 80))
                writer.write_eof()
                await until(lambda: bool(said))
                await left(writer)
        assert opened(said[0])[0] == 0x11

    run(serve() if end == "server" else ask_for())


# -- many servers

SEVERAL: Final = {
    "python": {**FILE, "server": ["192.0.2.1", "192.0.2.2"]},
    "go": {**FILE, "server": ["192.0.2.1", "192.0.2.2"]},
    "lite": LITE,
    "node": {**FILE, "server": ["192.0.2.1:8388", "192.0.2.2:8388"]},
}
CHOICES: Final = {"python": "random", "go": "ordered", "lite": "fastest", "node": "random"}
COUNT: Final = 40


@pytest.mark.parametrize("system", SEVERAL)
def test_many_servers(system: str, names: Names) -> None:
    """Python and Node: any, for each connection. Go: the first that lives. lite: the one that was quickest."""
    config = names.client(system, file=SEVERAL[system])
    assert [entry.address.host for entry in config.servers] == ["192.0.2.1", "192.0.2.2"]
    assert config.balancer_policy == CHOICES[system]

    async def story() -> None:
        async with target(echo) as to, serving() as first, serving() as second, client(config, first, second) as near:

            async def visit() -> None:
                reader, writer, reply = await socks(near, to)
                assert reply == 0
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
                await left(writer)

            for _ in range(COUNT):
                await visit()
            counts = [service.journal.accepted + service.totals[0] for service in (first, second)]
            if system in ("python", "node"):
                assert min(counts) > COUNT // 10
            elif system == "go":
                assert counts == [COUNT, 0]
            await first.stop()
            for _ in range(5):
                await visit()  # whichever it would have been: the other one serves

    run(story())


# -- datagrams

UDP_TIMEOUTS: Final = {"python": 300, "go": 30, "lite": 600, "node": 300, "procurator": 30}


@every_system
def test_udp_nat(system: str, names: Names) -> None:
    """One port for all of a client's targets, and anybody's answers come back: full cone, behind every name."""
    config = names.server(system)
    assert config.udp_timeout == UDP_TIMEOUTS[system]

    async def story() -> None:
        async with server(config) as far:
            with udp_client() as sock, udp_client() as first, udp_client() as second, udp_client() as third:
                loop = asyncio.get_running_loop()
                outlets = []
                for there in (first, second):
                    sock.sendto(datagram(Address(*there.getsockname()), b"x"), where(far))
                    outlets.append((await loop.sock_recvfrom(there, 100))[1])
                assert outlets[0] == outlets[1]
                third.sendto(b"unasked", outlets[0])
                assert opened(await received(sock)) == Address(*third.getsockname()).pack() + b"unasked"

    run(story())


# -- where clients listen

BINDS: Final = {"python": HOST, "go": "0.0.0.0", "lite": HOST, "node": HOST, "procurator": "0.0.0.0"}


@every_system
def test_default_bind(system: str, names: Names) -> None:
    """As the program did; what is open to everybody is warned of. lite's file has to say."""
    config = names.client(system)
    assert config.locals[0].address == Address(BINDS[system], 1080)
    warned = any("whoever can reach this address" in problem.text for problem in config.warnings)
    assert warned == (BINDS[system] == "0.0.0.0")


# -- bad handshakes

SAID: Final = {
    "python": "can not parse header when handling connection from 127.0.0.1:",
    "go": "",
    "lite": "",
    "node": "",
    "procurator": "",
}


@every_system
def test_bad_handshake(system: str, names: Names, caplog: pytest.LogCaptureFixture) -> None:
    """Silence until the deadline, whoever's name it is; only the line of the log is the program's."""

    async def story() -> None:
        deadline = 0.3
        async with server(names.server(system), handshake_timeout=deadline) as far:
            loop = asyncio.get_running_loop()
            for _ in range(3):
                began = loop.time()
                reader, writer = await connected(far)
                made = StreamClient()
                writer.write(made.iv + made.more(bytes(300)))  # an address type that there is not
                assert await rest_of(reader) == b""
                assert loop.time() - began >= deadline - 0.05
                await left(writer)

    with caplog.at_level(logging.DEBUG, "shadesocks"):
        run(story())
    assert SAID[system] in caplog.text


# -- reload

RELOADED: Final = {
    "python": ("ssserver", "--workers", "1"),
    "go": ("shadowsocks-server",),
    "lite": ("sslserver",),
    "node": ("node-ssserver",),
}
"""procurator has no file to read again."""


def accepts(port: int) -> bool:
    """Say whether anybody listens on a port."""
    try:
        socket.create_connection((HOST, port)).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("system", RELOADED)
def test_reload(system: str, tmp_path: Path) -> None:
    """Go's: at SIGHUP the file is read again, and connections go on. Here behind every name that reads a file."""
    path, (first, second) = tmp_path / "old.json", (free_port(), free_port())

    def write(port: int) -> None:
        keys = {**LITE, "server": HOST, "server_port": port, "method": AEAD, "allow_private": True}
        path.write_text(json.dumps(keys))

    write(first)
    with crowd_echo() as far, programs.running(tmp_path, "as", *RELOADED[system], "-c", str(path)) as program:
        eventually(lambda: program.process.poll() is not None or accepts(first), "it listens")
        assert program.process.poll() is None, program.process.communicate()
        with socket.create_connection((HOST, first)) as live:
            spoken = system != "lite"  # whose method is fixed
            good = Crafter(AEAD, PASSWORD).good(Address(HOST, far.port).pack(), b"x")
            if spoken:
                live.sendall(good)
                assert live.recv(1000)
            write(second)
            program.process.send_signal(signal.SIGHUP)
            eventually(lambda: accepts(second) and not accepts(first), "it listens elsewhere")
            live.setblocking(False)
            if spoken:
                with pytest.raises(BlockingIOError):
                    live.recv(1)
                assert far.held() == 1
        if spoken:
            with socket.create_connection((HOST, second)) as sock:
                sock.sendall(Crafter(AEAD, PASSWORD).good(Address(HOST, far.port).pack(), b"x"))
                assert sock.recv(1)
        assert program.end(signal.SIGTERM) == 0
