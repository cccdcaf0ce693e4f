"""P24, G7, G8 and what else was wrong with managers and reloads. Each test is named by the id in docs/heritage.md; its
first line says what happened then.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from shadesocks.config.model import Config
from shadesocks.service.service import Service
from tests.cli.family.conftest import Start
from tests.peers import free_port
from tests.service.rig import echo, run, server_config, started, target, until

from .managing import SOON, managed, manager_of, tool_of, trip, unix_tool
from .managing import often as often
from .rig import AEAD, connected, crafter, left, rest_of, serving
from .stream_craft import PASSWORD

pytestmark = pytest.mark.usefixtures("often")


def test_p24_only_commands_move_the_statistics(start: Start) -> None:
    """Old: any datagram, even garbage, made its sender the one who got them."""

    async def story() -> None:
        async with target(echo) as to, managed(manager_of(start)) as (service, tool):
            with tool_of(service) as stranger:
                port = free_port()
                assert await tool.ask("add", {"server_port": port, "password": PASSWORD}) == "ok"
                for garbage in ("hello", "add: {", "\x00", "stats"):
                    stranger.say(garbage)
                assert await trip(port, PASSWORD, to.pack())
                assert (await tool.stat())[str(port)] > 0
                with pytest.raises(BlockingIOError):
                    stranger.sock.recv(100)

    run(story())


def test_p24_what_could_not_be_sent_is_told_later(start: Start, tmp_path: Path) -> None:
    """Old: counters were cleared whether or not anybody had got them."""

    async def story() -> None:
        place = str(tmp_path / "manager.sock")
        config = manager_of(start, place=place)
        async with target(echo) as to, started(Service.server(config)) as service:
            port = free_port()
            with unix_tool(tmp_path / "first.sock", place) as tool:
                assert await tool.ask("add", {"server_port": port, "password": PASSWORD}) == "ok"
            (tmp_path / "first.sock").unlink()  # nobody is there any more
            assert await trip(port, PASSWORD, to.pack())
            await until(lambda: service.passed().get(port, 0) > 0)
            await asyncio.sleep(3 * SOON)
            with unix_tool(tmp_path / "second.sock", place) as tool:
                assert await tool.ask("ping") == "pong"
                assert (await tool.stat())[str(port)] == service.passed()[port]

    run(story())


@pytest.mark.parametrize("name", ["ssserver", "shadowsocks-server"])
def test_p24_g07_a_port_that_is_taken_is_answered_and_ends_nothing(name: str, start: Start) -> None:
    """Old: Python's program gave no answer, go's ended."""

    async def story() -> None:
        async with target(echo) as to, serving() as other, managed(manager_of(start, name)) as (_, tool):
            port = other.addresses[0].port
            assert await tool.ask("add", {"server_port": port, "password": PASSWORD}) == "err"
            port = free_port()
            assert await tool.ask("add", {"server_port": port, "password": PASSWORD}) == "ok"
            assert await trip(port, PASSWORD, to.pack())

    run(story())


def test_p24_a_socket_that_a_dead_process_left_is_replaced(start: Start, tmp_path: Path) -> None:
    """Old: it kept the next one from starting. And anybody could write to it."""
    place = tmp_path / "manager.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(place))

    async def story() -> None:
        async with started(Service.server(manager_of(start, place=str(place)))):
            assert stat.S_IMODE(os.stat(place).st_mode) == 0o600
            with unix_tool(tmp_path / "tool.sock", str(place)) as tool:
                assert await tool.ask("ping") == "pong"
        assert not place.exists()

    run(story())


def test_p24_ports_can_be_listed(start: Start) -> None:
    """Old: there was no way to ask which ports are open."""

    async def story() -> None:
        async with managed(manager_of(start)) as (_, tool):
            port = free_port()
            await tool.ask("add", {"server_port": port, "password": PASSWORD})
            listed = json.loads(await tool.ask("list"))
            assert [(row["server_port"], row["method"]) for row in listed] == [(port, AEAD)]

    run(story())


def test_g07_a_reload_with_a_port_that_is_taken_keeps_the_others() -> None:
    """Old: it ended the process, and every connection with it."""

    async def story() -> None:
        entry = replace(server_config(AEAD), address=replace(server_config(AEAD).address, port=free_port()))
        config = Config(servers=(entry,), allow_private=True)
        async with target(echo) as to, serving() as other, started(Service.server(config)) as service:
            reader, writer = await connected(service)
            writer.write(crafter().good(to.pack(), b"x"))
            assert await reader.read(1)
            taken = replace(server_config(AEAD), address=other.addresses[0])
            more = replace(server_config(AEAD), address=replace(entry.address, port=free_port()))
            problems = await service.reload(replace(config, servers=(entry, taken, more)))
            assert [f"cannot listen on {taken.address}" in problem.text for problem in problems] == [True]
            assert set(service.addresses) == {entry.address, more.address}
            writer.write_eof()
            await rest_of(reader)
            await left(writer)
            await until(lambda: service.journal.reasons == {"done": 1})

    run(story())


def test_g08_ping_stop_stops(start: Start) -> None:
    """Old: it was taken for a `ping`, which it begins with."""

    async def story() -> None:
        async with managed(manager_of(start, "shadowsocks-server")) as (_, tool):
            assert await tool.ask("ping") == "pong"
            await tool.stat()
            await tool.ask("ping-stop")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(4 * SOON):
                    await tool.stat()

    run(story())


def test_g08_a_long_command_is_whole(start: Start) -> None:
    """Old: it was cut after 300 bytes."""

    async def story() -> None:
        async with target(echo) as to, managed(manager_of(start, "shadowsocks-server")) as (_, tool):
            port, password = free_port(), "aB3-" * 500
            assert await tool.ask("add", {"server_port": port, "password": password}) == "ok"
            assert await trip(port, password, to.pack())

    run(story())
