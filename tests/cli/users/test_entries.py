"""Options as members of a user."""

from __future__ import annotations

from typing import Any

import click
import pytest

from shadesocks.cli.users.entries import instant, members_of, seconds

NOW = 1_800_000_000.5


@pytest.mark.parametrize(
    ("given", "before", "after"),
    [
        ({}, {"note": "x"}, {"note": "x"}),
        ({"quota": "10G"}, {}, {"quota": "10G"}),
        (
            {"quota": "10"},
            {"quota": {"size": 5, "window": "days", "day": 1}},
            {"quota": {"size": 10, "window": "days", "day": 1}},
        ),
        ({"quota": "Unlimited"}, {"quota": 5, "note": "x"}, {"note": "x"}),
        ({"window": "Month", "day": "3"}, {"quota": 5}, {"quota": {"size": 5, "window": "month", "day": 3}}),
        ({"expires": "2h"}, {}, {"expires": 1_800_007_200}),
        ({"expires": "1900000000"}, {}, {"expires": 1_900_000_000}),
        ({"expires": "2027-01-31"}, {}, {"expires": "2027-01-31"}),
        ({"expires": "never"}, {"expires": 5}, {}),
        ({"connections": "3", "source_grace": "1.5"}, {}, {"connections": 3, "source_grace": 1.5}),
        ({"connections": "few", "source_grace": "long"}, {}, {"connections": "few", "source_grace": "long"}),
        ({"ports": "80", "targets": "none"}, {"targets": ["a"]}, {"ports": "80"}),
        ({"note": "none"}, {}, {"note": "none"}),
        ({"note": ""}, {"note": "x"}, {"note": ""}),
    ],
)
def test_options_become_members(given: dict[str, str | None], before: dict[str, Any], after: dict[str, Any]) -> None:
    kept = repr(before)
    assert members_of(given, before, NOW) == after
    assert repr(before) == kept


@pytest.mark.parametrize("given", [{"window": "month"}, {"day": "3"}, {"quota": "none", "day": "3"}])
def test_a_window_is_of_a_quota(given: dict[str, str | None]) -> None:
    with pytest.raises(click.UsageError):
        members_of(given, {}, NOW)


def test_instants_and_times() -> None:
    assert instant("1w", NOW) == 1_800_000_000 + 7 * 86_400
    assert instant("30 D", NOW, ago=True) == 1_800_000_000 - 30 * 86_400
    assert instant("5", NOW, ago=True) == 5
    for text in ("0", "30", "20270131"):
        with pytest.raises(click.UsageError, match=f"{text} is no date: write 2027-01-31, or 30d"):
            instant(text, NOW)
    assert instant("tomorrow", NOW) == "tomorrow"
    assert (seconds("0"), seconds("15m"), seconds("7d")) == (0, 900, 7 * 86_400)
    for text in ("", "7", "d", "-1d", "\u0667d"):
        with pytest.raises(click.UsageError):
            seconds(text)
