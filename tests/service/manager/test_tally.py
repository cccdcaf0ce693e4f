"""What workers say in memory that they share: exact, and never less than it was, whoever dies."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadesocks.service.manager.tally import NOTE_MOST, Share, Tally


@pytest.fixture
def tally() -> Iterator[Tally]:
    made = Tally(3)
    yield made
    made.close()


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([1, 8388, 65535]), st.integers(0, 1 << 40), st.booleans()), max_size=30
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_sums_are_what_all_that_ever_were_said(steps: list[tuple[int, int, int, bool]]) -> None:
    tally = Tally(3)
    shares = [Share(tally, row) for row in range(3)]
    passed: list[Counter[int]] = [Counter() for _ in shares]
    said: Counter[int] = Counter()
    for row, port, size, dies in steps:
        passed[row][port] += size
        shares[row].tell(passed[row])
        said[port] += size
        assert {number: total for number, total in tally.sums().items() if total} == dict(+said)
        if dies:  # what it had not said is lost, and nothing else
            passed[row][port] += 5
            shares[row], passed[row] = Share(tally, row), Counter()
    tally.close()


def test_a_process_has_a_row_of_its_own_as_long_as_there_are_some(tally: Tally) -> None:
    assert tally.free_row(()) == 0
    assert tally.free_row({0, 2}) == 1
    assert tally.free_row(range(tally.rows)) == tally.rows - 1


def test_one_who_asks_says_first_what_passed_with_him(tally: Tally) -> None:
    Share(tally, 1).tell({8388: 5})
    assert Share(tally, 0).sums({8388: 7, 1: 0}) == {8388: 12}


def test_another_process_reads_what_one_wrote(tally: Tally) -> None:
    pid = os.fork()
    if not pid:
        Share(tally, 2).tell({8388: 1 << 40})
        tally.told[8388] = 3
        tally.remember([("127.0.0.1", 5)])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert tally.sums() == {8388: 1 << 40}
    assert (tally.told[8388], tally.heard[8388]) == (3, 0)
    assert tally.senders() == [("127.0.0.1", 5)]


def test_whom_a_manager_tells_is_noted_whole_or_not_at_all(tally: Tally) -> None:
    assert tally.senders() == []
    for senders in (["/run/one"], [("::1", 1, 0, 0), b"\0two"], []):
        tally.remember(senders)
        assert tally.senders() == senders
    tally.remember(["/run/one"])
    tally.remember(["x" * NOTE_MOST])  # which nobody is called
    assert tally.senders() == ["/run/one"]
