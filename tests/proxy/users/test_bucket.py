"""The token bucket: never more than its rate allows, and never less."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shadesocks.proxy.users.bucket import SIZE_MIN, TokenBucket
from shadesocks.wire.packet import PACKET_MAX

RATES = st.integers(1024, 10**9)
STEPS = st.lists(st.tuples(st.floats(0, 5), st.integers(1, PACKET_MAX)), max_size=60)


def test_a_bucket_is_full_at_first_and_holds_any_datagram() -> None:
    bucket = TokenBucket(1024, 7.0)
    assert bucket.tokens(7.0) == SIZE_MIN >= PACKET_MAX
    assert TokenBucket(10_000_000, 0.0).size == 2_500_000
    assert TokenBucket(1024, 0.0, 5).size == 5


def test_a_debt_is_waited_for() -> None:
    bucket = TokenBucket(10_000, 0.0, 10_000)
    assert bucket.wait(0.0) == 0
    assert bucket.take(15_000, 0.0) == -5_000
    assert bucket.wait(0.0) == 0.5
    assert bucket.wait(0.25) == 0.25
    assert bucket.wait(0.5) == 0
    assert not bucket.allow(1, 0.5)
    assert bucket.allow(1_000, 0.75)


def test_a_clock_that_goes_back_is_no_time() -> None:
    bucket = TokenBucket(1000, 100.0, 1000)
    bucket.take(1000, 100.0)
    assert bucket.tokens(50.0) == 0
    assert bucket.tokens(100.5) == 500


def test_a_change_of_rate_is_no_present() -> None:
    bucket = TokenBucket(1_000, 0.0, 1_000)
    bucket.take(3_000, 0.0)
    bucket.change(4_000, 1.0, 500)
    assert bucket.tokens(1.0) == -1_000
    assert bucket.tokens(1.25) == 0
    bucket.change(4_000, 9.0)
    assert bucket.tokens(9.0) == 500
    bucket.change(8, 9.0, 100)
    assert bucket.tokens(9.0) == 100


@given(RATES, STEPS)
def test_datagrams_never_pass_faster_than_the_rate(rate: int, steps: list[tuple[float, int]]) -> None:
    bucket, now, passed = TokenBucket(rate, 0.0), 0.0, 0
    for pause, size in steps:
        now += pause
        if bucket.allow(size, now):
            passed += size
        assert passed <= bucket.size + now * rate + 1


@given(RATES, STEPS)
def test_chunks_that_wait_pass_at_the_rate(rate: int, steps: list[tuple[float, int]]) -> None:
    """Who always has something to send gets all that the rate allows, and is never ahead by more than one chunk."""
    bucket, now, passed = TokenBucket(rate, 0.0), 0.0, 0
    for _, size in steps:
        now += bucket.wait(now)
        bucket.take(size, now)
        passed += size
        assert passed <= bucket.size + now * rate + size + 1
    if now:
        assert passed >= now * rate * (1 - 1e-9)


@given(RATES, STEPS)
def test_how_often_one_looks_changes_nothing(rate: int, steps: list[tuple[float, int]]) -> None:
    one, other, now = TokenBucket(rate, 0.0), TokenBucket(rate, 0.0), 0.0
    for pause, size in steps:
        other.tokens(now + pause / 3)
        now += pause
        difference = one.take(size, now) - other.take(size, now)
        assert abs(difference) <= 1e-6 * rate
