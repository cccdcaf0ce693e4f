"""The status line."""

from __future__ import annotations

import pytest

from shadesocks.cli.status import Reading, size_text, status_line

SIZES = {
    0: "0 B",
    999: "999 B",
    1000: "0.977 KiB",
    1024: "1 KiB",
    100 * 1024: "100 KiB",
    1024**2: "1 MiB",
    5_000_000_000: "4.66 GiB",
    1024**4: "1 TiB",
    1024**5 * 1000: "1000 PiB",
    1024**5 * 88_000: "88000 PiB",
    10**400: "1180591620717411303424 PiB",
}


@pytest.mark.parametrize(("size", "text"), SIZES.items())
def test_a_size_has_a_unit_that_fits(size: int, text: str) -> None:
    assert size_text(size) == text


def test_rates_are_of_the_time_between_and_totals_of_all() -> None:
    before = Reading(100.0, 1, 5, 1024, 10240)
    now = Reading(102.0, 2, 7, 3072, 10240 + 4 * 1024**2)
    assert status_line(before, now) == "2 open, 7 in all | up 1 KiB/s, down 2 MiB/s | 3 KiB up, 4.01 MiB down"


def test_two_readings_at_one_instant_are_no_error() -> None:
    now = Reading(100.0, 0, 0, 0, 0)
    assert status_line(now, now) == "0 open, 0 in all | up 0 B/s, down 0 B/s | 0 B up, 0 B down"
