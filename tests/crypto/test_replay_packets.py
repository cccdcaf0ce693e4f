"""The salts of datagrams: how long they are remembered, how seldom a new one is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import pytest

from shadesocks.crypto.replay_packets import BUCKETS, MARKS, PacketSalts
from tests.crypto.salts import some

REMEMBERED: Final = 1_000_000
"""What the head of the file promises."""


@pytest.fixture
def salts() -> Iterator[PacketSalts]:
    store = PacketSalts()
    yield store
    store.close()


def forgotten(later: int) -> float:
    """The chance that a salt is gone when so many later ones came: `MARKS` of them fell into its bucket."""
    mean = later / BUCKETS
    return sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(MARKS, MARKS + 200))


def test_a_million_are_remembered_by_arithmetic() -> None:
    assert 1e-11 < forgotten(REMEMBERED) < 2e-11, "the millionth from now"
    assert forgotten(REMEMBERED) * REMEMBERED < 1e-4, "of the last million, on the mean"


def test_a_new_one_is_let_in_by_arithmetic() -> None:
    """A mark is looked for at every byte of a full bucket."""
    places = MARKS * 4 - 4 + 1
    assert places * 2.0**-32 < 1 / 22_000_000


def test_is_12_mib_large() -> None:
    assert BUCKETS * MARKS * 4 == 12 << 20


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_salt_is_good_once(salts: PacketSalts, size: int) -> None:
    for salt in some(100, size):
        assert [salts.insert(salt) for _ in range(3)] == [True, False, False]


def test_remembers_the_last_ones_and_knows_no_others(salts: PacketSalts, request: pytest.FixtureRequest) -> None:
    """A sample by default; the whole million, in a table that has wrapped around, under --whole.

    Where marks fall is chance anew in each process. Of 200,000, one and a half are in a bucket beforehand on average,
    so that a new one meets 7 different places: 3e-4 are refused for nothing, and two with a chance of 6e-8. None is
    forgotten: a bucket gets its 49th with 1e-35. In the whole, the buckets are full: 0.04 are refused, and four with a
    chance of 2e-7; 2e-5 are forgotten.
    """
    whole = request.config.getoption("--whole", default=False)
    count, wrong_max = (REMEMBERED, 3) if whole else (200_000, 1)
    if whole:
        for salt in some(4_000_000, 16, seed=1):
            salts.insert(salt)
    known = some(count)
    let_in = [salt for salt in known if salts.insert(salt)]
    assert len(let_in) >= count - wrong_max
    assert not any(map(salts.insert, known))


def test_none_of_a_few_is_refused(salts: PacketSalts) -> None:
    """Of 20,000 in an empty table, 8e-6 are."""
    assert all(map(salts.insert, some(20_000)))


def test_a_bucket_forgets_its_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shadesocks.crypto.replay_packets.BUCKETS", 1)
    salts = PacketSalts()
    all_of_them = some(3 * MARKS)
    assert all(map(salts.insert, all_of_them))
    last = all_of_them[-MARKS:]
    assert not any(map(salts.insert, last)), "the last ones are known, and asking for them moves nothing"
    assert not any(map(salts.insert, last))
    for number, salt in enumerate(all_of_them[:MARKS]):
        assert salts.insert(salt), "it was forgotten"
        assert not any(map(salts.insert, last[number + 1 :]))
    salts.close()


def test_a_closed_one_takes_no_more() -> None:
    salts = PacketSalts()
    salts.close()
    with pytest.raises(ValueError, match="closed"):
        salts.insert(bytes(32))
