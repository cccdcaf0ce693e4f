"""The users that a store defines: written, read, and what they used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shadesocks.config.hosts import UnfitError
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.limits import FREE, Limits, Quota
from shadesocks.core.secret import Secret
from shadesocks.proxy.users.counts import Counts
from shadesocks.proxy.users.quota import HOUR
from shadesocks.service.store.roll import call_roll, pack_definition, parse_definition, used, write_user
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Batch, Row

MAY_20 = 1_779_235_200
"""2026-05-20 00:00 UTC."""
ANNA = UserConfig(
    "anna",
    (Credential(Secret("canary-1")), Credential(Secret("canary-2"), 5, 10)),
    Limits(quota=Quota(1000, "month", 3), ports=((80, 80),), targets=("example.org",)),
    "third floor \u2603",
    8388,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "users.db")
    store.open()
    yield store
    store.close()


def test_what_was_written_is_read(store: SqliteStore) -> None:
    free = UserConfig("ben", (Credential(Secret("x")),), FREE)
    write_user(store, ANNA)
    write_user(store, free)
    store.write(Batch("w", 1, (Row("gone", 5, 1, 2, 3, 4),)))
    roll = call_roll(store)
    assert roll.users == {"anna": ANNA, "ben": free}
    assert set(roll.stored) == {"anna", "ben", "gone"}
    assert not roll.faults
    write_user(store, UserConfig("anna"))
    assert call_roll(store).users["anna"] == UserConfig("anna")
    assert pack_definition(UserConfig("anna")) == "{}"


@pytest.mark.parametrize("text", ["", "{canary", "[]", '"canary"', '{"quota": "canary"}', "[" * 100_000])
def test_what_cannot_be_read_is_told_without_its_text(store: SqliteStore, text: str) -> None:
    with pytest.raises(UnfitError) as caught:
        parse_definition("anna", text)
    assert "canary" not in str(caught.value)
    store.put("anna", text)
    write_user(store, UserConfig("ben"))
    roll = call_roll(store)
    assert set(roll.users) == {"ben"}
    assert roll.faults == {"anna": str(caught.value)}
    assert "anna" in roll.stored


def test_a_member_of_a_later_version_is_passed_over() -> None:
    assert parse_definition("anna", '{"colour": "red", "port": 5}') == UserConfig("anna", port=5)


def test_what_counts_against_quotas(store: SqliteStore) -> None:
    hour = MAY_20 // HOUR
    store.write(Batch("w", 1, (Row("anna", hour - 29 * 24, 1, 0, 0, 0), Row("anna", hour - 40 * 24, 100, 0, 0, 0))))
    store.write(Batch("w", 2, (Row("anna", hour - 24, 10, 0, 0, 0), Row("ben", hour - 24, 0, 7, 0, 0))))
    quotas = {"life": Quota(1), "month": Quota(1, "month"), "days": Quota(1, "days")}
    by_window = {
        window: used(store, {"anna": quota, "ben": quota, "nobody": quota}, MAY_20 + 5)
        for window, quota in quotas.items()
    }
    assert by_window == {
        "life": {"anna": 111, "ben": 7, "nobody": 0},
        "month": {"anna": 10, "ben": 7, "nobody": 0},
        "days": {"anna": 11, "ben": 7, "nobody": 0},
    }
    store.reset("anna", MAY_20)
    store.write(Batch("w", 3, (Row("anna", hour, 3, 0, 0, 0),)))
    assert call_roll(store).stored["anna"].counts == Counts(114, 0, 0, 0)
    for quota in quotas.values():
        assert used(store, {"anna": quota}, MAY_20 + 5) == {"anna": 3}
    assert used(store, {"anna": Quota(1, "month", 21), "ben": Quota(1, "month", 20)}, MAY_20 + 5) == {
        "anna": 3,
        "ben": 0,
    }


@pytest.mark.parametrize("ahead", [5 * HOUR, -5 * HOUR, 40 * 24 * HOUR])
def test_a_reset_by_a_wrong_clock_is_one_all_the_same(store: SqliteStore, ahead: int) -> None:
    quotas = [Quota(1), Quota(1, "month"), Quota(1, "days")]
    hour = MAY_20 // HOUR
    store.write(Batch("w", 1, (Row("anna", hour - 9, 400, 0, 0, 0), Row("anna", hour, 1, 0, 0, 0))))
    store.reset("anna", MAY_20 + ahead)
    assert [used(store, {"anna": quota}, MAY_20 + 5) for quota in quotas] == [{"anna": 0}] * 3
    store.write(Batch("w", 2, (Row("anna", hour, 70, 7, 0, 0),)))
    assert [used(store, {"anna": quota}, MAY_20 + 5) for quota in quotas] == [{"anna": 77}] * 3


def test_hours_that_a_wrong_clock_made_days_count(store: SqliteStore) -> None:
    hour = MAY_20 // HOUR
    store.write(Batch("w", 1, (Row("anna", hour - 49, 5, 0, 0, 0), Row("anna", hour - 25, 10, 0, 0, 0))))
    store.roll(hour + 24)
    assert store.hours(0, hour * 2) == []
    for window in ("month", "days"):
        assert used(store, {"anna": Quota(1, window)}, MAY_20) == {"anna": 15}


def test_hours_to_come_count_as_far_as_a_window_reaches(store: SqliteStore) -> None:
    hour = MAY_20 // HOUR
    store.write(Batch("w", 1, (Row("anna", hour + 5, 3, 0, 0, 0), Row("anna", hour * 2, 50, 0, 0, 0))))
    for window in ("month", "days"):
        assert used(store, {"anna": Quota(1, window)}, MAY_20) == {"anna": 3}
        assert used(store, {"anna": Quota(1, window)}, 5) == {"anna": 0}, "a machine began without a clock"
