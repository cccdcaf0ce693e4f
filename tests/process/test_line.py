"""The line between master and worker: messages whole and in order, descriptors with theirs, and its end."""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from shadesocks.config.model import Config
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.errors import Problem
from shadesocks.core.secret import Secret
from shadesocks.process import line as said
from shadesocks.process.line import SOCKETS_MOST, Line, make_line, mark_of, pack, resident, unpack
from tests.service.rig import server_config


@pytest.fixture
def ends() -> Iterator[tuple[Line, Line]]:
    one, other = make_line()
    yield one, other
    one.close()
    other.close()


def test_messages_come_whole_and_in_order_both_ways(ends: tuple[Line, Line]) -> None:
    one, other = ends
    assert one.send(said.STOP, 10_000)
    assert one.send(said.QUIT)
    assert other.send(said.BEAT, 1 << 40)
    assert [message and message[:2] for message in other.receive()] == [(said.STOP, 10_000), (said.QUIT, 0)]
    assert [message and message[:2] for message in one.receive()] == [(said.BEAT, 1 << 40)]
    assert not list(one.receive()), "nothing more, and nobody waits"


def test_descriptors_stay_with_their_message_and_are_closed_to_children(ends: tuple[Line, Line]) -> None:
    one, other = ends
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(SOCKETS_MOST)]
    assert one.send(said.SOCKETS, 0, [sock.fileno() for sock in listeners])
    assert one.send(said.CONFIG, 7)
    first, second = other.receive()
    assert first is not None
    assert second is not None
    assert (second.kind, second.number, second.descriptors) == (said.CONFIG, 7, ())
    assert len(first.descriptors) == SOCKETS_MOST
    for descriptor, sock in zip(first.descriptors, listeners, strict=True):
        assert not os.get_inheritable(descriptor)
        with socket.socket(fileno=descriptor) as same:
            assert same.getsockname() == sock.getsockname()
        sock.close()


def test_the_end_of_one_side_is_heard_at_the_other(ends: tuple[Line, Line]) -> None:
    one, other = ends
    one.send(said.READY)
    one.close()
    assert [message and message.kind for message in other.receive()] == [said.READY, None]
    assert not other.send(said.STOP)


def test_a_line_that_nobody_reads_makes_nobody_wait(ends: tuple[Line, Line]) -> None:
    one, _ = ends
    assert not all(one.send(said.BEAT, number) for number in range(100_000))


def test_a_value_travels_in_a_file_and_a_secret_does_not() -> None:
    problems = (Problem("c.json", 3, "workers", "a sentence"),)
    assert unpack(pack(problems)) == problems
    with pytest.raises(TypeError, match="not pickled"):
        pack(Secret("a password"))


def test_a_value_is_read_by_several_processes_at_once() -> None:
    value = [(number, "words") for number in range(20_000)]
    descriptor = pack(value)
    copies = [os.dup(descriptor) for _ in range(4)]
    pids = []
    for copy in copies:
        pid = os.fork()
        if not pid:
            os._exit(0 if unpack(copy) == value else 1)
        pids.append(pid)
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    for copy in copies:
        os.close(copy)
    assert ends == [0] * 4
    assert unpack(descriptor) == value


def test_sockets_come_before_what_they_are_for(ends: tuple[Line, Line]) -> None:
    one, other = ends
    with socket.socket() as sock:
        assert one.give([sock.fileno()] * (said.SOCKETS_MOST + 3), said.CONFIG, 5)
    heard = [message for message in other.receive() if message is not None]
    for message in heard:
        for descriptor in message.descriptors:
            os.close(descriptor)
    assert [(message.kind, len(message.descriptors)) for message in heard] == [
        (said.SOCKETS, said.SOCKETS_MOST),
        (said.SOCKETS, 3),
        (said.CONFIG, 0),
    ]


def test_equal_configs_have_one_mark_and_other_users_another_one() -> None:
    def config(*names: str, timeout: float = 60.0) -> Config:
        users = tuple(UserConfig(name, (Credential(Secret("b")),)) for name in names)
        return Config(servers=(replace(server_config(), users=users),), idle_timeout=timeout)

    marks = [mark_of(config("a")), mark_of(config("a", "b")), mark_of(config("b")), mark_of(config("a", timeout=61.0))]
    assert mark_of(config("a")) == marks[0]
    assert len({*marks}) == len(marks)
    assert all(0 <= mark < 1 << 64 for mark in marks)


def test_a_process_knows_what_it_has_resident() -> None:
    if not os.path.exists("/proc/self/statm"):
        assert not resident()
        return
    before = resident()
    with mmap.mmap(-1, 1 << 24) as held:  # and not of memory that was used before
        held.write(os.urandom(1 << 24))
        assert resident() - before > len(held) // 2
