"""The values of the seam: what counts since a reset."""

from __future__ import annotations

import subprocess
import sys

from shadesocks.proxy.users.counts import Counts
from shadesocks.service.store.store import ByHour, Day, Row, Stored, days_in, last_hour

from .sums import since_reset


def test_a_plain_server_loads_none_of_it() -> None:
    look = (
        "import sys, shadesocks.service.service, shadesocks.service.roles.server_port, shadesocks.cli.running; "
        "print([name for name in sys.modules if 'sqlite' in name or 'service.store' in name])"
    )
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, timeout=60).stdout.split() == [b"[]"]


def test_rows_have_four_sums() -> None:
    assert Row("ann", 5, 1, 2, 3, 4).counts == Counts(1, 2, 3, 4) == Day("ann", 5, 1, 2, 3, 4).counts


def test_a_reset_counts_from_its_moment() -> None:
    """Within an hour, too: what passed since then is what passed last."""
    hours = ByHour([(9, 5), (10, 15), (11, 2)])
    assert hours.total == 22
    never = Stored("ann", None, Counts(13, 9, 27, 27))
    assert since_reset(never) == 22
    assert [*hours.newest(since_reset(never))] == [*hours] == [(9, 5), (10, 15), (11, 2)]
    late = Stored("ann", None, Counts(13, 9, 27, 27), 10 * 3600 + 99, Counts(8, 6, 0, 0))
    assert since_reset(late) == 8
    assert [*hours.newest(since_reset(late))] == [(10, 6), (11, 2)]
    assert [*hours.newest(2)] == [(11, 2)]
    assert [*hours.newest(0)] == []


def test_a_day_is_where_its_last_hour_is() -> None:
    assert last_hour(2) == 71
    for first in range(60):
        for end in range(first, 80):
            days = range(*days_in((first, end)))
            assert [day for day in range(5) if first <= last_hour(day) < end] == [*days], (first, end)
