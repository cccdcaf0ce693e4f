"""The life of one worker, told over its line by a master that is a thread of this test."""

from __future__ import annotations

import gc
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from socket import SocketType

import pytest

from shadesocks.cli.running import find
from shadesocks.config.model import Config, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import Problem
from shadesocks.core.secret import Secret
from shadesocks.crypto.methods import METHODS
from shadesocks.net.listen import bind
from shadesocks.net.options import TcpOptions
from shadesocks.process import line as said
from shadesocks.process.line import Line, Message, make_line, mark_of, pack, unpack
from shadesocks.process.rereads import answer
from shadesocks.process.worker import DIED, Work, problems_of, run_worker
from shadesocks.service.manager.change import Change
from shadesocks.service.manager.tally import Share, Tally
from shadesocks.service.siblings import Desk, Siblings
from tests.e2e.crowd import echo, eventually
from tests.e2e.herd import Stream, trip
from tests.peers import PASSWORDS

HOST = "127.0.0.1"
METHOD = "aes-256-gcm"


def listening() -> SocketType:
    return bind((HOST, 0), socket.AF_INET, TcpOptions(), reuse_port=True)


def config_of(*sockets: SocketType, state: Path) -> Config:
    servers = tuple(
        ServerConfig(Address(HOST, sock.getsockname()[1]), METHODS[METHOD], Secret(PASSWORDS[METHOD]))
        for sock in sockets
    )
    return Config(servers=servers, allow_private=True, state_dir=str(state), control="", worker_hang_timeout=0.3)


