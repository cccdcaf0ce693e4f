"""The store's thread: calls in their order, answers in the loop, an end that waits for what was asked."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any

import pytest

from shadesocks.service.store.clerk import Clerk
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Batch, Row, Store, StoreError


def same(number: int, _store: Store) -> int:
    return number


def write(batch: Batch, store: Store) -> bool:
    return store.write(batch)


def test_answers_come_in_the_loop_and_calls_in_the_thread(tmp_path: Path) -> None:
    async def scene() -> None:
        clerk = Clerk(SqliteStore(tmp_path / "users.db"))
        await clerk.open()
        assert await clerk.ask(lambda _store: current_thread() is main_thread()) is False
        order: list[tuple[int, bool]] = []

        def done(result: Any, error: StoreError | None) -> None:
            assert error is None
            order.append((result, current_thread() is main_thread()))

        for number in range(20):
            clerk.tell(partial(same, number), done)
        assert await clerk.ask(lambda store: store.write(Batch("w", 1, (Row("ann", 1, 1, 2, 3, 4),))))
        assert order == [(number, True) for number in range(20)]
        assert [user.name for user in await clerk.ask(lambda store: store.users())] == ["ann"]
        assert await clerk.close()
        assert await clerk.close()

    asyncio.run(scene())


def test_a_store_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    async def scene() -> None:
        with pytest.raises(StoreError, match="is no file"):
            await Clerk(SqliteStore(tmp_path)).open()

    asyncio.run(scene())


def test_errors_are_those_of_their_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_store: Store) -> None:
        raise StoreError("not now")

    def fail(_store: Store) -> None:
        raise KeyError("a bug")

    async def scene() -> None:
        clerk = Clerk(SqliteStore(tmp_path / "users.db"))
        await clerk.open()
        with pytest.raises(StoreError, match="not now"):
            await clerk.ask(refuse)
        with pytest.raises(StoreError, match="of our own: KeyError"):
            await clerk.ask(fail)
        assert await clerk.ask(lambda store: store.users()) == []
        await clerk.close()

    asyncio.run(scene())
    assert [record.message for record in caplog.records] == ["a call of the store failed"]


def test_what_the_store_has_to_say_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "users.db").write_bytes(b"noise" * 1000)

    async def scene() -> None:
        clerk = Clerk(SqliteStore(tmp_path / "users.db"))
        assert (clerk.remark, clerk.remarks) == ("", 0)
        await clerk.open()
        assert "is damaged" in clerk.remark
        assert clerk.remarks == 1
        await clerk.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    (record,) = caplog.records
    assert "is damaged" in record.message


def test_what_was_asked_before_the_end_is_done(tmp_path: Path) -> None:
    async def scene() -> None:
        clerk = Clerk(SqliteStore(tmp_path / "users.db"))
        await clerk.open()
        for sequence in range(1, 30):
            clerk.tell(partial(write, Batch("w", sequence, (Row("ann", 1, 1, 0, 0, 0),))), lambda *_: None)
        assert await clerk.close()

    asyncio.run(scene())
    store = SqliteStore(tmp_path / "users.db")
    store.open()
    assert store.users()[0].counts.up == 29
    store.close()


def test_a_disk_that_hangs_holds_up_no_end(tmp_path: Path) -> None:
    answers = Event()

    async def scene() -> None:
        clerk = Clerk(SqliteStore(tmp_path / "users.db"))
        await clerk.open()
        clerk.tell(lambda _store: answers.wait(), lambda *_: None)
        assert not await clerk.close(0.02)

    asyncio.run(scene())
    answers.set()  # its answer finds the loop closed, and the thread ends


def test_whoever_asks_a_disk_that_hangs_is_told_so_and_the_next_one_when_it_goes_on(tmp_path: Path) -> None:
    async def scene() -> None:
        clerk, answers = Clerk(SqliteStore(tmp_path / "users.db"), 0.02), Event()
        await clerk.open()
        try:
            with pytest.raises(StoreError, match=r"has not answered for 0\.02 seconds; see whether"):
                await clerk.ask(lambda _store: answers.wait(20))
            with pytest.raises(StoreError, match="has not answered"):
                await clerk.ask(lambda store: store.users())
        finally:
            answers.set()
        clerk._patience = 20.0
        assert await clerk.ask(lambda store: store.users()) == []
        assert await clerk.close()

    asyncio.run(scene())


def test_an_answer_that_nobody_waits_for_is_dropped(tmp_path: Path) -> None:
    async def scene() -> None:
        clerk = Clerk(SqliteStore(tmp_path / "users.db"))
        await clerk.open()
        answers = Event()
        asked = asyncio.ensure_future(clerk.ask(lambda _store: answers.wait()))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        answers.set()
        assert await clerk.ask(lambda _store: 5) == 5
        await clerk.close()

    asyncio.run(scene())
