"""Control sockets: where they lie, whose they are, what becomes of their files, and who may talk."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from shadesocks.service.control import socket as file
from shadesocks.service.control.socket import CLIENTS_MAX, PATH_MAX, Control, connect, directories, is_trusted, listen

from ..rig import run, until

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")

ASK = b'{"v":1,"id":1,"do":"ping"}\n'


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory whose name is short."""
    with TemporaryDirectory(prefix="sh-") as name:
        yield Path(name)


@asynccontextmanager
async def controlled(wanted: str | None, role: str = "local", *, alone: bool = True) -> AsyncIterator[Control]:
    control = Control(wanted, role, lambda: {"ping": lambda _args: "pong"}, alone=alone)
    control.open()
    try:
        yield control
    finally:
        await control.close()


async def ask(path: str) -> Any:
    """Ask once, as a program would that has found a socket."""

    def talk() -> Any:
        with connect(path, 5) as sock, sock.makefile("rb") as lines:
            sock.sendall(ASK)
            return json.loads(lines.readline())

    return await asyncio.get_running_loop().run_in_executor(None, talk)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> set[str]:
    """Return what is in a directory, which need not be there."""
    return set(os.listdir(folder)) if folder.exists() else set()


def dead(path: Path) -> None:
    """Leave a socket as a process does that is killed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


PONG = {"v": 1, "id": 1, "ok": True, "result": "pong"}


# -- places ----------------------------------------------------------------------------------------


def test_the_usual_places(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/h")
    assert directories() == ["/h/.local/state/shadesocks/run"]
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/a:/run/b")
    assert directories() == ["/run/a", "/run/user/7/shadesocks", "/s/shadesocks/run"]


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """A session whose directory for sockets is not made yet."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    (folder / "run").mkdir()
    return folder / "run" / "shadesocks"


def test_only_its_user_may_open_it(usual: Path) -> None:
    mask = os.umask(0)
    try:

        async def story() -> None:
            async with controlled(None) as control:
                path = Path(control.path)
                assert path == usual / f"local-{os.getpid()}.sock"
                assert rights(usual) == 0o700
                assert rights(path) == 0o600
                assert await ask(control.path) == PONG
            assert names(usual) == set()

        run(story())
        assert os.umask(0) == 0
    finally:
        os.umask(mask)


def test_a_directory_that_others_may_read_is_closed(usual: Path) -> None:
    usual.mkdir(mode=0o755)

    async def story() -> None:
        async with controlled(None):
            assert rights(usual) == 0o700

    run(story())


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_place_that_is_no_directory_of_ours_is_passed_over(kind: str, usual: Path, folder: Path) -> None:
    if kind == "link":
        (folder / "elsewhere").mkdir()
        usual.symlink_to(folder / "elsewhere")
    else:
        usual.touch()

    async def story() -> None:
        async with controlled(None, "server") as control:
            assert control.path == str(folder / "state" / "shadesocks" / "run" / f"server-{os.getpid()}.sock")

    run(story())


def test_the_dead_are_cleared_away_and_the_living_are_not(usual: Path) -> None:
    usual.mkdir(mode=0o700)
    dead(usual / "server-1.sock")
    dead(usual / "manager.sock")
    (usual / "notes.sock").write_text("no socket")

    async def story() -> None:
        with listen(str(usual / "local-2.sock"), usual=False):
            async with controlled(None):
                assert names(usual) == {"local-2.sock", "manager.sock", "notes.sock", f"local-{os.getpid()}.sock"}

    run(story())


