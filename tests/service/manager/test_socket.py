"""A manager by its socket: real commands, real traffic, counted to the byte."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shadesocks.cli.place import free_port
from shadesocks.config.manager import template_of
from shadesocks.config.model import Config, Mode
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.service.manager import management
from shadesocks.service.manager import socket as manager_socket
from shadesocks.service.manager.socket import open_manager
from shadesocks.service.service import Service
from shadesocks.wire.manager import DIALECTS

from ..rig import HOST, echo, run, server_config, started, target, until
from ..test_ports import client_of, connected, ended, is_free, talk
from ..test_service_udp import ask, relay_of, trip
from ..test_service_udp import echo as udp_echo
from .test_manager import END

SERVER = replace(server_config(), mode=Mode.TCP_AND_UDP)


def managed(where: str, dialect: str) -> Service:
    """A service with a manager, and without servers."""
    template = replace(SERVER, address=Address(HOST, 0))
    return Service.server(Config(manager_listen=where, manager_dialect=dialect, template=template, allow_private=True))


def every(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let managers report so often."""
    monkeypatch.setattr(management, "ManagerSocket", partial(manager_socket.ManagerSocket, interval=seconds))


class Tool:
    """Somebody's program that manages."""

    def __init__(self, to: Address | str, where: str = "") -> None:
        unix = isinstance(to, str)
        self._sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        if where or not unix:
            self._sock.bind(where if unix else (HOST, 0))
        self._sock.connect(to if isinstance(to, str) else (to.host, to.port))

    def send(self, text: str) -> None:
        self._sock.send(text.encode())

    async def hear(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._sock, 70_000)

    async def ask(self, text: str) -> bytes:
        self.send(text)
        return await self.hear()

    def close(self) -> None:
        self._sock.close()