class Master:
    """What a master hears, and says."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.heard: list[Message] = []
        self.ended = False

    def listen(self) -> None:
        for message in self.line.receive():
            if message is None:
                self.ended = True
                return
            self.heard.append(message)

    def until(self, kind: bytes, count: int = 1) -> Message:
        def came() -> bool:
            self.listen()
            return sum(message.kind == kind for message in self.heard) >= count

        eventually(came, f"{kind!r} is heard")
        return [message for message in self.heard if message.kind == kind][count - 1]


@contextmanager
def mastered(story: Callable[[Master], None]) -> Iterator[Line]:
    """Run a master's part beside the worker's, which is the block."""
    ours, theirs = make_line()
    wrong: list[BaseException] = []

    def play() -> None:
        try:
            story(Master(ours))
        except BaseException as error:
            wrong.append(error)
            ours.close()  # or the worker would wait for it

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield theirs
    finally:
        thread.join()
        ours.close()
        theirs.close()
    if wrong:
        raise wrong[0]


def test_it_serves_gives_signs_of_life_and_stops_when_it_is_told(tmp_path: Path) -> None:
    sock = listening()
    config = config_of(sock, state=tmp_path)
    before = gc.get_freeze_count()
    with echo() as target:

        def story(master: Master) -> None:
            master.until(said.READY)
            assert trip(config.servers[0].address.port, target.port)
            beat = master.until(said.BEAT, 3)
            assert beat.number > 1 << 20, "resident bytes"
            assert gc.get_freeze_count() > before, "the collector looks at nothing that the start made"
            master.line.send(said.STOP, 100)

        with mastered(story) as line:
            assert run_worker(config, [sock], Siblings(), line, Work()) == 0
    assert gc.get_freeze_count() <= before


def test_it_quits_with_its_last_connection_or_when_it_is_stopped(tmp_path: Path) -> None:
    for stopped in (False, True):
        sock = listening()
        config = config_of(sock, state=tmp_path)
        port = config.servers[0].address.port
        with echo() as target:

            def story(master: Master, stopped: bool = stopped, port: int = port, target: int = target.port) -> None:
                master.until(said.READY)
                with Stream(port, target) as stream:
                    assert stream.answered()
                    master.line.send(said.QUIT)
                    eventually(lambda: not accepts(port), "the port is given up")
                    assert stream.lives()
                    if stopped:
                        master.line.send(said.STOP, 0)
                        eventually(lambda: not lives(stream), "the connection is ended")

            with mastered(story) as line:
                assert run_worker(config, [sock], Siblings(), line, Work()) == 0


def lives(stream: Stream) -> bool:
    try:
        return stream.lives()
    except OSError:
        return False


def accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port)).close()
    except ConnectionError:
        return False
    return True


def test_the_end_of_its_master_is_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sock = listening()
    config = replace(config_of(sock, state=tmp_path), drain_timeout=0.1)

    def story(master: Master) -> None:
        master.until(said.READY)
        master.line.close()

    with mastered(story) as line:
        assert run_worker(config, [sock], Siblings(), line, Work()) == 0
    assert "the master of this worker is gone" in caplog.text


def test_what_keeps_it_from_starting_is_told_to_the_master(tmp_path: Path) -> None:
    sock = listening()
    config = replace(config_of(sock, state=tmp_path), event_model="kqueue")

    def story(master: Master) -> None:
        (problem,) = problems_of(master.until(said.FAILED).descriptors[0])
        assert problem.key == "event_model"

    siblings = Siblings()
    with mastered(story) as line:
        assert run_worker(config, [sock], siblings, line, Work()) == DIED
    siblings.close()  # as the end of its process does
    sock.close()


def test_it_serves_the_config_that_it_reads_again_on_the_sockets_that_come_with_it(tmp_path: Path) -> None:
    first, second = listening(), listening()
    before, after = config_of(first, state=tmp_path), config_of(second, state=tmp_path)
    old, new = before.servers[0].address.port, after.servers[0].address.port
    with echo() as target:

        def story(master: Master) -> None:
            master.until(said.READY)
            master.line.send(said.SOCKETS, 0, [second.fileno()])
            master.line.send(said.CONFIG, mark_of(after))
            master.until(said.SERVES)
            assert not accepts(old), "the old port is given up when that is said"
            assert trip(new, target.port)
            second.close()
            assert trip(new, target.port), "it has its own"
            master.line.send(said.STOP, 0)

        with mastered(story) as line:
            assert run_worker(before, [first], Siblings(), line, Work(reread=lambda: after)) == 0


def test_one_that_reads_another_config_than_its_master_makes_room(tmp_path: Path) -> None:
    sock = listening()
    config = config_of(sock, state=tmp_path)

    def story(master: Master) -> None:
        master.until(said.READY)
        master.line.send(said.CONFIG, mark_of(config) ^ 1)
        master.until(said.LEFT)
        assert said.SERVES not in {message.kind for message in master.heard}

    with mastered(story) as line:
        assert run_worker(config, [sock], Siblings(), line, Work(reread=lambda: config)) == 0


def test_one_that_cannot_follow_makes_room(tmp_path: Path) -> None:
    sock = listening()
    before = config_of(sock, state=tmp_path)
    after = replace(before, servers=(replace(before.servers[0], acl=str(tmp_path / "none.acl")),))

    def story(master: Master) -> None:
        master.until(said.READY)
        master.line.send(said.CONFIG, mark_of(after))
        master.until(said.LEFT)
        assert said.SERVES not in {message.kind for message in master.heard}

    with mastered(story) as line:
        assert run_worker(before, [sock], Siblings(), line, Work(reread=lambda: after)) == 0


def test_the_log_is_opened_again_when_it_is_told(tmp_path: Path) -> None:
    sock = listening()
    opened = threading.Event()

    def story(master: Master) -> None:
        master.until(said.READY)
        master.line.send(said.HANGUP)
        assert opened.wait(20)
        master.line.send(said.STOP, 0)

    with mastered(story) as line:
        config = config_of(sock, state=tmp_path)
        assert run_worker(config, [sock], Siblings(), line, Work(hangup=opened.set)) == 0
    assert os.path.exists(tmp_path / "aead.salts")


def test_it_has_its_master_read_the_config_for_whoever_asks(tmp_path: Path) -> None:
    first, folder = listening(), tmp_path / "run"
    folder.mkdir()
    before = replace(config_of(first, state=tmp_path), control=f"{folder}/")
    after = replace(before, idle_timeout=77.0)
    answers = []

    def ask() -> None:
        found = find(str(folder))
        assert found.services[0].master == os.getppid()
        answers.append(found.services[0].ask("reload"))
        found.close()

    def story(master: Master) -> None:
        master.until(said.READY)
        for number, wrong in enumerate(((), (Problem("c.json", 3, "method", "no"),)), 1):
            asking = threading.Thread(target=ask)
            asking.start()
            assert master.until(said.ASK, number).number == number
            if not wrong:
                master.line.send(said.CONFIG, mark_of(after))
                master.until(said.SERVES)
            answer(master.line, number, applied=not wrong, problems=wrong)
            asking.join(20)
        master.line.send(said.STOP, 0)

    with mastered(story) as line:
        assert run_worker(before, [first], Siblings(), line, Work(reread=lambda: after)) == 0
    good, bad = answers
    assert (good["applied"], good["settings"], good["problems"]) == (True, ["idle_timeout"], [])
    assert (bad["applied"], bad["problems"]) == (False, ["c.json:3: method: no"])


def change_of(sock: SocketType, method: str = METHOD) -> Change:
    port = sock.getsockname()[1]
    return Change(port, {"server_port": port, "password": PASSWORDS[METHOD], "method": method}, (HOST,))


def test_it_changes_ports_and_says_when_and_why_not(tmp_path: Path) -> None:
    first, second = listening(), listening()
    config = config_of(first, state=tmp_path)
    old, new = config.servers[0].address.port, second.getsockname()[1]
    with echo() as target:

        def story(master: Master) -> None:
            master.until(said.READY)
            told = pack([change_of(second)])
            master.line.give([second.fileno()], said.CHANGE, 7, [told])
            os.close(told)
            second.close()
            done = master.until(said.DONE)
            assert (done.number, done.descriptors) == (7, ())
            assert trip(new, target.port)
            bad = change_of(first, "nope")
            told = pack([bad, Change(old)])
            master.line.send(said.CHANGE, 8, [told])
            os.close(told)
            done = master.until(said.DONE, 2)
            outcomes = unpack(done.descriptors[0])
            assert (done.number, bool(outcomes[0]), outcomes[1]) == (8, True, ())
            assert not accepts(old), "it is gone when that is said"
            assert trip(new, target.port)
            master.line.send(said.STOP, 0)

        with mastered(story) as line:
            assert run_worker(config, [first], Siblings(), line, Work()) == 0


def test_it_begins_with_what_came_before_it_and_its_manager_asks_the_master(tmp_path: Path) -> None:
    first, second = listening(), listening()
    config = replace(config_of(first, state=tmp_path), manager_listen="-", manager_dialect="rust")
    server = replace(config.servers[0], address=Address(HOST, second.getsockname()[1]))
    port = server.address.port
    tally, tool = Tally(1), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    commands = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    commands.bind((HOST, 0))
    commands.setblocking(False)
    tool.settimeout(20)
    tool.connect(commands.getsockname())
    Share(tally, 1).tell({port: 1000})
    siblings = Siblings(beside=(server,), tally=tally, share=Share(tally, 0), desk=Desk(commands))
    with echo() as target, tool, commands:

        def story(master: Master) -> None:
            master.until(said.READY)
            assert trip(port, target.port)
            tool.send(b"ping")
            told = json.loads(tool.recv(1000).removeprefix(b"stat: "))
            assert told[str(port)] >= 1000, "of all of them"
            tool.send(b'remove: {"server_port": %d}' % port)
            wanted = master.until(said.WANT)
            assert unpack(wanted.descriptors[0]) == [Change(port)]
            outcome = pack([()])
            master.line.send(said.CHANGED, wanted.number, [outcome])
            os.close(outcome)
            assert tool.recv(1000) == b"ok\n"
            master.line.send(said.STOP, 0)

        with mastered(story) as line:
            assert run_worker(config, [first, second], siblings, line, Work()) == 0
    assert tally.sums()[port] >= 1010
    tally.close()