def test_without_any_place_the_service_goes_on(
    usual: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(file, "directories", list)

    async def story() -> None:
        async with controlled(None) as control:
            assert control.path == ""

    caplog.set_level("INFO")
    run(story())
    assert caplog.messages == ["no control socket, so nobody can ask this process: there is no directory for it"]


def test_none_is_wanted(usual: Path) -> None:
    async def story() -> None:
        async with controlled("") as control:
            assert control.path == ""

    run(story())
    assert not usual.exists()


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_directory_may_be_given(ending: str, folder: Path) -> None:
    async def story() -> None:
        async with controlled(f"{folder}{ending}", "server") as control:
            assert control.path == str(folder / f"server-{os.getpid()}.sock")
            assert await ask(control.path) == PONG

    run(story())


def test_workers_share_no_path(folder: Path) -> None:
    async def story() -> None:
        async with controlled(str(folder / "c.sock"), alone=False) as control:
            assert control.path == str(folder / f"c-{os.getpid()}.sock")

    run(story())


# -- files -----------------------------------------------------------------------------------------


def test_the_socket_of_a_dead_process_is_replaced(folder: Path) -> None:
    path = folder / "c"
    dead(path)

    async def story() -> None:
        async with controlled(str(path)) as control:
            assert await ask(control.path) == PONG

    run(story())
    assert names(folder) == set()


def test_that_of_a_live_one_is_taken_once_it_ends(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(file, "AGAIN", 0.01)
    path = str(folder / "c")

    async def story() -> None:
        first = Control(path, "local", lambda: {"ping": lambda _args: "first"})
        first.open()
        async with controlled(path) as second:
            assert second.path == ""
            assert (await ask(path))["result"] == "first"
            await asyncio.sleep(0.03)
            assert second.path == ""
            await first.close()
            await until(lambda: second.path == path)
            assert await ask(path) == PONG

    run(story())
    assert names(folder) == set()
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == [f"no control socket, so nobody can ask this process: another process listens at {path}"]


def test_a_live_one_whose_queue_is_full_is_not_taken(folder: Path) -> None:
    path = str(folder / "c")
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(path)
        busy.listen(0)
        waiting = []
        for _ in range(3):
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            waiting.append(sock)
            sock.connect_ex(path)
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is looked at
            listen(path, usual=False)
        assert caught.value.errno == errno.EADDRINUSE
        for sock in waiting:
            sock.close()


def test_a_file_of_somebody_stays(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = folder / "c"
    path.write_text("mine")

    async def story() -> None:
        async with controlled(str(path)) as control:
            assert control.path == ""

    run(story())
    assert path.read_text() == "mine"
    assert f"{path} is there, and no socket; move it, or choose another path" in caplog.text


def test_what_is_another_process_s_by_then_stays(folder: Path) -> None:
    path = folder / "c"

    async def story() -> None:
        async with controlled(str(path)):
            path.unlink()
            path.write_text("another's")
        assert path.read_text() == "another's"

    run(story())


def test_a_directory_that_is_locked_is_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.setattr(file, "SOON", 0.01)

    async def story() -> None:
        number = os.open(folder, os.O_RDONLY)
        fcntl.flock(number, fcntl.LOCK_EX)
        async with controlled(str(folder / "c")) as control:
            await asyncio.sleep(0.03)
            assert control.path == ""
            os.close(number)
            await until(lambda: control.path != "")
            assert await ask(control.path) == PONG

    run(story())


def test_a_directory_that_stays_locked_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import fcntl

    monkeypatch.setattr(file, "SOON", 0.0)

    async def story() -> None:
        number = os.open(folder, os.O_RDONLY)
        fcntl.flock(number, fcntl.LOCK_EX)
        async with controlled(str(folder / "c")):
            await until(lambda: bool(caplog.messages))
        os.close(number)

    run(story())
    assert caplog.messages == [
        f"no control socket, so nobody can ask this process: another process has locked {folder}"
    ]


def test_a_path_that_is_too_long_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(folder / ("x" * PATH_MAX))

    async def story() -> None:
        async with controlled(path) as control:
            assert control.path == ""

    run(story())
    assert f"the path has {len(path)} bytes, and a socket's has 107 at most; choose a shorter one" in caplog.text
    fits = str(folder / ("x" * (PATH_MAX - len(str(folder)) - 1)))
    assert len(fits) == PATH_MAX
    listen(fits, usual=False).close()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system has no /proc/self/fd")
def test_a_usual_place_may_be_deep(usual: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = folder / ("x" * 60) / ("y" * 60)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))

    async def story() -> None:
        async with controlled(None) as control:
            assert control.path.startswith(str(deep))
            assert await ask(control.path) == PONG
            async with controlled(None) as second:  # the same process again, in the next place
                assert second.path.startswith(str(folder / "state"))
            assert await ask(control.path) == PONG

    run(story())
    assert names(deep / "shadesocks") == set()


# -- whoever comes ---------------------------------------------------------------------------------


def test_two_programs_at_once(folder: Path) -> None:
    async def story() -> None:
        async with controlled(str(folder / "c")) as control:
            loop = asyncio.get_running_loop()
            with connect(control.path, 5) as one, connect(control.path, 5) as two:
                for sock in (one, two):
                    sock.setblocking(False)
                one.send(ASK[:5])
                two.send(ASK)
                assert json.loads(await loop.sock_recv(two, 1000)) == PONG
                one.send(ASK[5:])
                assert json.loads(await loop.sock_recv(one, 1000)) == PONG

    run(story())


def test_there_is_room_for_so_many(folder: Path) -> None:
    async def story() -> None:
        async with controlled(str(folder / "c")) as control:
            socks = [connect(control.path, 5) for _ in range(CLIENTS_MAX)]
            await until(lambda: len(control._talks) == CLIENTS_MAX)
            assert (await ask(control.path))["error"]["code"] == "busy"
            socks.pop().close()
            await until(lambda: len(control._talks) < CLIENTS_MAX)
            assert await ask(control.path) == PONG
            for sock in socks:
                sock.close()

    run(story())


def test_talks_end_with_the_service(folder: Path) -> None:
    async def story() -> None:
        async with controlled(str(folder / "c")) as control:
            with connect(control.path, 5) as sock:
                await until(lambda: bool(control._talks))
                await control.close()
                sock.setblocking(False)
                assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""
            await control.close()

    run(story())


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="this system tells nothing of the other end")
def test_another_user_is_not_heard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = socket.socketpair()
    with near, far:
        found = far.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        assert struct.unpack("=iII", found)[1] == os.geteuid()
        assert is_trusted(far)

    async def story() -> None:
        async with controlled(str(folder / "c")) as control:
            with monkeypatch.context() as patch:
                patch.setattr(file, "is_trusted", lambda _sock: False)
                assert (await ask(control.path))["error"]["code"] == "forbidden"
            assert await ask(control.path) == PONG

    run(story())


@pytest.mark.parametrize(("user", "asks", "heard"), [(0, 5, True), (5, 5, True), (5, 0, False), (6, 5, False)])
def test_whose_end_is_trusted(user: int, asks: int, heard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`user` is at the other end; this process is the user `asks`."""

    class Sock:
        def getsockopt(self, *_: int) -> bytes:
            return struct.pack("=iII", 1, user, 0)

    monkeypatch.setattr(socket, "SO_PEERCRED", 17, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: asks)
    assert is_trusted(Sock()) is heard  # type: ignore[arg-type]  # all that is asked of a socket


def test_who_waits_when_no_descriptor_is_left_waits_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "PAUSE", 0.01)

    async def story() -> None:
        async with controlled(str(folder / "c")) as control:
            real = control._sock
            assert real is not None
            number = real.fileno

            class Full:
                """A listener that cannot accept once."""

                fileno = staticmethod(number)

                @staticmethod
                def accept() -> Any:
                    control._sock = real
                    raise OSError(errno.EMFILE, "too many open files")

            control._sock = Full()  # type: ignore[assignment]
            assert await ask(control.path) == PONG
            assert control._sock is real

    run(story())
