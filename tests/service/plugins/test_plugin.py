"""One plugin's life: up, down and up again, whatever it does; and nothing is left of it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Mode, PluginConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.service.plugins import plugin as module
from shadesocks.service.plugins.child import Child
from shadesocks.service.plugins.plugin import (
    DOWN,
    STARTING,
    UP,
    Errand,
    Plugin,
    clean_environment,
    clean_path,
    find_program,
    free_place,
    is_free,
)

from ..rig import HOST, echo, run, target
from ..stubs import alive, children, stub

REMOTE = Address(HOST, 1)
ANY = Address(HOST, 0)


@asynccontextmanager
async def living(
    config: PluginConfig, remote: Address = REMOTE, local: Address = ANY, **more: Any
) -> AsyncIterator[Plugin]:
    """Start a plugin, and end it whatever happens."""
    plugin = Plugin(Errand(config, remote, local), **more)
    plugin.start()
    try:
        yield plugin
    finally:
        await plugin.stop()
        assert children() == []


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; a process tells nobody what it does."""
    while not holds():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0.01)


def cmdline(pid: int | None) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def up(plugin: Plugin) -> Address:
    return await plugin.waiting()


async def trip(place: Address) -> None:
    reader, writer = await asyncio.open_connection(place.host, place.port)
    writer.write(b"there and back")
    assert await reader.readexactly(14) == b"there and back"
    writer.close()
    await writer.wait_closed()


def test_a_plugin_carries_what_comes(tmp_path: Path) -> None:
    async def story() -> None:
        async with target(echo) as far, living(stub(tmp_path), far) as plugin:
            assert (plugin.status.state, plugin.status.restarts) == (STARTING, 0)
            place = await up(plugin)
            assert plugin.address == place
            assert await plugin.waiting() == place
            await trip(place)
            status = plugin.status
            assert (status.state, status.restarts, status.name) == (UP, 0, "stub-plugin")
            assert status.pid is not None
            assert os.getpgid(status.pid) == os.getsid(status.pid) == status.pid
            assert plugin.about()["state"] == UP
        assert alive(status.pid) == []
        after = plugin.status
        assert (after.state, after.pid) == (DOWN, None)
        assert plugin.address is None

    run(story())


def test_it_is_told_what_the_specification_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"relative::{os.environ['PATH']}")
    monkeypatch.setenv("SS_PLUGIN_OPTIONS", "somebody's")
    monkeypatch.setenv("SS_SERVER_PASSWORD", "ours")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setenv("INHERITED", "yes")
    told = tmp_path / "told"
    options = f"environ={told};key=a\\;b"

    async def story() -> None:
        async with living(stub(tmp_path, options, args=("-x", "a,b"))) as plugin:
            place = await up(plugin)
            said = json.loads(told.read_text())
            environ = said["environ"]
            assert {name: text for name, text in environ.items() if name.startswith("SS_")} == {
                "SS_REMOTE_HOST": HOST,
                "SS_REMOTE_PORT": "1",
                "SS_LOCAL_HOST": HOST,
                "SS_LOCAL_PORT": str(place.port),
                "SS_PLUGIN_OPTIONS": options,
            }
            assert environ["INHERITED"] == "yes"
            assert "NOTIFY_SOCKET" not in environ
            assert all(part.startswith("/") for part in environ["PATH"].split(":"))
            assert said["argv"] == [str(tmp_path / "stub-plugin"), "-x", "a,b"]
            pid = plugin.status.pid
            assert options.encode() not in cmdline(pid)
            assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
            assert len(os.listdir(f"/proc/{pid}/fd")) <= 5

    run(story())


def test_one_that_dies_at_once_is_started_again_later_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with living(stub(tmp_path, "die;greet")) as plugin:
            with pytest.raises(DialError) as caught:
                await plugin.waiting()
            assert caught.value.code == "plugin_down"
            with pytest.raises(DialError):
                plugin.waiting()
            assert plugin.status.state == DOWN
            await until(lambda: plugin.status.restarts == 2)

    with caplog.at_level(logging.INFO):
        run(story())
    assert "plugin stub-plugin: hello from the stub" in caplog.text
    downs = [record.getMessage() for record in caplog.records if "is down" in record.getMessage()]
    assert "it exited with status 3; it said last: hello from the stub; it is started again in 0.1 s" in downs[0]
    assert "in 0.2 s" in downs[1]


