"""One worker: a service on the sockets that the master bound, from the fork to its end.

    forked -> its sockets -> start -> READY, BEAT … -> STOP, QUIT or the end of the line -> drain -> stop

What it is told comes over its line. The terminal's signals go to all processes at once, so SIGINT and SIGHUP mean
nothing here; SIGTERM and SIGQUIT mean what the master says with STOP and QUIT. When the line ends the master is gone:
the worker ends as after SIGTERM, so that no process is left that nobody commands.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from socket import SocketType
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import ConfigError, Problem, Problems
from ..net.loop import run as run_loop
from ..service.control.socket import Control
from ..service.given import GivenSockets
from ..service.manager.tally import EVERY
from ..service.reloaded import Reloaded, refused
from ..service.service import Service
from . import line as said
from .heap import lasting, release
from .line import Line, mark_of, pack, resident, unpack
from .reading import read_again

if TYPE_CHECKING:
    from ..config.model import Config, ServerConfig
    from ..service.manager.change import Change
    from ..service.siblings import Siblings

log = logging.getLogger(__name__)


DIED: Final = 70
"""EX_SOFTWARE: the exit code of a worker that could not start."""
BEATS: Final = 3
"""Signs of life in the time after which a worker is dead without one."""
BEAT_MOST: Final = 10.0
"""Seconds between two, at most: its memory is told with each."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every worker of a service does."""

    reread: Callable[[], Config] | None = None
    """Reads the config again."""
    hangup: Callable[[], None] | None = None
    """Opens the log again."""
    fit: Callable[[Config], Config] = lambda config: config
    """Leaves of a config what is this worker's."""
    at_once: bool = False
    """Whether connections are closed at once when the master is gone."""
    took: Callable[[Config], None] = lambda _config: None
    """Told of a config that is served from now on."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What the master wants."""

    changes: Sequence[Change] | None
    """Of ports; None: the config is to be read again."""
    number: int
    """By which the master knows it; of a config its mark."""
    sockets: list[SocketType]
    """For it."""


def run_worker(config: Config, sockets: list[SocketType], siblings: Siblings, line: Line, work: Work) -> int:
    """Serve until the master, a signal or the end of the master ends it; return the exit code."""
    return run_loop(_Worker(config, sockets, siblings, line, work).live())


