"""Reads the config of a running service again: at a signal, when its file changes, when somebody asks for it.

One reading after the other; all who asked before one began have its outcome. What few need is loaded by the first one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import ConfigError
from ..process.heap import release
from ..process.notify import Notifier, listening
from ..process.reading import AS_BEFORE, EVERY, read_again
from .logs import set_level, warn_of

if TYPE_CHECKING:
    from ..config.model import Config
    from ..process.watch import FileWatch
    from ..service.reloaded import Reloaded
    from ..service.service import Service

log = logging.getLogger("shadesocks.cli")


class Rereading:
    """The readings of one service."""

    def __init__(
        self, service: Service, reread: Callable[[], Config], again: asyncio.Event, supervisor: Notifier
    ) -> None:
        """Read whenever `again` is set, and tell the supervisor of the process."""
        self._service: Final = service
        self._reread: Final = reread
        self._again: Final = again
        self._supervisor: Final = supervisor
        self._asked: list[asyncio.Future[Reloaded]] = []
        self._watch: Final = _watch(service) if service.config.watch else None

    async def ask(self) -> dict[str, Any]:
        """Read it, and return what came of that, as JSON has it."""
        outcome: asyncio.Future[Reloaded] = asyncio.get_running_loop().create_future()
        self._asked.append(outcome)
        self._again.set()
        return (await outcome).told()

    async def run(self) -> None:
        """Read whenever that is wanted, until this is cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self._watch is None else EVERY):
                    await self._again.wait()
            if self._watch is not None and self._watch.look():
                log.info("a file of the config has changed")
                self._again.set()
            if not self._again.is_set():
                continue
            self._again.clear()
            from ..service.reloaded import Reloaded

            asked, self._asked = self._asked, []
            self._supervisor.reloading()
            try:
                status = await self._read()
            finally:
                for outcome in asked:
                    if not outcome.done():
                        outcome.set_result(self._service.reloaded or Reloaded(applied=False))
            self._supervisor.serving(status)

    async def _read(self) -> str:
        """Serve what the config says now, and return how it is after that."""
        from ..service.reloaded import Reloaded, refused

        service = self._service
        try:
            config = await read_again(self._reread, service.config)
        except ConfigError as error:
            for problem in error.problems:
                log.error("%s", problem)
            log.error(AS_BEFORE)
            service.reloaded = refused(error.problems)
            return AS_BEFORE
        except Exception as error:
            log.error("internal error: %r", error, exc_info=error)
            service.reloaded = Reloaded(applied=False, problems=("internal error; the log says more",))
            return "internal error: all goes on as before"
        warn_of(config.warnings)
        ports = {*service.ports}
        problems = await service.reload(config)
        if not ports <= {*service.ports}:  # else all that the start made is there, but for users, who are no cycles
            release()
        for problem in problems:
            log.error("%s", problem)
        if service.reloaded is not None and not service.reloaded.applied:
            log.error(AS_BEFORE)
            return AS_BEFORE
        set_level(config.log_level, config.log_style)
        log.info("the config was read again; servers: %d", len(service.servers))
        return listening(service.addresses)


def _watch(service: Service) -> FileWatch:
    """Return what looks at the files of a service."""
    from ..process.watch import FileWatch
    from ..service.rules import files_of

    return FileWatch(lambda: files_of(service.config))