def test_one_that_dies_later_comes_back_at_the_same_port(tmp_path: Path) -> None:
    async def story() -> None:
        moved: list[Address] = []
        async with target(echo) as far, living(stub(tmp_path), far, moved=moved.append) as plugin:
            place = await up(plugin)
            pid = plugin.status.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda: plugin.status.state == DOWN)
            assert plugin.address is None
            await until(lambda: plugin.status.state == STARTING)
            assert await up(plugin) == place
            assert plugin.status.restarts == 1
            assert plugin.status.pid != pid
            assert moved == []
            await trip(place)

    run(story())


def test_a_port_that_was_taken_meanwhile_is_left(tmp_path: Path) -> None:
    async def story() -> None:
        moved: list[Address] = []
        async with living(stub(tmp_path), moved=moved.append) as plugin:
            place = await up(plugin)
            pid = plugin.status.pid
            assert pid is not None
            with socket.socket() as thief:
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                os.kill(pid, signal.SIGKILL)
                await until(lambda: plugin.status.state == DOWN)
                thief.bind((HOST, place.port))
                thief.listen()
                await until(lambda: plugin.status.state == UP)
                assert plugin.address not in (None, place)
                assert moved == [place]

    run(story())


@pytest.mark.parametrize("options", ["", "hang"], ids=["it ends", "it hangs"])
def test_a_port_race_is_lost_and_another_port_won(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else listens on the port that was free: with one that ends for it, and with one that does not care."""

    async def story() -> None:
        async with target(echo) as taken:
            places = iter((taken, taken))
            monkeypatch.setattr(
                module, "free_place", lambda host, **kind: next(places, None) or free_place(host, **kind)
            )
            async with living(stub(tmp_path, options)) as plugin:
                if not options:
                    assert await up(plugin) != taken
                else:
                    await until(lambda: next(places, None) is None)
                    assert plugin.address is None
                assert plugin.status.restarts == 0

    with caplog.at_level(logging.WARNING):
        run(story())
    assert "is down" not in caplog.text


def test_who_dials_waits_for_one_that_is_late(tmp_path: Path) -> None:
    async def story() -> None:
        async with living(stub(tmp_path, "late=0.3")) as plugin:
            waiting = [plugin.waiting() for _ in range(3)]
            waiting[0].cancel()
            assert await waiting[1] == await waiting[2] == plugin.address

    run(story())


def test_one_that_never_listens_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "START_LIMIT", 0.3)

    async def story() -> None:
        async with living(stub(tmp_path, "hang")) as plugin:
            pid = 0
            while plugin.status.state == STARTING:
                pid = plugin.status.pid or pid
                await asyncio.sleep(0.01)
            assert alive(pid) == []

    with caplog.at_level(logging.WARNING):
        run(story())
    assert "it did not listen on" in caplog.text


def test_one_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Child.end, "__defaults__", (0.3,))
    told = tmp_path / "told"

    async def story() -> None:
        async with living(stub(tmp_path, f"stubborn;fork;environ={told}")) as plugin:
            await up(plugin)
            pid = plugin.status.pid
            assert pid is not None
            assert len(alive(pid)) == 3
        await until(lambda: alive(pid) == [])

    run(story())
    assert len(json.loads(Path(f"{told}.pids").read_text())) == 2


def test_children_of_one_that_dies_die_with_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with living(stub(tmp_path, "fork")) as plugin:
            await up(plugin)
            pid = plugin.status.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda: alive(pid) == [])

    run(story())


def test_a_flood_fills_neither_memory_nor_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with target(echo) as far, living(stub(tmp_path, "flood"), far) as plugin:
            place = await up(plugin)
            await until(lambda: plugin._output.floods)
            for _ in range(20):
                await trip(place)
            assert plugin.status.words == "flood"

    with caplog.at_level(logging.INFO):
        run(story())
    assert 10 < caplog.text.count("flood") < 200
    assert "lines were left out" in caplog.text


def test_what_it_says_of_its_options_is_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with living(stub(tmp_path, "key=hunter22;leak")) as plugin:
            await up(plugin)
            await until(lambda: bool(plugin._output.last))

    with caplog.at_level(logging.DEBUG):
        run(story())
    assert "hunter22" not in caplog.text
    assert "plugin stub-plugin: the key is …" in caplog.text


@pytest.mark.parametrize("mode", [Mode.UDP_ONLY, Mode.TCP_AND_UDP])
def test_datagrams(mode: Mode, tmp_path: Path) -> None:
    async def story() -> None:
        options = "udp" if mode.tcp else "udp;tcp=no"
        async with living(stub(tmp_path, options, mode)) as plugin:
            place = await up(plugin)
            assert not is_free(place, tcp=False, udp=True)

    run(story())


def test_a_servers_plugin_listens_where_the_server_would(tmp_path: Path) -> None:
    async def story() -> None:
        async with target(echo) as behind:
            public = free_place(HOST, tcp=True, udp=False)
            async with living(stub(tmp_path, "server"), public, behind) as plugin:
                await up(plugin)
                await trip(public)

    run(story())


def test_the_loopback_of_ipv6(tmp_path: Path) -> None:
    try:
        local = replace(free_place("::1", tcp=True, udp=False), port=0)
    except OSError:
        pytest.skip("this machine has no ::1")

    async def story() -> None:
        async with target(echo) as far, living(stub(tmp_path), far, local) as plugin:
            place = await up(plugin)
            assert place.host == "::1"
            await trip(place)

    run(story())


def test_a_program_that_is_gone_is_looked_for_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with living(PluginConfig(str(tmp_path / "missing"))) as plugin:
            with pytest.raises(DialError):
                await plugin.waiting()

    with caplog.at_level(logging.WARNING):
        run(story())
    assert "no such program is found" in caplog.text


def test_a_plugin_works_on_any_loop(tmp_path: Path) -> None:
    async def story() -> None:
        async with asyncio.timeout(20), living(stub(tmp_path)) as plugin:
            assert await up(plugin) == plugin.address

    asyncio.run(story())


def test_where_no_descriptor_tells_of_an_end_a_timer_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")

    async def story() -> None:
        async with living(stub(tmp_path, "fork")) as plugin:
            await up(plugin)
            pid = plugin.status.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda: plugin.status.state == DOWN)
            await until(lambda: alive(pid) == [])

    run(story())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_plugin_dies_with_us(tmp_path: Path) -> None:
    config = stub(tmp_path)
    program = f"""
        import asyncio, os, signal
        from shadesocks.config.model import PluginConfig
        from shadesocks.core.address import Address
        from shadesocks.service.plugins.plugin import Errand, Plugin

        async def main():
            plugin = Plugin(Errand(PluginConfig({config.name!r}), Address("{HOST}", 1), Address("{HOST}", 0)))
            plugin.start()
            await plugin.waiting()
            print(plugin.status.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid = int(done.stdout)

    async def story() -> None:
        await until(lambda: alive(pid) == [])

    run(story())


@pytest.mark.timeout(1800)
def test_many_starts_leave_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Of every kind in turn; 1,000 of them with `--whole`."""
    count = 1000 if request.config.getoption("--whole", default=False) else 20
    kinds = ("", "die", "fork", "die=0.05", "fork;die=0.1", "greet")
    config = [stub(tmp_path, options) for options in kinds]
    groups: set[int] = set()

    async def one(number: int) -> None:
        plugin = Plugin(Errand(config[number % len(kinds)], REMOTE, Address(HOST, 0)))
        plugin.start()
        try:
            if number % 4:
                await plugin.waiting()
        except DialError:
            pass
        finally:
            if plugin.status.pid is not None:
                groups.add(plugin.status.pid)
            await plugin.stop()

    async def story() -> None:
        for number in range(0, count, 4):
            await asyncio.gather(*(one(each) for each in range(number, min(number + 4, count))))
        await until(lambda: not any(map(alive, groups)))
        assert children() == []

    async def limited() -> None:
        async with asyncio.timeout(20 + count):
            await story()

    asyncio.run(limited())
    assert len(groups) >= count // 3


# Programs, environments and ports


def test_programs_are_found_in_a_clean_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".::{tmp_path.name}:/nowhere")
    assert find_program("stub-plugin") is None
    assert find_program("./stub-plugin") is None
    monkeypatch.setenv("PATH", f".:{tmp_path}")
    assert find_program("stub-plugin") == find_program(str(tmp_path / "stub-plugin")) == str(tmp_path / "stub-plugin")
    assert find_program(str(tmp_path)) is None


def test_environments_are_clean() -> None:
    assert clean_path("/bin:.::/usr/bin:x") == "/bin:/usr/bin"
    environ = {"PATH": ":/bin", "HOME": "/", "LISTEN_FDS": "2", "SS_SERVER_PASSWORD": "x", "SS_PLUGIN_OPTIONS": "y"}
    assert clean_environment(environ) == {"PATH": "/bin", "HOME": "/"}
    assert clean_environment({}) == {}


@pytest.mark.parametrize(("tcp", "udp"), [(True, False), (False, True), (True, True)])
def test_a_free_port_is_free_for_what_is_wanted(tcp: bool, udp: bool) -> None:
    place = free_place(HOST, tcp=tcp, udp=udp)
    assert is_free(place, tcp=tcp, udp=udp)
    with socket.socket(type=socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
        sock.bind((place.host, place.port))
        assert not is_free(place, tcp=tcp, udp=udp)