class _Worker:
    """The life of a worker."""

    def __init__(self, config: Config, sockets: list[SocketType], siblings: Siblings, line: Line, work: Work) -> None:
        self._config: Final = config
        self._given: Final = GivenSockets(sockets, shared=True)
        self._line: Final = line
        self._work: Final = work
        if siblings.desk is not None:
            siblings = replace(siblings, desk=replace(siblings.desk, ask=self._want))
        self._siblings: Final = siblings
        self._service: Final = Service.server(config)
        self._limit: float | None = None
        """Seconds that connections have to end; None: as long as they need."""
        self._leaves: Final = asyncio.Event()
        self._stops: Final = asyncio.Event()
        self._jobs: Final[asyncio.Queue[_Job]] = asyncio.Queue()
        self._coming: list[SocketType] = []
        """Sockets for the job that comes next."""
        self._waiting: Final[set[SocketType]] = set()
        """Sockets for jobs that are not done."""
        self._rereads = 0
        """Configs that are to be read."""
        self._asked: Final[dict[int, asyncio.Future[tuple[bool, Problems]]]] = {}
        """Those who wait until all serve the config, by the number that the master was told: whether, and what is
        wrong."""
        self._ask_number = 0
        self._wanted: Final[dict[int, asyncio.Future[list[Problems]]]] = {}
        """Those who wait for changes of ports, by the number that the master was told."""
        self._want_number = 0
        self._outcomes: list[Problems] = []
        """Of the changes that were done last, why they could not be."""
        self._beating: asyncio.TimerHandle | None = None
        self._telling: asyncio.TimerHandle | None = None
        timeout = config.worker_hang_timeout
        self._interval: Final = min(timeout / BEATS, BEAT_MOST) if timeout else BEAT_MOST

    async def live(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_signal)
        loop.add_signal_handler(signal.SIGQUIT, self._quit)
        loop.add_reader(self._line.fileno(), self._listen)
        try:
            with lasting():
                await self._service.start(self._given, self._siblings)
        except Exception as error:
            self._fail(error)
            return DIED
        service = self._service
        if self._work.reread is not None:
            service.reread = self._ask
        control = Control(self._config.control, service.role, lambda: service.commands, alone=False)
        control.open()
        page = None
        if self._config.metrics is not None:
            from ..service.metrics.page import MetricsPage

            page = MetricsPage(self._config.metrics, service)
            await page.open()
        self._line.send(said.READY)
        self._beat()
        self._tell()
        working = asyncio.create_task(self._do_jobs())  # noqa: TID251 - kept, and ended below
        try:
            await self._leaves.wait()
            if page is not None:
                await page.close()  # the next one in this place has the same
            await self._end()
        finally:
            working.cancel()
            await asyncio.wait((working,))
            await control.close()
            if page is not None:
                await page.close()
            await self._service.stop()
            release()  # not at a reload: what all workers have in common would be each one's own from then on
            for timer in (self._beating, self._telling):
                if timer is not None:
                    timer.cancel()
            self._tell_all()
            loop.remove_reader(self._line.fileno())
        return 0

    def _fail(self, error: Exception) -> None:
        problems = error.problems if isinstance(error, ConfigError) else ()
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        if not isinstance(error, ConfigError | OSError):
            log.error("internal error: %r", error, exc_info=error)
        told = pack(problems or (Problem("config", None, "", f"cannot start: {why}"),))
        self._line.send(said.FAILED, 0, (told,))
        os.close(told)

    def _beat(self) -> None:
        self._line.send(said.BEAT, resident())
        self._beating = asyncio.get_running_loop().call_later(self._interval, self._beat)

    def _tell(self) -> None:
        """Say what passed, where somebody wants to know."""
        if self._siblings.share is not None:
            self._tell_all()
            self._telling = asyncio.get_running_loop().call_later(EVERY, self._tell)

    def _tell_all(self) -> None:
        if self._siblings.share is not None:
            self._siblings.share.tell(self._service.passed())

    # -- what it is told ---------------------------------------------------------------------------

    def _listen(self) -> None:
        for message in self._line.receive():
            if message is None:
                asyncio.get_running_loop().remove_reader(self._line.fileno())
                if not self._leaves.is_set():
                    log.error("the master of this worker is gone, so the worker ends, too")
                self._stop(self._own_limit)
            elif message.kind == said.STOP:
                self._stop(message.number / 1000)
            elif message.kind == said.QUIT:
                self._quit()
            elif message.kind == said.HANGUP:
                if self._work.hangup is not None:
                    self._work.hangup()
            elif message.kind == said.SOCKETS:
                sockets = [SocketType(fileno=number) for number in message.descriptors]
                if self._leaves.is_set():  # or nobody would be served in them for as long as this process lives
                    for sock in sockets:
                        sock.close()
                    continue
                self._given.add(sockets)
                self._coming += sockets
                self._waiting.update(sockets)
            elif message.kind == said.CONFIG:
                self._rereads += 1
                self._put(None, message.number)
            elif message.kind == said.CHANGE:
                self._put(unpack(message.descriptors[0]), message.number)
            elif message.kind == said.CHANGED:
                wanted, outcomes = self._wanted.pop(message.number), unpack(message.descriptors[0])
                if not wanted.done():
                    wanted.set_result(outcomes)
            elif message.kind == said.REREAD:
                self._on_reread(message.number, *unpack(message.descriptors[0]))

    def _on_signal(self) -> None:
        if self._stops.is_set():
            os._exit(128 + signal.SIGTERM)
        self._stop(self._own_limit)

    @property
    def _own_limit(self) -> float:
        """Seconds that connections have to end where no master says so."""
        return 0 if self._work.at_once else self._config.drain_timeout

    def _stop(self, limit: float) -> None:
        self._limit = limit
        self._stops.set()
        self._leaves.set()

    def _quit(self) -> None:
        self._leaves.set()

    def _put(self, changes: Sequence[Change] | None, number: int) -> None:
        coming, self._coming = self._coming, []
        self._jobs.put_nowait(_Job(changes, number, coming))

    async def _do_jobs(self) -> None:
        """Do what the master wants, in its order; where this worker cannot, it ends, and the next one in its place can.

        That one has the master's config and ports by itself. One that leaves already heeds configs for its users' sake.
        """
        while True:
            job = await self._jobs.get()
            try:
                if job.changes is None:
                    await self._reread(job.number)
                elif not self._leaves.is_set():
                    await self._change(job.changes)
            except Exception as error:
                if not isinstance(error, ConfigError):
                    log.error("internal error: %r", error, exc_info=error)
                self._quit()
                is_done = False
            else:
                is_done = True
            self._waiting.difference_update(job.sockets)
            self._given.close_unused(self._waiting)
            if is_done and job.changes is None:
                self._rereads -= 1
                self._line.send(said.SERVES)
            elif is_done:
                self._say_done(job.number)

    def _say_done(self, number: int) -> None:
        outcomes, self._outcomes = self._outcomes, []
        told = (pack(outcomes),) if any(outcomes) else ()
        is_sent = self._line.send(said.DONE, number, told)
        for descriptor in told:
            os.close(descriptor)
        if not is_sent:
            self._quit()  # or the master would wait for it

    async def _reread(self, mark: int) -> None:
        """Serve what the config says; raises ConfigError where it is not the master's, as its mark says."""
        config = await read_again(partial(self._read, mark), self._service.config)
        problems = await self._service.reload(self._work.fit(config))
        for problem in problems:
            if not self._service.speaker.is_silent:
                log.error("%s", problem)
        if self._service.reloaded is not None and not self._service.reloaded.applied:
            raise ConfigError(problems)
        self._work.took(config)

    def _read(self, mark: int) -> Config:
        assert self._work.reread is not None, "the master has read it, too"
        config = self._work.reread()
        if mark_of(config) != mark:
            raise ConfigError([])
        return config

    async def _change(self, changes: Sequence[Change]) -> None:
        """Change ports as a manager's commands want it."""
        from ..service.manager.hands import OwnHands

        self._outcomes = await OwnHands(self._service).follow(changes, self._service.config, self._fit)

    def _fit(self, servers: list[ServerConfig]) -> list[ServerConfig]:
        return [*self._work.fit(replace(self._config, servers=tuple(servers))).servers]

    async def _want(self, changes: Sequence[Change]) -> list[Problems]:
        """Let the master have ports changed by all, and return of each change why it could not be done."""
        self._want_number += 1
        number = self._want_number
        outcome: asyncio.Future[list[Problems]] = asyncio.get_running_loop().create_future()
        self._wanted[number] = outcome
        told = pack([*changes])
        is_sent = self._line.send(said.WANT, number, (told,))
        os.close(told)
        if not is_sent:
            del self._wanted[number]
            return [(Problem("config", None, "", "the master of this worker does not listen"),)] * len(changes)
        return await outcome

    async def _ask(self) -> dict[str, Any]:
        """Let the master have the config read by all, and return what came of it here: the same as everywhere."""
        self._ask_number += 1
        outcome: asyncio.Future[tuple[bool, Problems]] = asyncio.get_running_loop().create_future()
        self._asked[self._ask_number] = outcome
        self._line.send(said.ASK, self._ask_number)
        applied, problems = await outcome
        if not applied:
            return refused(problems).told()
        mine = (None if self._rereads else self._service.reloaded) or Reloaded()  # it may be among those who do not
        return replace(mine, problems=(*map(str, problems), *mine.problems)).told()

    def _on_reread(self, number: int, applied: bool, problems: Problems) -> None:
        if not applied:
            self._service.reloaded = refused(problems)
        outcome = self._asked.pop(number, None)
        if outcome is not None and not outcome.done():
            outcome.set_result((applied, problems))

    # -- the end -----------------------------------------------------------------------------------

    async def _end(self) -> None:
        """Let the connections end: by themselves, and within the limit from when there is one."""
        if not self._stops.is_set():
            quitting = asyncio.create_task(self._service.quit(partial(self._line.send, said.LEFT)))  # noqa: TID251 - kept, and ended below
            stopping = asyncio.create_task(self._stops.wait())  # noqa: TID251 - likewise
            await asyncio.wait((quitting, stopping), return_when=asyncio.FIRST_COMPLETED)
            for task in (quitting, stopping):
                task.cancel()
            await asyncio.wait((quitting, stopping))
            if not self._stops.is_set():
                return
        with suppress(TimeoutError):
            await self._service.drain(self._limit or 0)


def problems_of(descriptor: int) -> Problems:
    """Return what a worker says of why it cannot start."""
    problems = unpack(descriptor)
    assert isinstance(problems, tuple), "what `_fail` packed"
    return problems
