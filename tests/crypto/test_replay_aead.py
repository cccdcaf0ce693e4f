"""The table of AEAD salts: how long it remembers, how seldom it is wrong."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from shadesocks.crypto.methods import Edition
from shadesocks.crypto.replay import open_salts
from shadesocks.crypto.replay_aead import AEAD_LAYOUT, BUCKETS, MARKS
from shadesocks.crypto.replay_file import PAGE
from tests.crypto.salts import Open, insert_all, some
from tests.crypto.salts import clock as clock
from tests.crypto.salts import salts as salts

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class TestAeadSalts:
    def test_a_million_salts_are_remembered_by_arithmetic(self) -> None:
        mean = 1_000_000 / BUCKETS
        lost = sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(MARKS, 200))
        assert lost < 1e-13, "chance that one salt, the millionth from now, is gone"
        assert lost * 1_000_000 < 1e-7, "salts missing of the last million, on the mean"

    def test_a_new_salt_is_let_in_by_arithmetic(self) -> None:
        places = MARKS * 6 - 6 + 1
        assert places * 2.0**-48 < 1e-12

    def test_is_no_larger_than_32_mib(self, salts: Open, tmp_path: Path) -> None:
        store = salts(Edition.AEAD)
        insert_all(store, some(1000))
        assert (tmp_path / "aead.salts").stat().st_size == AEAD_LAYOUT.size <= 32 << 20

    def test_remembers_the_last_ones_and_knows_no_others(self, salts: Open, request: pytest.FixtureRequest) -> None:
        """A sample by default; the whole million, in a table that has wrapped around, under --whole."""
        count = 1_000_000 if request.config.getoption("--whole", default=False) else 30_000
        store = salts(Edition.AEAD)
        if count == 1_000_000:
            insert_all(store, some(4_000_000, 16, seed=1))
        known = some(count)
        assert insert_all(store, known) == count
        assert sum(map(store.known, some(count, seed=8))) == 0
        assert sum(map(store.known, known)) == count

    def test_a_bucket_forgets_its_oldest(self, salts: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shadesocks.crypto.replay_aead.BUCKETS", 1)
        store = salts(Edition.AEAD)
        all_of_them = some(3 * MARKS)
        for number, salt in enumerate(all_of_them):
            assert store.insert(salt, 0)
            remembered = all_of_them[max(0, number + 1 - MARKS) : number + 1]
            assert all(map(store.known, remembered))
            assert not any(map(store.known, all_of_them[: max(0, number + 1 - MARKS)]))

    def test_two_files_place_salts_differently(self, salts: Open, tmp_path: Path) -> None:
        """Who knows where a salt goes in one file cannot aim at a bucket of another."""
        contents = []
        for name in ("a", "b"):
            store = salts(Edition.AEAD, str(tmp_path / name))
            insert_all(store, some(3))
            store.close()
            table = (tmp_path / name / "aead.salts").read_bytes()[PAGE:]
            contents.append({at for at in range(0, len(table), 256) if table[at : at + 6] != bytes(6)})
        assert len(contents[0]) == len(contents[1]) == 3
        assert contents[0] != contents[1]


def test_our_own_salts_are_known_without_being_in_the_table(tmp_path: Path) -> None:
    """Sent back to us they are a replay, after a restart too; a salt of somebody else is not."""
    tick = iter(range(1000)).__next__
    store = open_salts(str(tmp_path), Edition.AEAD, clock=tick)
    ours = {store.fresh(size, os.urandom) for size in (16, 24, 32) for _ in range(100)}
    assert len(ours) == 300
    assert all(store.known(salt) for salt in ours)
    assert not any(store.insert(salt, 0) for salt in ours)
    store.close()
    store = open_salts(str(tmp_path), Edition.AEAD, clock=tick)
    try:
        assert all(store.known(salt) for salt in ours)
        assert store.insert(os.urandom(32), 0)
    finally:
        store.close()
