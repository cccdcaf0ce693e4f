"""The exact set of AEAD-2022: a minute at least, whatever the clocks do, and no more than it needs."""

from __future__ import annotations

import math
import random
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadesocks.crypto import replay_2022
from shadesocks.crypto.methods import Edition
from shadesocks.crypto.replay import open_salts
from shadesocks.crypto.replay_file import PAGE
from tests.crypto.salts import STAMP, Clock, Open, insert_all, some
from tests.crypto.salts import clock as clock
from tests.crypto.salts import salts as salts

if TYPE_CHECKING:
    from pathlib import Path


class TestSalts2022:
    @pytest.fixture(autouse=True)
    def small_generations(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay_2022, "GENERATION_LEAST", 8)

    def test_is_exact(self, salts: Open) -> None:
        """One bit makes another salt."""
        store = salts(Edition.AEAD2022)
        salt = int.from_bytes(some(1)[0])
        assert store.insert(salt.to_bytes(32), STAMP)
        assert all(store.insert((salt ^ 1 << bit).to_bytes(32), STAMP) for bit in range(256))
        assert not store.insert(salt.to_bytes(32), STAMP)

    @pytest.mark.parametrize("reopened", [False, True])
    def test_a_salt_is_kept_for_a_minute_whatever_else_comes(self, salts: Open, clock: Clock, reopened: bool) -> None:
        store = salts(Edition.AEAD2022)
        (salt,) = some(1)
        assert store.insert(salt, STAMP)
        for second in range(60):
            clock.now += 1
            if reopened:
                store.close()
                store = salts(Edition.AEAD2022)
            assert insert_all(store, some(50, seed=second), STAMP + second) == 50
            assert store.known(salt)
            assert not store.insert(salt, STAMP)

    def test_a_small_server_forgets_nothing(self, salts: Open, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay_2022, "GENERATION_LEAST", 4096)
        store = salts(Edition.AEAD2022)
        known = some(200)
        for salt in known:
            assert store.insert(salt, STAMP)
            clock.now += 3600
        assert all(map(store.known, known))

    def test_neither_memory_nor_file_grow_with_time(self, salts: Open, clock: Clock, tmp_path: Path) -> None:
        store = salts(Edition.AEAD2022)
        earlier: list[bytes] = []
        for generation in range(20):
            salts_now = some(500, seed=generation)
            assert insert_all(store, salts_now, STAMP + int(clock.now)) == 500
            assert not any(map(store.known, earlier[:-500]))
            assert all(map(store.known, salts_now))
            earlier = [*earlier[-1000:], *salts_now]
            clock.now += 65
            assert (tmp_path / "aead2022.salts").stat().st_size <= PAGE * (1 + 2 * math.ceil(500 / 64))

    def test_after_a_busy_hour_the_file_shrinks(self, salts: Open, clock: Clock, tmp_path: Path) -> None:
        store = salts(Edition.AEAD2022)
        insert_all(store, some(5000))
        for generation in range(100):
            clock.now += 65
            insert_all(store, some(100, seed=generation), STAMP + int(clock.now))
        assert (tmp_path / "aead2022.salts").stat().st_size <= 5 * PAGE

    def test_a_forgotten_salt_does_not_come_back(self, salts: Open, clock: Clock) -> None:
        """Its stamp is outside the 30 s long since; but the wall clock may have been set back."""
        store = salts(Edition.AEAD2022)
        forgotten = some(20)
        assert insert_all(store, forgotten, STAMP + 30) == 20
        for generation in range(3):
            clock.now += 65
            assert insert_all(store, some(20, seed=50 + generation), STAMP + 65 * (generation + 1)) == 20
        assert not any(map(store.known, forgotten))
        assert insert_all(store, forgotten, STAMP + 30) == 0
        store.close()
        assert insert_all(salts(Edition.AEAD2022), forgotten, STAMP + 30) == 0, "not after a restart either"

    def test_an_even_clock_refuses_nobody(self, salts: Open, clock: Clock) -> None:
        """Clients from 30 s slow to 30 s fast, at any second of a generation."""
        store = salts(Edition.AEAD2022)
        draw = random.Random(5)  # noqa: S311  # data of a test
        for number in range(20_000):
            clock.now += draw.random() * 0.5
            stamp = STAMP + int(clock.now) + draw.choice([-30, 30, draw.randint(-30, 30)])
            assert store.insert(b"%032d" % number, stamp)

    @pytest.mark.parametrize("stamp", [0, 1, 30, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1])
    def test_takes_any_stamp(self, salts: Open, clock: Clock, stamp: int) -> None:
        store = salts(Edition.AEAD2022)
        for generation in range(4):
            assert insert_all(store, some(20, seed=generation), min(stamp + 65 * generation, 2**64 - 1)) == 20
            clock.now += 65 if stamp + 65 * generation < 2**64 else 0
        store.close()
        store = salts(Edition.AEAD2022)
        assert insert_all(store, some(20, seed=3), stamp) == 0

    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def test_no_salt_is_let_in_twice_whatever_the_clocks_do(self, tmp_path: Path, data: st.DataObject) -> None:
        """Time passes, the wall clock jumps, the server restarts: a copy of a handshake is never accepted."""
        directory = tmp_path / str(sum(1 for _ in tmp_path.iterdir()))
        clock, wall = Clock(), STAMP
        taken: list[tuple[bytes, int]] = []
        with ExitStack() as stack:
            store = stack.enter_context(closing(open_salts(str(directory), Edition.AEAD2022, clock=clock)))
            for step in range(data.draw(st.integers(1, 12))):
                match data.draw(st.sampled_from(["pass", "jump", "restart", "insert"])):
                    case "pass":
                        clock.now += (passed := data.draw(st.sampled_from([1, 30, 59, 64, 65, 200])))
                        wall += passed
                    case "jump":
                        wall = max(0, wall + data.draw(st.sampled_from([-3600, -61, -31, -29, -1, 1, 29, 31, 3600])))
                    case "restart":
                        store.close()
                        store = stack.enter_context(closing(open_salts(str(directory), Edition.AEAD2022, clock=clock)))
                    case _:
                        for number in range(data.draw(st.sampled_from([1, 8, 20]))):
                            salt = b"%016d%016d" % (step, number)
                            stamp = wall + data.draw(st.sampled_from([-30, 0, 30]))
                            if store.insert(salt, stamp):
                                taken.append((salt, stamp))
                assert not any(store.insert(salt, stamp) for salt, stamp in taken)