@contextmanager
def tool(service: Service, where: str = "") -> Iterator[Tool]:
    """A program that talks to the manager of a service."""
    assert service.manager_address is not None
    made = Tool(service.manager_address, where)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=["udp", "unix"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Where a manager listens, and where its tool does."""
    if request.param == "udp":
        return f"{HOST}:0", ""
    return str(tmp_path / "manager"), str(tmp_path / "tool")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_ports_are_added_served_counted_and_removed(
    dialect: str, places: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    every(monkeypatch, 1e9)

    async def story() -> None:
        end = END[dialect]
        async with started(managed(places[0], dialect)) as far, target(echo) as there, udp_echo() as udp:
            with tool(far, places[1]) as panel:
                port = free_port()
                key = SERVER.password.reveal()
                added = await panel.ask(f'add: {{"server_port": {port}, "password": "{key}"}}\n')
                assert added == b"ok" + end
                assert [*far.addresses] == [Address(HOST, port)]
                pinged = await panel.ask("ping")
                assert pinged == (b"pong" if dialect in ("python", "go") else b'stat: {"%d":0}' % port + end)
                async with client_of(SERVER, far.addresses[0]) as near:
                    stream = await connected(near, there)
                    await talk(stream, 1000)
                    writer, reply = await ask(near)
                    await trip(relay_of(reply), udp, b"x" * 10)
                    told = b'stat: {"%d":2020}' % port
                    if dialect in ("python", "go"):
                        management = far._role.management  # type: ignore[attr-defined] # the server's
                        management.socket.report()
                        assert await panel.hear() == told
                    else:
                        assert await panel.ask("ping\0") == told + end
                    assert await panel.ask(f'remove: {{"server_port": {port}}}') == b"ok" + end
                    assert await ended(stream)
                    writer.close()
            assert is_free(Address(HOST, port))

    run(story())


def test_what_passed_is_told_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert manager_socket.INTERVAL == 10.0
    every(monkeypatch, 0.01)

    async def story() -> None:
        async with started(managed(f"{HOST}:0", "go")) as far:
            with tool(far) as panel:
                assert await panel.ask("ping") == b"pong"
                for _ in range(3):
                    assert await panel.hear() == b"stat: {}"

    run(story())


@pytest.mark.parametrize(
    ("style", "said"),
    [
        ("shadesocks", ["commands are taken on {manager}", "manager: port {port} was added, with aes-256-gcm"]),
        (
            "python",
            ["entering manager mode", "adding server at 127.0.0.1:{port}", "removing server at 127.0.0.1:{port}"],
        ),
        ("go", ["manager listening udp addr {manager} ...", "new port {port} added", "closing port {port}"]),
    ],
)
def test_what_is_done_is_told_in_the_programs_words(
    style: str, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    manager = ""

    async def story() -> None:
        nonlocal manager
        service = managed(f"{HOST}:0", "libev")
        async with started(Service.server(replace(service.config, log_style=style))) as far:
            manager = str(far.manager_address)
            with tool(far) as panel:
                key = SERVER.password.reveal()
                assert await panel.ask(f'add: {{"server_port": {port}, "password": "{key}"}}') == b"ok"
                assert await panel.ask(f'remove: {{"server_port": {port}}}') == b"ok"

    with caplog.at_level("INFO", "shadesocks"):
        run(story())
    for line in said:
        assert line.format(port=port, manager=manager) in caplog.messages
    assert SERVER.password.reveal() not in caplog.text


def test_a_tool_may_say_all_it_has_and_wait_for_no_answer() -> None:
    """More than a socket holds: its hundreds were full while one command was done in each turn."""
    count = 800

    async def story() -> None:
        async with started(managed(f"{HOST}:0", "rust")) as far:
            with tool(far) as panel:
                for number in range(1, count + 1):
                    panel.send(f'remove: {{"server_port": {number}}}')
                    if number % 50 == 0:
                        await asyncio.sleep(0)
                        await asyncio.sleep(0)
                        await asyncio.sleep(0)
                        await asyncio.sleep(0)
                answers = [await panel.hear() for _ in range(count)]
                assert answers == [b"ok\n"] * count

    run(story())


@pytest.mark.parametrize(("limit", "most"), [("QUEUE_MAX", 2), ("QUEUE_BYTES_MAX", 8)])
def test_a_flood_of_commands_is_done_in_the_end(limit: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager_socket, limit, most)
    monkeypatch.setattr(manager_socket, "PER_SECOND", 5)

    async def story() -> None:
        async with started(managed(f"{HOST}:0", "rust")) as far:
            with tool(far) as panel:
                for _ in range(8):
                    panel.send("ping")
                for _ in range(8):
                    assert await panel.hear() == b"stat: {}\n"

    run(story())


def test_the_managers_port_is_no_target_of_clients() -> None:
    """Whoever reached it through the server could open ports of their own."""

    async def story() -> None:
        config = Config(servers=(SERVER,), manager_listen=f"{HOST}:0", manager_dialect="libev", allow_private=True)
        async with started(Service.server(config)) as far, client_of(SERVER, far.addresses[0]) as near:
            address = far.manager_address
            assert isinstance(address, Address)
            writer, reply = await ask(near)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"\0\0\0" + address.pack() + b"ping", relay_of(reply))
                await until(lambda: far.packets.dropped["denied"] == 1)
            writer.close()

    run(story())


def test_a_tool_without_an_address_of_its_own_is_heard_and_not_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with started(managed(str(tmp_path / "manager"), "python")) as far:
            with tool(far) as panel:
                port = free_port()
                panel.send(f'add: {{"server_port": {port}, "password": "{SERVER.password.reveal()}"}}')
                await until(lambda: bool(far.addresses))

    run(story())


def test_a_unix_socket_is_its_owners_alone_and_goes_with_the_service(tmp_path: Path) -> None:
    path = tmp_path / "manager"

    async def story() -> None:
        async with started(managed(str(path), "python")):
            assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert not path.exists()

    before = os.umask(0)
    os.umask(before)
    run(story())
    assert os.umask(before) == before


def test_p24_the_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "manager"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))

    async def story() -> None:
        async with started(managed(str(path), "python")) as far:
            with tool(far, str(tmp_path / "tool")) as panel:
                assert await panel.ask("ping") == b"pong"

    run(story())


def test_the_socket_of_a_live_process_is_an_error_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "manager"

    async def story() -> None:
        service = Service.server(Config(servers=(SERVER,), manager_listen=str(path)))
        with pytest.raises(ConfigError, match="has that address"):
            await service.start()
        assert not service.addresses
        await service.stop()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as live:
        live.bind(str(path))
        run(story())
        assert path.exists()


def test_the_socket_of_a_successor_stays(tmp_path: Path) -> None:
    path = tmp_path / "manager"

    async def story() -> None:
        async with started(managed(str(path), "python")):
            path.unlink()
            path.write_text("another's")
        assert path.read_text() == "another's"

    run(story())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{file}", "is no socket"),
        ("{file}/manager", "Not a directory"),
        ("{file}s/manager", "No such file"),
        ("127.0.0.1:70000", "expected HOST:PORT"),
        ("{taken}", "has that address"),
    ],
)
def test_a_place_that_cannot_be_had_is_an_error_at_start(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")

    async def story() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind((HOST, 0))
            place = text.format(file=file, taken=f"{HOST}:{taken.getsockname()[1]}")
            with pytest.raises(ConfigError, match=said) as caught:
                await open_manager(place)
        assert caught.value.problems[0].key == "manager_listen"

    run(story())
    assert file.exists()


def test_an_error_of_one_command_does_not_end_the_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with started(managed(f"{HOST}:0", "rust")) as far:

            def broken(_self: Any) -> dict[int, int]:
                raise ZeroDivisionError

            with tool(far) as panel:
                with monkeypatch.context() as patch:
                    patch.setattr(Service, "passed", broken)
                    panel.send("ping")
                    await until(lambda: far._shared.reactor.errors == 1)
                assert await panel.ask("ping") == b"stat: {}\n"

    run(story())


def test_the_template_of_a_config_made_by_hand() -> None:
    assert template_of(Config(servers=(SERVER,))) is SERVER
    assert template_of(Config(dial_timeout=3.0)).dial_timeout == 3.0
