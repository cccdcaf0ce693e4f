"""Who is next of many: whoever came last, every other time one that is drawn, and nobody who is at it all the time."""

from __future__ import annotations

import pytest

from shadesocks.net import lots as lots_file
from shadesocks.net.lots import Lots, site_of


def address(number: int) -> bytes:
    return number.to_bytes(4)


def lots_of(count: int) -> Lots[list[int]]:
    lots: Lots[list[int]] = Lots(list)
    for number in range(count):
        lots.enter(address(number)).append(number)
    return lots


def test_each_waits_with_what_is_its_own() -> None:
    lots = lots_of(3)
    assert lots.enter(address(1)) == [1]
    assert lots.enter(address(7)) == []
    for number in (0, 1, 2, 7):
        assert lots
        lots.leave(address(number))
    assert not lots


def test_every_other_time_it_is_whoever_came_last() -> None:
    lots = lots_of(1000)
    served = []
    for _ in range(100):
        site = lots.draw()
        lots.leave(site)
        assert isinstance(site, bytes)
        served.append(site)
    assert served[1] in (address(999), address(998))
    assert sum(site >= address(900) for site in served) >= 50
    assert sum(site < address(900) for site in served) > 20, "the others are drawn"


@pytest.mark.parametrize("count", [16, 500])
def test_who_comes_again_at_once_keeps_no_newcomer_waiting(count: int) -> None:
    lots = lots_of(count)
    for turn in range(3 * count + 100):
        if turn == 3 * count + 90:
            lots.enter(b"newcomer")
        site = lots.draw()
        if site == b"newcomer":
            break
        lots.leave(site)
        lots.enter(site)
    assert turn <= 3 * count + 92


def test_those_who_had_a_turn_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lots_file, "SERVED_MOST", 10)
    lots = lots_of(100)
    for _ in range(50):
        lots.leave(lots.draw())
    assert len(lots._served) == 10
    lots.enter("no address")
    while lots.draw() != "no address":
        pass
    assert "no address" not in lots._served


def test_the_64s_of_a_48_are_one_site() -> None:
    assert site_of(b"12345678") == site_of(b"12345699") == b"123456"
    assert site_of(b"1234") == b"1234"
    assert site_of(lots_file) is lots_file
