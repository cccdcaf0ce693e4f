"""What runs on this machine: found by its sockets, asked, and not believed."""

from __future__ import annotations

import itertools
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from shadesocks.cli import running
from shadesocks.cli.running import Running, SilentError, find, shown
from shadesocks.service.control.socket import connect
from shadesocks.wire.control import ControlError

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")

ABOUT = {"role": "local", "pid": 7, "config": "c.json", "commands": ["about", "servers"]}


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The one directory in which sockets are looked for."""
    with TemporaryDirectory(prefix="sh-") as name:
        monkeypatch.setattr(running, "directories", lambda: [name])
        monkeypatch.setattr(running, "_OF_ALL", ())
        yield Path(name)


@contextmanager
def answering(path: Path, *answers: bytes | None) -> Iterator[list[Any]]:
    """Be a service that gives one program these answers, and hangs up; None is no answer. Yields what it was asked."""
    heard: list[Any] = []
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            sock, _ = listener.accept()
            with sock, sock.makefile("rb") as lines:
                for answer in answers:
                    line = lines.readline()
                    if not line:
                        return
                    heard.append(json.loads(line))
                    if answer is None:
                        over.wait(10)
                    else:
                        sock.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield heard
        finally:
            over.set()
            thread.join()


def told(result: Any) -> bytes:
    return json.dumps({"v": 1, "id": 1, "ok": True, "result": result}).encode() + b"\n"


def test_nothing_runs(folder: Path) -> None:
    for path in (None, str(folder), str(folder / "none"), str(folder / "none" / "none.sock")):
        found = find(path)
        assert (found.services, found.closed, found.silent) == ([], [], [])


@pytest.mark.parametrize("given", ["", ".", "c.sock"])
def test_a_service_is_found_and_asked(given: str, folder: Path) -> None:
    answers = (told(ABOUT), told({"servers": []}), b'{"v":1,"ok":false,"error":{"code":"x","text":"no \\u001b[31m"}}\n')
    with answering(folder / "c.sock", *answers) as heard:
        found = find(str(folder / given) if given else None)
        [service] = found.services
        assert (service.role, service.pid, service.config) == ("local", 7, "c.json")
        assert service.words == {"about", "servers"}
        assert service.ask("servers") == {"servers": []}
        with pytest.raises(ControlError) as caught:
            service.ask("pin", name="a")
        assert (caught.value.code, str(caught.value)) == ("x", "no ?[31m")
        with pytest.raises(SilentError, match="has ended"):
            service.ask("servers")
        found.close()
    assert heard == [
        {"v": 1, "id": 1, "do": "about"},
        {"v": 1, "id": 2, "do": "servers"},
        {"v": 1, "id": 3, "do": "pin", "with": {"name": "a"}},
    ]


def test_workers_are_found_by_the_path_of_their_config(folder: Path) -> None:
    """Each has its number in the name of its socket (`service/control/socket.py`)."""
    for name in ("[a-b]-c.sock", "[a-b]-7.txt", "[a-b]-7x.sock", "a-8.sock"):
        (folder / name).mkdir()  # would be told: nobody can connect to it
    with answering(folder / "[a-b]-17.sock", told(ABOUT)), answering(folder / "[a-b]-18.sock", told(ABOUT)):
        found = find(str(folder / "[a-b].sock"))
        assert [Path(service.path).name for service in found.services] == ["[a-b]-17.sock", "[a-b]-18.sock"]
        assert not found.silent
        found.close()


def test_other_files_and_the_dead_are_passed_over(folder: Path) -> None:
    (folder / "x.sock").write_text("a file")
    (folder / "other").write_text("a file")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "dead.sock"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "manager.sock"))
        found = find()
    assert (found.services, found.closed, found.silent) == ([], [], [])
    assert (folder / "dead.sock").exists()


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\n",
        told({}),
        told(7),
        told({**ABOUT, "pid": "x"}),
        told({**ABOUT, "commands": 7}),
        told({**ABOUT, "pid": 1e999}),
    ],
)
def test_what_is_no_service_of_ours_is_told(answer: bytes, folder: Path) -> None:
    with answering(folder / "c.sock", answer):
        found = find()
    assert found.services == []
    [sentence] = found.silent
    assert sentence.startswith(str(folder / "c.sock"))


def test_one_that_does_not_answer_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LIMIT", 0.05)
    with answering(folder / "c.sock", None):
        found = find()
    assert found.silent == [f"{folder / 'c.sock'}: no answer within 0.05 seconds"]


def test_who_is_not_heard_is_told_why(folder: Path) -> None:
    """The service hangs up before anything was said."""
    refused = b'{"v":1,"id":null,"ok":false,"error":{"code":"busy","text":"ask again later"}}\n'
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "x.sock"))
        listener.listen()

        def refuse() -> None:
            with listener.accept()[0] as sock:
                sock.sendall(refused)

        thread = threading.Thread(target=refuse)
        thread.start()
        service = Running(str(folder / "x.sock"), connect(str(folder / "x.sock"), 10))
        thread.join()
        with closing(service), pytest.raises(ControlError, match=r"^ask again later$"):
            service.introduce()


def test_a_name_of_a_file_is_no_command_for_a_terminal(folder: Path) -> None:
    with answering(folder / "x\x1b[2J.sock", b"junk\n"):
        found = find()
    (sentence,) = found.silent
    assert sentence.startswith(f"{folder.resolve()}/x?[2J.sock: ")
    assert sentence.isprintable()


def test_an_answer_has_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends a byte now and then would be waited for as long as it pleases."""
    monkeypatch.setattr(running, "ANSWER_LIMIT", 0.0)
    monkeypatch.setattr(running, "LIMIT", 10.0)
    clock = itertools.count(0.0, 6.0)
    monkeypatch.setattr("shadesocks.cli.running.time.monotonic", lambda: next(clock))
    with answering(folder / "c.sock", b"x"):
        found = find()
    assert found.silent == [f"{folder / 'c.sock'}: the service has ended"]
    clock = itertools.count(0.0, 11.0)
    with answering(folder / "d.sock", b"x"):
        found = find(str(folder / "d.sock"))
    assert found.silent == [f"{folder / 'd.sock'}: its answer has no end"]


def test_an_answer_has_a_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ANSWER_MAX", 1000)
    with answering(folder / "c.sock", b"x" * 2000):
        found = find()
    assert len(found.silent) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may open all")
def test_those_of_others_are_told(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "c.sock"))
        sock.listen()
        (folder / "c.sock").chmod(0)
        assert find().closed == [str(folder / "c.sock")]


def test_those_of_others_are_told_to_everybody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: str, _limit: float) -> Any:
        raise PermissionError

    monkeypatch.setattr(running, "connect", refuse)
    (folder / "c.sock").touch()
    assert find().closed == [str(folder / "c.sock")]


def test_one_socket_with_two_names_is_one_service(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "private").mkdir()
    (folder / "link").symlink_to(folder / "private")
    monkeypatch.setattr(running, "directories", lambda: [str(folder / "private")])
    monkeypatch.setattr(running, "_OF_ALL", (str(folder / "lin*"),))
    with answering(folder / "private" / "c.sock", told(ABOUT)):
        found = find()
        assert len(found.services) == 1
        found.close()


def test_a_terminal_gets_no_commands() -> None:
    assert shown("tokyo 東京") == "tokyo 東京"
    assert shown("\x1b]0;x\x07\n\u202e") == "?]0;x???"
    assert (shown(None), shown(7)) == ("", "7")
