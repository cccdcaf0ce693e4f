"""The thread of a store: it does one call after the other, and the loop never waits for a disk.

A daemon: one that hangs in a disk that does not answer holds up no exit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .store import StoreError

if TYPE_CHECKING:
    from .store import Store

log = logging.getLogger(__name__)

LEAVE: Final = 5.0
"""Seconds that `close` waits for the thread: longer than a call waits for another process."""
PATIENCE: Final = 30.0
"""Seconds that whoever asks waits for an answer: longer than a database is waited for that went away."""

Done = Callable[[Any, StoreError | None], None]
"""Told of the result of a call, or of its error, in the loop."""
Result = TypeVar("Result")


class Clerk:
    """One store and its thread. Made and used in a running loop."""

    def __init__(self, store: Store, patience: float = PATIENCE) -> None:
        self._store: Final = store
        self._patience = patience
        self._loop: Final = asyncio.get_running_loop()
        self._work: SimpleQueue[tuple[Callable[[Store], Any], Done] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self.remark = ""
        """The last that the store had to say; whoever has heard it may empty it."""
        self.remarks = 0
        """How often it had anything to say."""

    async def open(self) -> None:
        """Start the thread and open the store.

        Raises:
            StoreError: it cannot be used. The thread is gone.
        """
        self._thread = Thread(target=self._run, name="store", daemon=True)
        self._thread.start()
        try:
            await self._ask(lambda store: store.open(), None)  # what is old or damaged may take long
        except BaseException:
            await self.close()
            raise

    def tell(self, call: Callable[[Store], Any], done: Done) -> None:
        """Have a call made when its turn comes, and `done` called in the loop afterwards."""
        self._work.put((call, done))

    async def ask(self, call: Callable[[Store], Result], patience: float | None = None) -> Result:
        """Have a call made, and return its result, waiting as long as the clerk does or somebody else wants to.

        Raises:
            StoreError: it failed; or the store has not answered for long, and the call may yet be made.
        """
        return await self._ask(call, self._patience if patience is None else patience)

    async def _ask(self, call: Callable[[Store], Result], limit: float | None) -> Result:
        answer: asyncio.Future[Result] = self._loop.create_future()

        def done(result: Any, error: StoreError | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        self.tell(call, done)
        try:
            async with asyncio.timeout(limit):
                return await answer
        except TimeoutError:
            text = f"the store has not answered for {limit:g} seconds; see whether its disk, or its database, hangs"
            raise StoreError(text) from None

    async def close(self, limit: float = LEAVE) -> bool:
        """End the thread after what was asked before, and close the store; False if it hangs, and is left behind."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._work.put(None)
        until = self._loop.time() + limit
        while thread.is_alive() and self._loop.time() < until:  # noqa: ASYNC110 - a thread tells nobody of its end
            await asyncio.sleep(0.005)
        return not thread.is_alive()

    # In the thread

    def _run(self) -> None:
        store = self._store
        while (work := self._work.get()) is not None:
            call, done = work
            result, error = None, None
            try:
                result = call(store)
            except StoreError as failed:
                error = failed
            except Exception as failed:  # a bug of ours: the thread lives on, and whoever asked hears of it
                log.exception("a call of the store failed")
                error = StoreError(f"an error of our own: {failed!r}")
            notes, store.notes[:] = list(store.notes), []
            try:
                self._loop.call_soon_threadsafe(self._tell, done, result, error, notes)
            except RuntimeError:  # the loop is closed: nobody wants to know
                continue
        store.close()

    def _tell(self, done: Done, result: Any, error: StoreError | None, notes: list[str]) -> None:
        for note in notes:
            log.warning("%s", note)
            self.remark = note
            self.remarks += 1
        done(result, error)
