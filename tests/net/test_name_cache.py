"""What is remembered of names, how long, and what goes first."""

from __future__ import annotations

from socket import AF_INET

import pytest

from shadesocks.net.name_cache import STALE_MOST, STALE_TTL, Answer, NameCache

ONE: Answer = ((AF_INET, "192.0.2.1"),)
TWO: Answer = ((AF_INET, "192.0.2.2"),)


@pytest.mark.parametrize(("ttl", "kept"), [(0, 1), (0.5, 1), (30, 30), (3600, 3600), (86400, 3600), (1e18, 3600)])
def test_a_time_to_live_is_kept_within_its_bounds(ttl: float, kept: float) -> None:
    cache = NameCache(10, 1, 3600)
    cache.put("a", ONE, ttl, 100.0)
    entry = cache.find("a")
    assert entry is not None
    assert (entry.answer, entry.until) == (ONE, 100.0 + kept)


def test_the_name_that_was_not_used_for_longest_goes_first() -> None:
    cache = NameCache(2, 1, 3600)
    cache.put("a", ONE, 60, 0)
    cache.put("b", ONE, 60, 0)
    cache.find("a")
    cache.put("c", ONE, 60, 0)
    assert cache.find("b") is None
    assert cache.find("a")
    assert len(cache) == 2
    cache.put("a", TWO, 60, 0)
    cache.put("d", ONE, 60, 0)
    assert cache.find("c") is None


def test_a_cache_of_none_keeps_none() -> None:
    cache = NameCache(0, 1, 3600)
    cache.put("a", ONE, 60, 0)
    assert cache.find("a") is None
    assert cache.fail("a", 0) is None


def test_an_old_answer_serves_when_it_cannot_be_had_again() -> None:
    cache = NameCache(10, 1, 3600)
    cache.put("a", ONE, 60, 0)
    assert cache.fail("a", 100) == ONE
    entry = cache.find("a")
    assert entry is not None
    assert (entry.failing, entry.until) == (True, 100 + STALE_TTL)
    assert cache.fail("a", 60 + STALE_MOST) is None, "a day later it does not"
    cache.put("a", TWO, 60, 200)
    entry = cache.find("a")
    assert entry is not None
    assert (entry.failing, entry.answer) == (False, TWO)


def test_that_there_is_no_such_name_serves_nobody_for_longer() -> None:
    cache = NameCache(10, 1, 3600)
    cache.put("a", (), 5, 0)
    assert cache.fail("a", 6) is None
    assert cache.fail("b", 6) is None
    cache.clear()
    assert len(cache) == 0
