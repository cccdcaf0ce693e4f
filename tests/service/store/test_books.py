"""Accounts and their store as one: quotas and resets outlive a restart, nothing is lost at a clean end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from shadesocks.core.limits import FREE, Limits, Quota
from shadesocks.proxy.users.accounts import Accounts
from shadesocks.proxy.users.counts import Counts
from shadesocks.proxy.users.quota import HOUR
from shadesocks.service.store.books import Books
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import StoreError
from tests.proxy.users.test_account import Carrier, begin

MAY_20 = 1_779_235_200
"""2026-05-20 00:00 UTC."""


class Scene:
    """Lives of a service, one after the other, on one store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wall = MAY_20
        self.books: Books
        self.accounts: Accounts

    async def live(self, **wanted: Limits) -> None:
        self.accounts = Accounts()
        self.books = Books(self.accounts, SqliteStore(self.path), lambda: float(self.wall), lambda: self.wall)
        await self.books.open()
        await self.books.serve(wanted)

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
