"""The stores of salts: what they remember, over restarts, and between which processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

import pytest

import shadesocks
from shadesocks.crypto import replay_2022
from shadesocks.crypto.methods import Edition
from tests.crypto.salts import EDITIONS, STAMP, Clock, Open, insert_all, some
from tests.crypto.salts import clock as clock
from tests.crypto.salts import salts as salts


class TestEveryStore:
    @pytest.mark.parametrize("edition", EDITIONS)
    @pytest.mark.parametrize("size", [16, 24, 32])
    @pytest.mark.parametrize("shared", [False, True])
    def test_a_salt_is_new_once(self, salts: Open, edition: Edition, size: int, shared: bool) -> None:
        store = salts(edition, shared=shared)
        first, second = some(2, size)
        assert not store.known(first)
        assert store.insert(first, STAMP)
        assert store.known(first)
        assert not store.insert(first, STAMP)
        assert not store.known(second)
        assert store.insert(second, STAMP)
        assert not store.notes

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_looking_up_records_nothing(self, salts: Open, edition: Edition) -> None:
        store = salts(edition)
        (salt,) = some(1)
        for _ in range(3):
            assert not store.known(salt)
        assert store.insert(salt, STAMP)

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_look_ups_of_other_handshakes_come_between(self, salts: Open, edition: Edition) -> None:
        store = salts(edition)
        first, second = some(2)
        assert not store.known(first)
        assert not store.known(second)
        assert store.insert(first, STAMP)
        assert store.insert(second, STAMP)
        assert not store.known(some(1, seed=8)[0])
        assert not store.insert(second, STAMP)

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_of_two_copies_one_is_let_in(self, salts: Open, edition: Edition) -> None:
        store = salts(edition)
        (salt,) = some(1)
        assert [store.known(salt), store.known(salt)] == [False, False]
        assert [store.insert(salt, STAMP), store.insert(salt, STAMP)] == [True, False]

    @pytest.mark.parametrize("edition", EDITIONS)
    @pytest.mark.parametrize("shared", [False, True])
    def test_a_restart_forgets_nothing(self, salts: Open, edition: Edition, shared: bool) -> None:
        known = some(500)
        before = salts(edition, shared=shared)
        assert insert_all(before, known) == 500
        before.close()
        after = salts(edition, shared=shared)
        assert all(map(after.known, known))
        assert insert_all(after, known) == 0
        assert insert_all(after, some(500, seed=8)) == 500
        assert not after.notes

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_memory_only(self, salts: Open, edition: Edition, tmp_path: Path) -> None:
        store = salts(edition, None)
        assert insert_all(store, some(500)) == 500
        assert insert_all(store, some(500)) == 0
        assert not store.notes
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_two_memories_are_apart(self, salts: Open, edition: Edition) -> None:
        assert insert_all(salts(edition, None), some(5)) == 5
        assert insert_all(salts(edition, None), some(5)) == 5

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_closing_twice_is_closing(self, salts: Open, edition: Edition) -> None:
        store = salts(edition, shared=True)
        store.close()
        store.close()


class TestAlone:
    """A store that is not shared has its file to itself."""

    @pytest.mark.parametrize("edition", EDITIONS)
    @pytest.mark.parametrize(("first", "second"), [(False, False), (False, True), (True, False)])
    def test_who_comes_second_keeps_to_memory(self, salts: Open, edition: Edition, first: bool, second: bool) -> None:
        one = salts(edition, shared=first)
        two = salts(edition, shared=second)
        assert not one.notes
        (note,) = two.notes
        assert "in use" in note
        assert "--state-dir" in note
        assert insert_all(two, some(5)) == 5
        assert insert_all(one, some(5)) == 5
        one.close()
        two.close()
        assert insert_all(salts(edition), some(5)) == 0


class TestShared:
    """Stores that share a file see each other's salts at every insert."""

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_what_one_took_the_other_refuses(self, salts: Open, edition: Edition) -> None:
        one, two = salts(edition, shared=True), salts(edition, shared=True)
        for number, salt in enumerate(some(500)):
            here, there = (one, two) if number % 3 else (two, one)
            assert not there.known(salt)
            assert here.insert(salt, STAMP)
            assert not there.insert(salt, STAMP)
            assert there.known(salt)
        assert not one.notes
        assert not two.notes

    def test_who_slept_through_generations_catches_up(
        self, salts: Open, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replay_2022, "GENERATION_LEAST", 8)
        for slept in range(5):
            one, two = salts(Edition.AEAD2022, shared=True), salts(Edition.AEAD2022, shared=True)
            lately: list[bytes] = []
            for step in range(slept + 1):
                lately = [*lately[-100:], *some(100, seed=100 * slept + step)]
                stamp = STAMP + int(clock.now)
                assert insert_all(one, lately[-100:], stamp) == 100
                clock.now += 65
            stamp = STAMP + int(clock.now)
            assert insert_all(two, lately[-100:], stamp) == 0
            assert two.insert(b"%032d" % slept, stamp)
            assert not one.insert(b"%032d" % slept, stamp)
            one.close()
            two.close()

    RACE: Final = """
        import random, sys, time
        from shadesocks.crypto.methods import Edition
        from shadesocks.crypto.replay import open_salts
        store = open_salts(sys.argv[1], Edition(sys.argv[2]), clock=time.monotonic, shared=True)
        salts = [random.Random(n).randbytes(32) for n in range(3000)]
        random.Random(sys.argv[3]).shuffle(salts)
        print("ready", *store.notes, flush=True)
        sys.stdin.readline()
        print(sum(store.insert(salt, 1) for salt in salts), *store.notes)
    """

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_processes_that_race_let_each_salt_in_once(self, edition: Edition, tmp_path: Path) -> None:
        workers = [run(self.RACE, str(tmp_path / "new"), edition.value, str(n)) for n in range(3)]
        taken = 0
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        for worker in workers:
            text, _ = worker.communicate(timeout=60)
            taken += int(text)
        assert taken == 3000

    FORK: Final = """
        import os, sys, time
        from shadesocks.crypto.methods import Edition
        from shadesocks.crypto.replay import open_salts
        store = open_salts(None, Edition(sys.argv[1]), clock=time.monotonic, shared=True)
        salts = [b"%032d" % n for n in range(2000)]
        near, far = os.pipe()
        child = os.fork()
        taken = sum(store.insert(salt, 1) for salt in salts)
        if not child:
            os.write(far, b"%d" % taken)
            os._exit(0)
        os.waitpid(child, 0)
        print(taken + int(os.read(near, 100)))
    """

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_memory_is_shared_by_processes_that_fork(self, edition: Edition) -> None:
        text, _ = run(self.FORK, edition.value).communicate(timeout=60)
        assert int(text) == 2000

    KILLED: Final = """
        import itertools, sys, time
        from shadesocks.crypto.methods import Edition
        from shadesocks.crypto.replay import open_salts
        store = open_salts(sys.argv[1], Edition(sys.argv[2]), clock=time.monotonic)
        for n in itertools.count():
            store.insert(b"%032d" % n, 1)
            if n == 2000:
                print("many", flush=True)
    """

    @pytest.mark.parametrize("edition", EDITIONS)
    def test_a_killed_process_loses_nothing(self, salts: Open, edition: Edition, tmp_path: Path) -> None:
        worker = run(self.KILLED, str(tmp_path), edition.value)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "many\n"
        worker.send_signal(signal.SIGKILL)
        worker.communicate(timeout=60)
        store = salts(edition)
        assert not store.notes
        assert all(store.known(b"%032d" % n) for n in range(2001))


def run(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start Python with a piece of code and the package at hand."""
    source = str(Path(shadesocks.__path__[0]).parent)
    return subprocess.Popen(  # our own code
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
