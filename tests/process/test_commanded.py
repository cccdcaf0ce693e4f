"""What the master does for a manager's commands: it binds, notes, tells all, and answers when all have done it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from shadesocks.config.load import load
from shadesocks.config.model import Config
from shadesocks.core.errors import Problem, Problems
from shadesocks.process import line as said
from shadesocks.process.commanded import Commanded
from shadesocks.process.line import Line, Message, make_line, pack, unpack
from shadesocks.process.places import Member
from shadesocks.process.slots import Slots
from shadesocks.service.given import GivenSockets
from shadesocks.service.manager.change import Change
from shadesocks.wire.manager.command import Command
from tests.peers import free_port

PASSWORD = "correct horse battery staple"
WORSE = (Problem("config", None, "", "no room"),)


@dataclass
class Worker:
    """A worker whose side of the line is this test's."""

    member: Member
    line: Line

    def heard(self) -> list[Message]:
        messages = [message for message in self.line.receive() if message is not None]
        for message in messages:
            if message.kind == said.SOCKETS:
                for descriptor in message.descriptors:
                    os.close(descriptor)
        return messages


class Stage:
    """A master's part, and its workers."""

    def __init__(self, *ports: int, count: int = 2) -> None:
        keys = {"manager_listen": "127.0.0.1:0", "method": "aes-256-gcm", "server": "127.0.0.1", "mode": "tcp_only"}
        one = {"server": "127.0.0.1", "method": "aes-256-gcm", "password": PASSWORD}
        servers = [{**one, "server_port": port} for port in ports]
        self.config: Config = load(json.dumps({**keys, "servers": servers}), role="server")
        self.slots = Slots(count, GivenSockets())
        assert not self.slots.bind(self.config)[1]
        self.commanded = Commanded(self.slots)
        self.replaced: list[int] = []
        self.commanded.replaces = self.replaced.append
        self.workers: list[Worker] = []
        for number in range(count):
            ours, theirs = make_line()
            self.workers.append(Worker(Member(number, 100 + number, ours, 0.0, 0.0, number), theirs))

    @property
    def members(self) -> list[Member]:
        return [worker.member for worker in self.workers]

    def want(self, *changes: Change, asked: int = 1) -> list[Member]:
        asker = self.workers[0].member.line
        return self.commanded.begin(asker, Message(said.WANT, asked, (pack([*changes]),)), self.config, self.members)

    def do(self, worker: Worker, outcomes: list[Problems] | None = None) -> list[Change]:
        """Let a worker do what it was told, and say what came of it."""
        (told,) = [message for message in worker.heard() if message.kind == said.CHANGE]
        changes: list[Change] = unpack(told.descriptors[0])
        descriptors = () if outcomes is None else (pack(outcomes),)
        self.commanded.done(worker.member, told.number, descriptors, self.config)
        return changes

    def answer(self) -> tuple[int, list[Problems]] | None:
        for message in self.workers[0].heard():
            told: Any = unpack(message.descriptors[0]) if message.kind != said.SOCKETS else None
            if message.kind == said.CHANGED:
                return message.number, told
        return None

    def ports(self) -> list[int]:
        return [server.address.port for server in self.commanded.all_of(self.config).servers]

    def bound(self) -> set[int]:
        return {address.port for _, address in self.slots.keys}

    def close(self) -> None:
        for worker in self.workers:
            for message in worker.heard() if worker.line.fileno() >= 0 else ():
                if message.kind != said.SOCKETS:
                    unpack(message.descriptors[0])
            worker.line.close()
            worker.member.line.close()
        self.slots.close()


def add(port: int, **keys: Any) -> Change:
    return Change(port, {"server_port": port, "password": PASSWORD, **keys}, ("127.0.0.1",))


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage(free_port())
    yield made
    made.close()


def test_a_change_is_answered_when_all_have_done_it(stage: Stage) -> None:
    (own,), port, other = stage.ports(), free_port(), free_port()
    assert stage.want(add(port), add(other), asked=7) == []
    assert stage.bound() == {own, port, other}
    assert [change.port for change in stage.do(stage.workers[0])] == [port, other]
    assert stage.answer() is None
    stage.do(stage.workers[1])
    assert stage.answer() == (7, [(), ()])
    assert stage.ports() == [own, port, other]
    assert set(stage.commanded.kept) == {port, other}
    assert stage.commanded.left_of(stage.config) is not stage.config
    assert stage.replaced == []


