"""Accounts and their store as one: quotas and resets outlive a restart, nothing is lost at a clean end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from shadesocks.core.limits import FREE, Limits, Quota
from shadesocks.proxy.users.accounts import Accounts
from shadesocks.proxy.users.counts import Counts
from shadesocks.proxy.users.quota import HOUR
from shadesocks.service.store.books import AT_ONCE, Books
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Batch, ByHour, Row, StoreError
from tests.proxy.users.test_account import Carrier, begin

MAY_20 = 1_779_235_200
"""2026-05-20 00:00 UTC."""


class Slow(SqliteStore):
    """Its answers about the past take as long as a test wants."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked, self.may_answer = Event(), Event()
        self.may_answer.set()
        self.names: list[Collection[str]] = []

    def hold(self) -> None:
        self.asked.clear()
        self.may_answer.clear()

    def used(self, names: Collection[str], reach: tuple[int, int] | None = None) -> dict[str, int]:
        answer = super().used(names, reach)
        self._wait(names)
        return answer

    def used_by_hour(self, names: Collection[str], reach: tuple[int, int]) -> dict[str, ByHour]:
        answer = super().used_by_hour(names, reach)
        self._wait(names)
        return answer

    def _wait(self, names: Collection[str]) -> None:
        self.names.append(list(names))
        self.asked.set()
        assert self.may_answer.wait(20)


