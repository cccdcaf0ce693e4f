"""Several processes on one port: they share the work and what is remembered, and none of them is missed for long."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.peers import HOST, PEERS, Program, free_port

from .crowd import Echo, echo, eventually
from .herd import (
    LIMIT,
    PacketEcho,
    Packets,
    Stream,
    Visitors,
    is_there,
    kill,
    lasting_port,
    serve,
    serve_on,
    serving,
    sockets_of,
    trip,
    workers_of,
    write,
)

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc which processes there are")

WORKERS: Final = 3


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as echoing:
        yield echoing


@contextlib.contextmanager
def herd(folder: Path, workers: int = WORKERS, **settings: object) -> Iterator[Program]:
    """Run a server of several processes, all of which serve."""
    with serve(folder, lasting_port(), workers=workers, **settings) as program:
        eventually(lambda: serving(program) >= workers, "all workers serve")
        yield program


def ended(program: Program, pids: list[int]) -> None:
    """Wait for the end of a master and of its workers."""
    program.wait()
    eventually(lambda: not any(map(is_there, pids)), "no process is left")


def test_all_of_them_serve_connections_and_datagrams(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path) as program, contextlib.ExitStack() as held:
        pids = workers_of(program)
        assert len(pids) == WORKERS
        before = {pid: sockets_of(pid) for pid in pids}
        for _ in range(40):
            stream = held.enter_context(Stream(program.port, target.port))
            assert stream.answered()
        assert all(sockets_of(pid) > before[pid] for pid in pids), "each has some of forty"
        with PacketEcho() as packets:
            for number in range(20):
                client = held.enter_context(Packets(program.port, packets.port))
                payload = b"datagram %d" % number
                assert client.trip(payload)
                assert client.trip(payload + b", again")
        held.close()
        program.signal(signal.SIGTERM)
        ended(program, pids)
        assert program.wait() == 0
        log = program.log()
        assert log.count("listening on") == 1, "said once, and not by each"
        assert log.endswith("stopped\n")


def test_one_that_dies_is_replaced_and_the_others_do_not_notice(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path) as program, contextlib.ExitStack() as held:
        pids = workers_of(program)
        streams = [held.enter_context(Stream(program.port, target.port)) for _ in range(20)]
        assert all(stream.answered() for stream in streams)
        kill(pids[0])
        eventually(lambda: serving(program) == WORKERS + 1, "another one serves")
        alive = 0
        for stream in streams:
            with contextlib.suppress(ConnectionError):
                alive += stream.lives()
        assert alive, "those of the others"
        assert all(trip(program.port, target.port) for _ in range(20)), "nobody is refused, or waits for the dead"
        assert "worker 1 ended by SIGKILL: another one takes its place in 0.1 s" in program.log()


def test_none_is_left_when_the_master_is_killed(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path, drain_timeout=1) as program, Stream(program.port, target.port) as stream:
        assert stream.answered()
        pids = workers_of(program)
        program.signal(signal.SIGKILL)
        ended(program, pids)


def test_one_that_hangs_is_killed_and_replaced(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path, worker_hang_timeout=1) as program:
        pids = workers_of(program)
        os.kill(pids[1], signal.SIGSTOP)
        eventually(lambda: serving(program) == WORKERS + 1, "another one serves")
        assert not is_there(pids[1])
        assert "worker 2 gave no sign of life for 1 s: it is killed" in program.log()
        assert all(trip(program.port, target.port) for _ in range(20))


def test_one_with_too_much_memory_is_replaced_and_ends_with_its_last_connection(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path, 2, worker_memory_limit=1, worker_hang_timeout=3) as program:
        stream = Stream(program.port, target.port)
        assert stream.answered()
        eventually(lambda: serving(program) >= 4, "each has a follower")
        assert "worker 2 serves" in program.log(), "though the first was told to leave as soon as it served"
        assert trip(program.port, target.port)
        assert "another one takes its place" in program.log()
        stream.close()


def test_a_start_that_fails_is_told_once_and_ends_as_without_workers(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = []
        for workers in (1, 3):
            config = write(tmp_path / "config.json", port, workers=workers)
            words = (*PEERS["ours"].server, "-c", str(config), "--log-without-time")
            ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
            told.append((ran.returncode, ran.stderr.splitlines()[-1]))
        assert told[0] == told[1]
        assert "another program, or another instance, has that port" in told[0][1]


def test_a_second_instance_fails_as_without_workers(tmp_path: Path) -> None:
    with herd(tmp_path, 2) as program:
        words = (*PEERS["ours"].server, "-c", str(tmp_path / f"{program.port}.json"))
        ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 70
        assert "another instance, has that port" in ran.stderr


def test_ports_come_and_go_at_sighup(tmp_path: Path, target: Echo) -> None:
    first, second = free_port(), free_port()
    with serve(tmp_path, first, workers=2) as program, Stream(first, target.port) as stream:
        eventually(lambda: serving(program) == 2, "all workers serve")
        assert stream.answered()
        pids = workers_of(program)
        write(tmp_path / f"{first}.json", second, workers=2)
        program.signal(signal.SIGHUP)
        eventually(lambda: "the config was read again" in program.log(), "the config is read")
        with PacketEcho() as packets, Packets(second, packets.port) as client:
            assert client.trip(b"to the new port")
        assert all(trip(second, target.port) for _ in range(10))

        def refuses() -> bool:
            try:
                socket.create_connection((HOST, first), LIMIT).close()
            except ConnectionError:
                return True
            return False

        eventually(refuses, "nobody listens on the old port")
        assert stream.lives(), "what was under way goes on"
        assert workers_of(program) == pids
        kill(pids[0])
        eventually(lambda: serving(program) == 3, "another one serves")
        assert all(trip(second, target.port) for _ in range(10)), "and serves the new config"
        (tmp_path / f"{first}.json").write_text("{")
        program.signal(signal.SIGHUP)
        eventually(lambda: "the config has mistakes: all goes on as before" in program.log(), "the mistake is told")
        assert trip(second, target.port)


def test_they_quit_with_their_last_connections_while_another_has_the_port(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path) as old, contextlib.ExitStack() as held:
        pids = workers_of(old)
        streams = [held.enter_context(Stream(old.port, target.port)) for _ in range(6)]
        assert all(stream.answered() for stream in streams)
        old.signal(signal.SIGQUIT)
        eventually(lambda: "no longer listening" in old.log(), "it quits")
        with serve_again(tmp_path, old.port) as new:
            eventually(lambda: serving(new) == WORKERS, "the new ones serve")
            assert all(trip(old.port, target.port) for _ in range(10))
            for stream in streams:
                assert stream.lives()
            assert old.alive
            held.close()
            ended(old, pids)
            assert old.wait() == 0


@contextlib.contextmanager
def serve_again(folder: Path, port: int, **settings: object) -> Iterator[Program]:
    """Start another server on the port of one that quits, as soon as it can be had."""
    (folder / "again").mkdir(exist_ok=True)
    give_up_at = time.monotonic() + LIMIT
    while True:
        config = write(folder / "again" / f"{port}.json", port, workers=WORKERS, **settings)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            break
        assert time.monotonic() < give_up_at, f"the port of {config} is not given up"
        time.sleep(0.02)
    with serve(folder / "again", port, workers=WORKERS, **settings) as program:
        yield program


def test_the_second_signal_ends_all_of_them_at_once(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path, drain_timeout=600) as program, Stream(program.port, target.port) as stream:
        assert stream.answered()
        pids = workers_of(program)
        program.signal(signal.SIGINT)
        eventually(lambda: len(workers_of(program)) < WORKERS, "those without a connection end")
        program.signal(signal.SIGINT)
        ended(program, pids)
        assert program.wait() == 128 + signal.SIGINT


METHODS_OF_DATAGRAMS: Final = ("aes-256-gcm", "2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305")


@pytest.mark.parametrize("method", METHODS_OF_DATAGRAMS)
def test_a_datagram_is_taken_once_by_whichever_of_them(method: str, tmp_path: Path) -> None:
    """The same datagram from twenty addresses comes to every worker: one takes it."""
    from tests.peers import PASSWORDS

    with (
        herd(tmp_path, method=method, password=PASSWORDS[method]) as program,
        PacketEcho() as packets,
        Packets(program.port, packets.port, method) as client,
        Packets(program.port, packets.port, method) as other,
    ):
        datagram = client.sealed(b"once")
        client.sock.send(datagram)
        assert client.receive() == b"once"
        for _ in range(20):
            with socket.socket(type=socket.SOCK_DGRAM) as stranger:
                stranger.sendto(datagram, (HOST, program.port))
        for _ in range(5):
            assert other.trip(b"later")
        time.sleep(0.2)  # for what must not come
        assert packets.came.count(b"once") == 1
        assert client.trip(b"more"), "its session goes on"


def test_a_handshake_is_taken_once_by_whichever_of_them(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path) as program, Stream(program.port, target.port) as stream:
        assert stream.answered()
        for _ in range(12):
            with socket.create_connection((HOST, program.port), LIMIT) as replay:
                replay.sendall(stream.hello)
        assert trip(program.port, target.port)
        eventually(lambda: program.log().count("replay") >= 12, "all of them are told as replays")
        assert target.accepted == 2


def test_clients_are_served_while_workers_are_killed_at_random(tmp_path: Path, target: Echo) -> None:
    """Two seconds of connections and kills: whoever is not on a killed worker is served."""
    dice = random.Random(7)  # noqa: S311 - the same kills in every run
    with herd(tmp_path) as program:
        until, killed, served, cut = time.monotonic() + 2, 0, 0, 0
        done = threading.Event()

        def killing() -> None:
            nonlocal killed
            while time.monotonic() < until:
                done.wait(dice.uniform(0.1, 0.4))
                if pids := workers_of(program):
                    kill(dice.choice(pids))
                    killed += 1

        thread = threading.Thread(target=killing)
        thread.start()
        while time.monotonic() < until:
            try:
                served += trip(program.port, target.port)
            except OSError:
                cut += 1
        thread.join()
        assert killed >= 3
        assert served
        assert cut <= killed, "one connection at a time: a kill cuts one at most"
        eventually(lambda: len(workers_of(program)) == WORKERS, "all are there again")
        assert trip(program.port, target.port)


def test_nothing_is_left_when_the_master_is_killed_at_random_and_the_next_one_serves(
    tmp_path: Path, target: Echo, whole: bool
) -> None:
    """Under load, with idle connections, and while a worker that was killed has no follower yet, or a new one."""
    dice = random.Random(7)  # noqa: S311 - the same kills in every run
    port = lasting_port()
    for turn in range(10 if whole else 3):
        with contextlib.ExitStack() as held:
            folder = tmp_path / str(turn)
            folder.mkdir()
            program = held.enter_context(serve_again(folder, port, drain_timeout=0.5, state_dir=str(tmp_path)))
            eventually(lambda program=program: serving(program) >= WORKERS, "all serve")  # type: ignore[misc]
            streams = [held.enter_context(Stream(port, target.port)) for _ in range(6)]
            assert all(stream.answered() for stream in streams)
            seen = set(workers_of(program))
            with Visitors(port, target.port) as visitors:
                eventually(lambda visitors=visitors: visitors.served > 3, "it is busy")  # type: ignore[misc]
                kill(dice.choice(workers_of(program)))
                until = time.monotonic() + dice.uniform(0, 0.4)
                while time.monotonic() < until:  # whoever comes is seen
                    seen.update(workers_of(program))
                program.signal(signal.SIGSTOP)  # so that none is born unseen
                seen.update(workers_of(program))
                program.signal(signal.SIGKILL)
                ended(program, list(seen))
            log = program.log()
            assert "in memory only" not in log, "what they held of the state is free"
            assert "Traceback" not in log


def test_none_is_killed_for_the_time_that_all_of_them_were_stopped(tmp_path: Path, target: Echo) -> None:
    """As by Ctrl-Z, and fg later: nobody gave a sign of life, and nobody could."""
    with herd(tmp_path, worker_hang_timeout=0.5) as program, Stream(program.port, target.port) as stream:
        assert stream.answered()
        pids = workers_of(program)
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in (program.pid, *pids):
                os.kill(pid, number)
            time.sleep(1.5)  # longer than the limit, both times
        assert workers_of(program) == pids
        assert stream.lives()
        assert "no sign of life" not in program.log()


def test_sockets_of_systemd_are_shared_and_datagrams_are_the_first_worker_s(tmp_path: Path, target: Echo) -> None:
    """One listener for all of them; nothing is bound here, nor refused while the next process takes them over."""
    with socket.create_server((HOST, 0)) as streams, socket.socket(type=socket.SOCK_DGRAM) as packets:
        port = streams.getsockname()[1]
        packets.bind((HOST, port))
        for _ in range(2):
            with (
                serve_on(tmp_path, (streams, packets), workers=WORKERS) as program,
                contextlib.ExitStack() as held,
                PacketEcho() as came,
            ):
                early = held.enter_context(Stream(port, target.port))  # it waits in the socket
                eventually(lambda program=program: serving(program) == WORKERS, "all serve")  # type: ignore[misc]
                assert early.answered()
                assert all(trip(port, target.port) for _ in range(30))
                clients = [held.enter_context(Packets(port, came.port)) for _ in range(6)]
                assert all(client.trip(b"datagram") for client in clients)
                assert len(came.senders) == len(clients)
            assert "closed: " not in program.log()
            assert program.log().endswith("stopped\n")