def test_nobody_waits_for_the_dead_and_the_next_one_begins_with_all(stage: Stage) -> None:
    port = free_port()
    stage.want(add(port))
    stage.do(stage.workers[0])
    stage.commanded.ended(stage.workers[1].member, stage.config)
    assert stage.answer() == (1, [()])
    assert [server.address.port for server in stage.commanded.servers] == [port]
    stage.commanded.done(stage.workers[1].member, 1, (pack([WORSE]),), stage.config)  # too late


def test_who_leaves_is_asked_nothing_and_who_does_not_listen_is_named(stage: Stage) -> None:
    stage.workers[1].member.leaves = True
    stage.want(add(free_port()))
    assert stage.workers[1].heard() == []
    stage.do(stage.workers[0])
    assert stage.answer() == (1, [()])
    stage.workers[1].member.leaves, stage.workers[1].member.left = False, True
    stage.want(add(free_port()))
    stage.do(stage.workers[0])
    assert stage.answer() == (1, [()]), "nor who accepts no more, and did so by itself"
    stage.workers[1].member.left = False
    stage.workers[1].line.close()
    assert stage.want(add(free_port())) == [stage.workers[1].member]
    stage.do(stage.workers[0])
    assert stage.answer() == (1, [()])


def test_a_port_that_is_taken_is_refused_and_the_others_are_not(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken, port = other.getsockname()[1], free_port()
        stage.want(add(taken), add(port), add(port, method="nope"))
    for worker in stage.workers:
        assert [change.port for change in stage.do(worker)] == [port]
    answer = stage.answer()
    assert answer is not None
    first, second, third = answer[1]
    assert "another instance, has that port" in first[0].text
    assert second == ()
    assert third
    assert taken not in stage.bound()


def test_where_all_are_refused_nobody_is_asked(stage: Stage) -> None:
    stage.want(add(1, method="nope"))
    answer = stage.answer()
    assert answer is not None
    assert answer[1][0]


def test_ports_of_the_config_are_replaced_and_removed_until_it_is_read_again(stage: Stage) -> None:
    (own,) = stage.ports()
    stage.want(add(own, password="another one, as long as it is"))
    for worker in stage.workers:
        stage.do(worker)
    stage.answer()
    assert stage.commanded.left_of(stage.config).servers == ()
    assert stage.commanded.servers[0].password.reveal() == "another one, as long as it is"
    stage.want(Change(own))
    assert stage.ports() == []
    assert stage.bound() == set()
    for worker in stage.workers:
        stage.do(worker)
    assert stage.answer() == (1, [()])
    stage.commanded.follow(stage.config)
    assert stage.commanded.all_of(stage.config) == stage.config
    port = free_port()
    stage.want(add(port))
    stage.commanded.follow(replace(stage.config, servers=stage.commanded.servers))
    assert stage.commanded.servers == (), "a port that the config has now is as it says"


@pytest.mark.parametrize("known", [True, False])
def test_what_nobody_can_do_is_taken_back(known: bool, stage: Stage) -> None:
    (own,), port = stage.ports(), free_port()
    before = stage.commanded.all_of(stage.config)
    stage.want(add(own if known else port, password="another one, as long as it is"), asked=5)
    for worker in stage.workers:
        stage.do(worker, [WORSE])
    assert stage.answer() == (5, [WORSE])
    assert stage.commanded.all_of(stage.config) == before
    assert stage.bound() == {own}
    assert stage.commanded.kept == {}
    assert stage.replaced == []


def test_one_who_cannot_do_what_another_one_can_is_replaced(stage: Stage) -> None:
    port = free_port()
    stage.want(add(port))
    stage.do(stage.workers[0])
    stage.do(stage.workers[1], [WORSE])
    assert stage.answer() == (1, [()])
    assert stage.replaced == [101]
    assert port in stage.ports()


def test_ports_that_were_kept_are_bound_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stage, port = Stage(free_port()), free_port()
    (own,) = stage.ports()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        commands = [Command("add", each, PASSWORD) for each in (own, taken, port)]
        stage.commanded.restore(stage.config, commands)
    assert stage.ports() == [own, port]
    assert stage.bound() == {own, port}
    assert [*stage.commanded.kept] == [own, taken, port], "the next start may have it"
    assert f"port {taken} was not added" in caplog.text
    assert f"port {own} is in the config" in caplog.text
    assert "2 ports were kept" in caplog.text
    stage.close()
