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
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Mode, PluginConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.core.secret import Secret
from shadesocks.service.plugins import errand as errands
from shadesocks.service.plugins import plugin as module
from shadesocks.service.plugins.child import Child
from shadesocks.service.plugins.errand import ClientErrand, Errand, ServerErrand
from shadesocks.service.plugins.places import free_place, is_free
from shadesocks.service.plugins.plugin import DOWN, STARTING, UP, Plugin

from ..rig import HOST, echo, run, target
from ..stubs import alive, children, stub

REMOTE = Address(HOST, 1)


linux_alone = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers and such signals")


@asynccontextmanager
async def living(
    config: PluginConfig, remote: Address = REMOTE, host: str = HOST, **more: Any
) -> AsyncIterator[Plugin]:
    """Start a plugin of a client, and end it whatever happens."""
    async with doing(ClientErrand(config, remote, host), **more) as plugin:
        yield plugin


@asynccontextmanager
async def doing(errand: Errand, **more: Any) -> AsyncIterator[Plugin]:
    """Start a plugin, and end it whatever happens."""
    plugin = Plugin(errand, **more)
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
                errands, "free_place", lambda host, **kind: next(places, None) or free_place(host, **kind)
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
            assert len(alive(pid)) == 4  # with the launcher
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


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def written(told: Path) -> list[int]:
    path = Path(f"{told}.pids")
    pids: list[int] = json.loads(path.read_text()) if path.exists() else []
    return pids


def running(folder: Path) -> list[int]:
    """Return the processes that run a program of a folder, wherever they went."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            if os.fsencode(folder) in Path(f"/proc/{name}/cmdline").read_bytes():
                found.append(int(name))
    return found


async def pids_of(told: Path) -> list[int]:
    path = Path(f"{told}.pids")
    await until(path.exists)
    return written(told)


@linux_alone
@pytest.mark.parametrize("options", ["away", "daemon", "away;die=0.1"])
def test_what_left_its_session_ends_with_it(options: str, tmp_path: Path) -> None:
    told = tmp_path / "told"

    async def story() -> None:
        async with living(stub(tmp_path, f"{options};environ={told}")) as plugin:
            (pid,) = await pids_of(told)
            if "d" in options.partition(";")[2] or options == "daemon":
                await until(lambda: plugin.status.state == DOWN)
            else:
                await up(plugin)
                assert not is_gone(pid)
        await until(lambda: is_gone(pid))

    run(story())


@linux_alone
def test_one_that_works_in_another_session_is_known_and_ended(tmp_path: Path) -> None:
    async def story() -> None:
        async with target(echo) as far, living(stub(tmp_path, "session"), far) as plugin:
            place = await up(plugin)
            await trip(place)
        assert is_free(place, tcp=True, udp=False)

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


def test_a_secret_is_not_shown_however_it_is_escaped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "leaky"
    path.write_text(
        '#!/bin/sh\necho "$SS_PLUGIN_OPTIONS" | sed "s/key=//; p; s/.;/XX/; p; s/XX/../"; exec sleep 1000\n'
    )
    path.chmod(0o700)
    config = PluginConfig(str(path), Secret("key=hunter22\\;correct;x"))

    async def story() -> None:
        async with living(config) as plugin:
            await until(lambda: ".." in plugin.status.words)

    with caplog.at_level(logging.DEBUG):
        run(story())
    assert "plugin leaky: " in caplog.text
    assert "hunter22" not in caplog.text
    assert "correct" not in caplog.text


def test_options_that_no_environment_holds_end_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with living(stub(tmp_path, "a\0b")) as plugin:
            with pytest.raises(DialError):
                await plugin.waiting()

    with caplog.at_level(logging.WARNING):
        run(story())
    assert "it cannot be started: its name, its options or its words hold NUL" in caplog.text
    assert "internal error" not in caplog.text


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
            async with doing(ServerErrand(stub(tmp_path, "server"), public, behind)) as plugin:
                await up(plugin)
                await trip(public)

    run(story())


def test_the_loopback_of_ipv6(tmp_path: Path) -> None:
    try:
        host = free_place("::1", tcp=True, udp=False).host
    except OSError:
        pytest.skip("this machine has no ::1")

    async def story() -> None:
        async with target(echo) as far, living(stub(tmp_path), far, host) as plugin:
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


@linux_alone
@pytest.mark.parametrize("options", ["", "stubborn;fork", "stubborn;away", "session"])
def test_a_plugin_dies_with_us_and_what_it_started(options: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    config = stub(tmp_path, f"{options};environ={told}")
    program = f"""
        import asyncio, os, signal
        from shadesocks.config.model import PluginConfig
        from shadesocks.core.address import Address
        from shadesocks.core.secret import Secret
        from shadesocks.service.plugins.errand import ClientErrand
        from shadesocks.service.plugins.plugin import Plugin

        async def main():
            config = PluginConfig({config.name!r}, Secret({config.options.reveal()!r}))
            plugin = Plugin(ClientErrand(config, Address("{HOST}", 1), "{HOST}"))
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

    pids = written(told)

    async def story() -> None:
        await until(lambda: alive(pid) == [])
        await until(lambda: all(map(is_gone, pids)))

    run(story())
    assert len(pids) == (2 if "fork" in options else "away" in options)


@pytest.mark.timeout(1800)
def test_many_starts_leave_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Of every kind in turn; 1,000 of them with `--whole`."""
    count = 1000 if request.config.getoption("--whole", default=False) else 20
    kinds = ("", "die", "fork", "die=0.05", "fork;die=0.1", "greet", "away", "daemon", "away;stubborn;die=0.1")
    groups: set[int] = set()

    async def one(number: int) -> None:
        config = stub(tmp_path, kinds[number % len(kinds)])
        plugin = Plugin(ClientErrand(config, REMOTE, HOST))
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
        await until(lambda: running(tmp_path) == [])
        assert children() == []

    async def limited() -> None:
        async with asyncio.timeout(20 + count):
            await story()

    asyncio.run(limited())
    assert len(groups) >= count // 3