class Scene:
    """Lives of a service, one after the other, on one store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wall = MAY_20
        self.ahead = 0
        """Seconds that the wall clock was set ahead."""
        self.books: Books
        self.store: Slow
        self.accounts: Accounts

    async def live(self, **wanted: Limits) -> None:
        self.accounts = Accounts()
        self.store = Slow(self.path)
        self.books = Books(self.accounts, self.store, self.now, lambda: self.wall)
        await self.books.open()
        await self.books.serve(wanted)

    def now(self) -> float:
        return float(self.wall - self.ahead)

    def jump(self, seconds: int) -> None:
        """Set the wall clock, and not the other one."""
        self.wall += seconds
        self.ahead += seconds

    async def sweep(self) -> None:
        """Sweep, and wait until all that this brought about is done."""
        self.books.sweep()
        if self.books._refilling is not None:
            await self.books._refilling
        await self.books.clerk.ask(lambda store: store.users())

    def carrier(self, name: str) -> Carrier:
        account = self.accounts.find(name)
        assert account is not None
        return begin(account)

    def used(self, name: str) -> int:
        account = self.accounts.find(name)
        assert account is not None
        return account.used(self.wall)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 30))


@pytest.mark.parametrize("window", ["lifetime", "month", "days"])
def test_a_quota_outlives_a_restart(tmp_path: Path, window: str) -> None:
    async def story() -> None:
        scene, limits = Scene(tmp_path / "users.db"), Limits(quota=Quota(1000, window))
        await scene.live(ann=limits, bob=FREE)
        relay = scene.carrier("ann")
        for _ in range(3):
            relay.move(100, 50)
            scene.wall += 2 * HOUR
            scene.books.sweep()
        relay.move(7, 0)
        assert await scene.books.close()
        await scene.live(ann=limits)
        assert scene.used("ann") == 457
        scene.wall += 31 * 24 * HOUR
        assert scene.used("ann") == (457 if window == "lifetime" else 0)
        assert await scene.books.close()

    play(story())


@pytest.mark.parametrize("window", ["lifetime", "month", "days"])
def test_a_reset_outlives_a_restart(tmp_path: Path, window: str) -> None:
    async def story() -> None:
        scene, limits = Scene(tmp_path / "users.db"), Limits(quota=Quota(1000, window))
        await scene.live(ann=limits)
        relay = scene.carrier("ann")
        relay.move(900, 0)
        scene.books.sweep()
        scene.wall += 10
        relay.move(50, 0)
        assert await scene.books.reset("ann")
        assert not await scene.books.reset("nobody")
        relay.move(3, 4)
        scene.books.sweep()
        assert scene.used("ann") == 7
        assert await scene.books.close()
        await scene.live(ann=limits)
        assert scene.used("ann") == 7
        assert await scene.books.close()

    play(story())


def test_another_window_counts_what_passed_before(tmp_path: Path) -> None:
    async def story() -> None:
        scene = Scene(tmp_path / "users.db")
        await scene.live(ann=FREE)
        relay = scene.carrier("ann")
        relay.move(100, 0)
        await scene.books.serve({"ann": Limits(quota=Quota(1000, "days"))})
        assert scene.used("ann") == 100
        relay.move(1, 0)
        scene.books.sweep()
        await scene.books.serve({"ann": Limits(quota=Quota(50, "days"))})
        assert scene.used("ann") == 101
        scene.books.sweep()
        assert relay.word == "quota"
        await scene.books.serve({})
        assert scene.accounts.find("ann") is None
        assert await scene.books.close()

    play(story())


WINDOWS = pytest.mark.parametrize("window", ["lifetime", "month", "days"])


@WINDOWS
def test_what_passes_while_the_store_is_asked_counts_once(tmp_path: Path, window: str) -> None:
    async def story() -> None:
        scene = Scene(tmp_path / "users.db")
        await scene.live(ann=FREE, bob=FREE)
        relay = scene.carrier("ann")
        relay.move(1000, 0)
        scene.books.sweep()
        relay.move(200, 0)
        scene.store.hold()
        admitted = asyncio.ensure_future(scene.books.admit({"ann": Limits(quota=Quota(10_000, window)), "bob": FREE}))
        await asyncio.to_thread(scene.store.asked.wait, 20)
        relay.move(0, 5000)
        scene.books.sweep()
        relay.move(30, 0)
        scene.store.may_answer.set()
        await admitted
        assert scene.store.names == [["ann"]], "nobody else was asked about"
        scene.books.sweep()
        assert scene.used("ann") == 6230
        assert await scene.books.close()
        await scene.live(ann=Limits(quota=Quota(10_000, window)))
        assert scene.used("ann") == 6230
        assert await scene.books.close()

    play(story())


def test_limits_hold_before_the_store_is_asked(tmp_path: Path) -> None:
    async def story() -> None:
        scene, seen = Scene(tmp_path / "users.db"), list[tuple[Limits, int]]()
        await scene.live(ann=FREE)

        def opened() -> None:
            account = scene.accounts.find("ann")
            assert account is not None
            seen.append((account.limits, len(scene.store.names)))

        limits = Limits(quota=Quota(1000), connections=3)
        await scene.books.admit({"ann": limits}, (), opened)
        assert seen == [(limits, 0)]
        assert scene.store.names == [["ann"]]
        assert await scene.books.close()

    play(story())


@WINDOWS
def test_a_reset_while_the_store_is_asked_holds(tmp_path: Path, window: str) -> None:
    async def story() -> None:
        scene, limits = Scene(tmp_path / "users.db"), Limits(quota=Quota(10_000, window))
        await scene.live(ann=FREE)
        relay = scene.carrier("ann")
        relay.move(1000, 0)
        scene.books.sweep()
        scene.store.hold()
        admitted = asyncio.ensure_future(scene.books.admit({"ann": limits}))
        await asyncio.to_thread(scene.store.asked.wait, 20)
        account = scene.accounts.find("ann")
        assert account is not None
        account.reset(scene.wall)  # as another process tells it
        scene.store.may_answer.set()
        await admitted
        assert scene.used("ann") == 0
        relay.move(7, 0)
        scene.books.sweep()
        assert scene.used("ann") == 7
        assert await scene.books.close()

    play(story())


def test_what_is_not_written_counts_though_the_store_has_it_not(tmp_path: Path) -> None:
    async def story() -> None:
        scene = Scene(tmp_path / "users.db")
        await scene.live(ann=FREE)
        relay = scene.carrier("ann")
        relay.move(100, 0)
        await scene.sweep()
        scene.store.write = no_room  # type: ignore[assignment,method-assign]
        for _ in range(3):
            relay.move(20, 3)
            await scene.sweep()
        await scene.books.admit({"ann": Limits(quota=Quota(1000))})
        assert scene.used("ann") == 169
        del scene.store.write
        await scene.sweep()
        assert scene.used("ann") == 169
        assert await scene.books.close()

    play(story())


def no_room(_batch: object) -> bool:
    raise StoreError("no room")


def test_many_users_are_looked_up_some_at_a_time(tmp_path: Path) -> None:
    async def story() -> None:
        scene, limits = Scene(tmp_path / "users.db"), Limits(quota=Quota(10_000, "month"))
        store = SqliteStore(scene.path)
        store.open()
        names = [f"u{number}" for number in range(2 * AT_ONCE + 3)]
        hour = MAY_20 // HOUR
        store.write(Batch("w", 1, tuple(Row(name, hour - 25, number, 0, 0, 0) for number, name in enumerate(names))))
        store.close()
        await scene.live(**dict.fromkeys(names, limits))
        assert [len(some) for some in scene.store.names] == [AT_ONCE, AT_ONCE, 3]
        assert [scene.used(name) for name in names] == [*range(len(names))]
        assert await scene.books.close()

    play(story())


@pytest.mark.parametrize("window", ["month", "days"])
def test_others_have_turns_while_users_are_admitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: str
) -> None:
    async def story() -> None:
        scene, turns = Scene(tmp_path / "users.db"), 0
        names = [f"u{number}" for number in range(50)]
        await scene.live()
        await scene.books.clerk.ask(
            lambda store: store.write(Batch("w", 1, tuple(Row(name, MAY_20 // HOUR, 9, 0, 0, 0) for name in names)))
        )
        monkeypatch.setattr("shadesocks.service.store.books.PIECE", 0.0)
        monkeypatch.setattr(scene.store, "users", no_answer)  # nor is anybody looked at who has nothing to do with it
        monkeypatch.setattr(scene.store, "hours", no_answer)
        admitted = asyncio.ensure_future(scene.books.admit(dict.fromkeys(names, Limits(quota=Quota(10_000, window)))))
        while not admitted.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 2 * len(names)
        assert {scene.used(name) for name in names} == {9}
        assert await scene.books.close()

    play(story())


@pytest.mark.parametrize("window", ["month", "days"])
@pytest.mark.parametrize("ahead", [(2030 - 2026) * 365 * 24 * HOUR, 40 * 24 * HOUR, -40 * 24 * HOUR])
def test_a_clock_that_jumps_and_comes_back_changes_nothing(tmp_path: Path, window: str, ahead: int) -> None:
    async def story() -> None:
        scene, limits = Scene(tmp_path / "users.db"), Limits(quota=Quota(1000, window))
        await scene.live(ann=limits)
        relay = scene.carrier("ann")
        relay.move(300, 0)
        await scene.sweep()
        scene.wall += 5 * HOUR
        relay.move(40, 0)
        await scene.sweep()
        scene.jump(ahead)
        for _ in range(3):
            scene.wall += 1
            relay.move(5, 0)
            await scene.sweep()
        assert scene.used("ann") == 15, "the clock says that all else is long ago, or to come"
        scene.jump(-ahead)
        await scene.sweep()
        assert scene.used("ann") == 340
        hours = await scene.books.clerk.ask(lambda store: store.hours(0, 10**9))
        assert sorted(row.up for row in hours) == [15, 40, 300], "no hour became a day"
        relay.move(2, 0)
        scene.books.sweep()
        scene.wall += 10 * 24 * HOUR
        assert scene.used("ann") == 342
        scene.wall += 5 * 24 * HOUR
        assert scene.used("ann") == (0 if window == "month" else 342)
        assert await scene.books.close()

    play(story())


def test_a_service_that_began_without_a_clock_knows_the_month_once_it_has_one(tmp_path: Path) -> None:
    async def story() -> None:
        scene, limits = Scene(tmp_path / "users.db"), Limits(quota=Quota(1000, "month"))
        await scene.live(ann=limits)
        scene.carrier("ann").move(300, 0)
        assert await scene.books.close()
        scene.wall = 100
        await scene.live(ann=limits)
        relay = scene.carrier("ann")
        assert scene.used("ann") == 0
        relay.move(20, 0)
        await scene.sweep()
        scene.jump(MAY_20 + 60 - 100)
        relay.move(4, 0)
        await scene.sweep()
        assert scene.used("ann") == 304
        assert await scene.books.close()

    play(story())


def test_windows_are_filled_once_the_store_answers_again(tmp_path: Path) -> None:
    async def story() -> None:
        scene, limits = Scene(tmp_path / "users.db"), Limits(quota=Quota(1000, "month"))
        await scene.live(ann=limits, bob=Limits(quota=Quota(5)))
        relay = scene.carrier("ann")
        relay.move(300, 0)
        await scene.sweep()
        scene.jump(400 * 24 * HOUR)
        await scene.sweep()
        answer = scene.store.used
        scene.store.used = no_answer  # type: ignore[assignment,method-assign]
        scene.jump(-400 * 24 * HOUR)
        await scene.sweep()
        assert scene.used("ann") == 0
        scene.store.used = answer  # type: ignore[method-assign]
        scene.store.names.clear()
        await scene.sweep()
        assert scene.used("ann") == 300
        await scene.sweep()
        assert scene.store.names == [["ann"]], "once, and for windows that have to do with time"
        assert await scene.books.close()

    play(story())


@WINDOWS
def test_what_was_used_counts_once_the_store_says_it(tmp_path: Path, window: str) -> None:
    async def story() -> None:
        scene = Scene(tmp_path / "users.db")
        await scene.live(ann=FREE, bob=FREE)
        relay = scene.carrier("ann")
        relay.move(300, 0)
        await scene.sweep()
        with pytest.MonkeyPatch.context() as patched:
            for name in ("used", "used_by_hour"):
                patched.setattr(scene.store, name, no_answer)
            with pytest.raises(StoreError, match="no answer"):
                await scene.books.admit({"ann": Limits(quota=Quota(1000, window)), "bob": FREE})
            relay.move(20, 0)
            await scene.sweep()
            assert scene.used("ann") == 20
        relay.move(4, 0)
        await scene.sweep()
        assert scene.used("ann") == 324
        scene.store.names.clear()
        await scene.sweep()
        assert scene.store.names == []
        assert await scene.books.close()

    play(story())


def no_answer(*_: object) -> dict[str, int]:
    raise StoreError("no answer")


def test_an_end_waits_for_no_answer_about_the_past(tmp_path: Path) -> None:
    async def story() -> None:
        scene = Scene(tmp_path / "users.db")
        await scene.live(ann=Limits(quota=Quota(1000, "month")))
        scene.carrier("ann").move(300, 0)
        scene.store.hold()
        scene.jump(3 * HOUR)
        scene.books.sweep()
        await asyncio.to_thread(scene.store.asked.wait, 20)
        asyncio.get_running_loop().call_later(0.05, scene.store.may_answer.set)
        assert await scene.books.close(0.01)
        assert scene.books._refilling is None

    play(story())


def test_a_clock_ahead_makes_no_days_of_the_last_hours(tmp_path: Path) -> None:
    """Not at a start either, where no other clock tells."""

    async def story() -> None:
        scene = Scene(tmp_path / "users.db")
        await scene.live(ann=FREE)
        relay = scene.carrier("ann")
        for _ in range(3):
            scene.wall += 20 * 24 * HOUR
            relay.move(1, 0)
            await scene.sweep()
        assert await scene.books.close()
        scene.wall += 365 * 24 * HOUR
        await scene.live(ann=FREE)
        await scene.sweep()
        hours = await scene.books.clerk.ask(lambda store: store.hours(0, 10**9))
        assert [datetime.fromtimestamp(row.hour * HOUR, UTC).month for row in hours] == [6, 7]
        assert await scene.books.close()

    play(story())


def test_hours_become_days_once_a_day(tmp_path: Path) -> None:
    async def story() -> None:
        scene = Scene(tmp_path / "users.db")
        await scene.live(ann=FREE)
        relay = scene.carrier("ann")
        for _ in range(40):
            relay.move(1, 0)
            scene.books.sweep()
            await scene.books.clerk.ask(lambda store: store.users())
            scene.wall += 24 * HOUR
        hours = await scene.books.clerk.ask(lambda store: store.hours(0, 10**9))
        days = await scene.books.clerk.ask(lambda store: store.days(0, 10**9))
        assert (len(hours), len(days)) == (33, 7)
        assert await scene.books.close()

    play(story())


def test_a_store_that_was_taken_away_is_noticed_within_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        path, now = tmp_path / "in" / "users.db", [1.0]
        accounts = Accounts()
        books = Books(accounts, SqliteStore(path), lambda: now[0], lambda: MAY_20 + int(now[0]))
        await books.open()
        path.parent.rename(tmp_path / "away")
        path.parent.write_text("in the way")
        for now[0] in (30.0, 60.9):
            books.sweep()
            await books.clerk.ask(lambda _store: None)
            assert books.trouble == ""
        for now[0] in (61.0, 121.0):
            books.sweep()
            await books.clerk.ask(lambda _store: None)
            assert "users.db" in books.trouble
        path.parent.unlink()
        now[0] = 181.0
        books.sweep()
        await books.clerk.ask(lambda _store: None)
        assert books.trouble == ""
        assert path.exists()
        assert "was deleted or renamed" in books.clerk.remark
        assert await books.close()

    play(story())
    assert len([record for record in caplog.records if "cannot be used now" in record.message]) == 1, "said once"


def test_a_store_that_fails_costs_nothing_but_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(SqliteStore):
        fails = True

        def write(self, batch: Any) -> bool:
            if self.fails:
                raise StoreError("no room")
            return super().write(batch)

    async def story() -> None:
        accounts, store = Accounts(), Failing(tmp_path / "users.db")
        books = Books(accounts, store, lambda: 1.0, lambda: MAY_20)
        await books.open()
        await books.serve({"ann": Limits(quota=Quota(5000))})
        account = accounts.find("ann")
        assert account is not None
        relay = begin(account)
        for _ in range(3):
            relay.move(1000, 0)
            books.sweep()
            await books.clerk.ask(lambda store: store.users())
        assert account.used(MAY_20) == 3000, "limits hold"
        assert books.flush.trouble == "no room"
        store.fails = False
        books.sweep()
        while not books.flush.is_clean:
            await asyncio.sleep(0.001)
            books.sweep()
        assert books.flush.trouble == ""
        store.fails = True
        relay.move(5, 0)
        assert not await books.close(0.2)
        store.open()
        assert store.users()[0].counts == Counts(3000, 0, 3150, 150)
        store.close()

    with caplog.at_level(logging.ERROR):
        play(story())
    assert "is lost: 5 bytes" in caplog.text


@pytest.mark.parametrize("window", ["lifetime", "month", "days"])
def test_what_another_machine_counts_is_known_within_a_minute(tmp_path: Path, window: str) -> None:
    async def story() -> None:
        here, there = Scene(tmp_path / "users.db"), Scene(tmp_path / "users.db")
        for scene in (here, there):
            await scene.live(ann=Limits(quota=Quota(1000, window)))
        live, other = here.carrier("ann"), there.carrier("ann")
        live.move(300, 0)
        other.move(0, 500)
        for scene in (here, there):
            await scene.sweep()
        assert (here.used("ann"), there.used("ann")) == (300, 500)
        for scene in (here, there):
            scene.wall += 60
            await scene.sweep()
            await scene.sweep()
        assert (here.used("ann"), there.used("ann")) == (800, 800)
        live.move(200, 0)
        await here.sweep()
        assert live.word == "quota"
        assert here.used("ann") == 1000
        there.wall += 60
        await there.sweep()
        await there.sweep()
        await there.sweep()
        assert other.word == "quota"
        for scene in (here, there):
            await scene.books.close()

    play(story())
