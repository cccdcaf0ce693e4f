"""What is kept of users: opened with the service, told when it cannot be written, closed with all written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Event

import pytest

from shadesocks.cli.running import LIMIT
from shadesocks.core.errors import ConfigError
from shadesocks.core.limits import FREE, Limits, Quota
from shadesocks.proxy.users.accounts import Accounts
from shadesocks.proxy.users.counts import Counts
from shadesocks.service.shared import wall
from shadesocks.service.store.roll import write_user
from shadesocks.service.store.store import Batch, Row, StoreError
from shadesocks.service.users import kept as module
from shadesocks.service.users.kept import ASKED, Kept, keep
from tests.proxy.users.test_account import begin

from .test_accounting import kept, stored, with_store
from .test_tables import shared

BATCH = Batch("somebody", 1, (Row("s", wall() // 3600, 100, 50, 120, 60),))


async def opened(path: Path, accounts: Accounts) -> Kept:
    return await keep(with_store(path, shared()), accounts, None)


def test_what_was_used_before_counts_and_a_reset_by_somebody_else_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    kept(path, lambda store: write_user(store, stored("s")))
    kept(path, lambda store: store.write(BATCH))

    async def story() -> None:
        accounts = Accounts()
        held = await opened(path, accounts)
        limits = Limits(quota=Quota(1000))
        try:
            await held.gather(with_store(path, shared()), joins=True)
            await held.admit({"s": limits})
            account = accounts.find("s")
            assert account is not None
            assert account.left == 850
            assert await held.sums() == {"s": Counts(100, 50, 120, 60)}
            kept(path, lambda store: store.reset("s", wall()))
            await held.admit({"s": limits})
            assert account.left == 850, "nobody looked"
            await held.gather(with_store(path, shared()), joins=True)
            await held.admit({"s": limits})
            assert account.left == 1000
            await held.gather(with_store(path, shared()), joins=True)
            assert held.trouble == ""
        finally:
            assert await held.close()

    asyncio.run(story())


def test_every_reset_is_heard_also_two_at_once_and_by_a_clock_that_went_back(tmp_path: Path) -> None:
    path, instant = tmp_path / "users.db", wall()
    kept(path, lambda store: write_user(store, stored("s")))

    async def story() -> None:
        accounts, limits = Accounts(), {"s": Limits(quota=Quota(1000))}
        held = await opened(path, accounts)
        try:
            await held.gather(with_store(path, shared()), joins=True)
            await held.admit(limits)
            account = accounts.find("s")
            assert account is not None
            carrier = begin(account)
            for reset_at in (instant, instant, instant - 60, instant + 60):
                carrier.move(100, 0)
                await held._books._write_all()
                assert account.used(wall()) == 100
                kept(path, lambda store, at=reset_at: store.reset("s", at))  # type: ignore[misc]
                await held.gather(with_store(path, shared()), joins=True)
                await held.admit(limits)
                assert account.used(wall()) == 0, reset_at - instant
        finally:
            assert await held.close()

    asyncio.run(story())


def test_a_store_that_hangs_holds_up_nobody_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "users.db"
    monkeypatch.setattr(module, "ASKED", 0.05)

    async def story() -> None:
        accounts, answers = Accounts(), Event()
        held = await opened(path, accounts)
        held._books.clerk._patience = 0.05
        held._books.clerk.tell(lambda _store: answers.wait(20), lambda *_: None)
        try:
            with pytest.raises(ConfigError, match="store: the store has not answered"):
                await held.gather(with_store(path, shared()), joins=True)
            await held.admit({"s": Limits(quota=Quota(1000))})
            assert await held.sums() == {}
            assert (
                held.silence
                == "the store has not answered for 0.05 seconds; see whether its disk, or its database, hangs"
            )
            with pytest.raises(StoreError, match="has not answered"):
                await held._books.reset("s")
            account = accounts.find("s")
            assert account is not None
            assert account.left == 1000
            answers.set()
            held._books.clerk._patience = 20
            await held.gather(with_store(path, shared()), joins=True)
            monkeypatch.undo()
            await held.sums()
            assert held.silence == ""
        finally:
            answers.set()
            assert await held.close()

    asyncio.run(story())
    assert "until it is, their quotas count from now: the store has not answered" in caplog.text


def test_a_store_that_was_taken_away_is_told_until_the_next_reload(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "users.db"
    kept(path, lambda store: write_user(store, stored("s")))

    async def story() -> None:
        held, config = await opened(path, Accounts()), with_store(path, shared(names=""))
        try:
            assert [*(await held.gather(config, joins=True))[1]] == ["s"]
            assert (held.remark, held.remarks) == ("", 0)
            path.rename(tmp_path / "old.db")
            assert [*(await held.gather(config, joins=True))[1]] == []
            assert "was deleted or renamed" in held.remark, "by this reload"
            kept(path, lambda store: write_user(store, stored("t")))
            assert [*(await held.gather(config, joins=True))[1]] == ["t"]
            assert (held.remark, held.remarks, held.trouble) == ("", 1, "")
        finally:
            assert await held.close()

    asyncio.run(story())
    assert "was deleted or renamed" in caplog.text


def test_a_store_that_is_none_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "users.db").mkdir()
    with pytest.raises(ConfigError, match=r"store: .*users\.db"):
        asyncio.run(opened(tmp_path / "users.db", Accounts()))


def test_who_has_no_limits_costs_no_question(tmp_path: Path) -> None:
    async def story() -> None:
        accounts = Accounts()
        held = await opened(tmp_path / "users.db", accounts)
        await held.admit({"a": FREE, "b": FREE})
        assert len(accounts) == 2
        held.sweep()
        assert await held.close()

    asyncio.run(story())


def test_whoever_asks_over_the_control_socket_hears_of_a_store_that_hangs() -> None:
    assert ASKED <= LIMIT / 2
