"""The master of several workers: it binds, forks, watches and passes on what it is told, and serves nobody itself.

    bind -> fork the first worker -> READY -> fork the others -> watch ... -> STOP or QUIT -> the last worker's end

    SIGTERM SIGINT   all drain within the limit; a second one kills them
    SIGQUIT          all listen no more, and each ends with its last connection
    SIGHUP SIGUSR1   the config is read and its ports bound here, then by the workers; one with mistakes changes nothing
    a file changed   the same, with `watch`
    a worker asks    the same, and it is told what came of it once all serve it (`rereads.py`)
    a manager wants  ports are bound or given up here, then by the workers (`commanded.py`)
    a worker's end   another one takes its sockets over: after 0.1 s, and later each time it ends soon again
    no sign of life  it is killed, and so replaced
    too much memory  it quits, while another one takes its place

Fork first (design §4, rule 12): here is no loop, no thread, no poll but one of the standard library, and no random byte
was drawn that a worker could draw again. A worker never returns from here: it ends in `_become`.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from ..core.errors import ConfigError, Problem, Problems
from ..service.manager.tally import Share, Tally
from ..service.rules import AclShelf, files_of
from ..service.siblings import Desk, Siblings
from ..service.sockets import check_sockets
from ..service.users.board import make_board
from . import line as said
from .line import Line, Message, make_line, mark_of
from .notify import listening
from .orphan import die_behind
from .passed import Sums
from .places import Member, Place, how_ended
from .reading import AS_BEFORE, EVERY
from .rereads import Rereads, answer, refuse
from .signals import REREADS, STOPS, Signals
from .watch import FileWatch
from .worker import DIED, Work, problems_of, run_worker

if TYPE_CHECKING:
    from ..config.model import Config
    from .commanded import Commanded
    from .orders import Orders
    from .slots import Slots

log = logging.getLogger(__name__)

MARGIN: Final = 10.0
"""Seconds beyond the drain limit after which a worker that was told to stop, or lost its master, is killed."""
MEBIBYTE: Final = 1 << 20

_ENDS: Final = Problem("config", None, "", "the service ends")


class Supervisor:
    """Runs the workers of one config, from bound sockets to the last worker's end."""

    def __init__(self, config: Config, slots: Slots, orders: Orders, commanded: Commanded) -> None:
        self._config = config
        self._sockets: Final = slots
        self._orders: Final = orders
        self._commanded: Final = commanded
        commanded.replaces = self._replace
        tally = Tally(slots.count) if slots.manager or config.manager_address else None
        self._siblings: Final = Siblings(board=make_board(slots.count), tally=tally)
        self._slots: Final = [Place(number) for number in range(slots.count)]
        self._rereads: Final = Rereads(self._slots, self._serving)
        self._workers: Final[dict[int, Member]] = {}
        """By process, also those that leave."""
        self._sums: Final = Sums(config, tally)
        self._selector: Final = selectors.DefaultSelector()
        self._signals: Final = Signals()
        self._settled = False
        """True once every worker has served: from then on a start that fails is tried again."""
        self._ends = ""
        """`stop` or `quit`, once it ends."""
        self._kill_at = math.inf
        self._pinged_at = 0.0
        self._looked_at = time.monotonic()
        self._files: Final = FileWatch(lambda: files_of(self._config)) if config.watch and orders.reread else None
        self._files_at = self._looked_at + EVERY

    def run(self) -> int:
        """Serve until a signal ends it; return the exit code.

        Raises:
            ConfigError: the first worker could not start.
        """
        gc.collect()
        gc.freeze()  # the pages of what is there now stay common to all processes
        try:
            with self._signals.taken():
                self._selector.register(self._signals, selectors.EVENT_READ)
                return self._watch()
        finally:
            self._ends = self._ends or "stop"
            for worker in self._workers.values():
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
            while self._workers:
                self._reap(0)
            self._selector.close()
            self._sockets.close()
            self._sums.tell(self._commanded.all_of(self._config), math.inf)
            self._sums.close()
            self._siblings.close()
            if self._siblings.tally:
                self._siblings.tally.close()
            gc.unfreeze()

    def _watch(self) -> int:
        while True:
            now = time.monotonic()
            if now >= self._sums.due_at:
                self._sums.tell(self._commanded.all_of(self._config), now)
            if not self._ends:
                self._fill(now)
                self._look(now)
            elif not self._workers:
                return 0
            elif now >= self._kill_at:
                self._kill()
            for key, _ in self._selector.select(self._pause(time.monotonic())):
                if key.data is not None:
                    self._listen(key.data)
                    continue
                for number in self._signals.read():
                    if number in STOPS and self._ends == "stop":
                        return 128 + number
                    self._on_signal(number)

    def _pause(self, now: float) -> float | None:
        """Return how long nothing is to be done."""
        due = [self._kill_at, self._sums.due_at]
        if not self._ends:
            due += [slot.due_at for slot in self._slots if slot.due_at is not None and self._may_begin(slot)]
            timeout = self._config.worker_hang_timeout
            due += [worker.heard_at + timeout for worker in self._workers.values()] if timeout else []
            due += [now + timeout / 2] if timeout else []  # `_look` tells a stop from a wait
            due += [self._files_at] if self._files is not None else []
            due.append(self._rereads.due_at)
        if self._orders.notifier.interval and self._settled:
            due.append(self._pinged_at + self._orders.notifier.interval)
        return None if min(due) == math.inf else max(0.0, min(due) - now)

    # -- workers that begin -------------------------------------------------------------------------

    def _may_begin(self, slot: Place) -> bool:
        """The first start is the first worker's alone, so that what is wrong is told once."""
        return self._settled or not slot.number or self._slots[0].served

    def _fill(self, now: float) -> None:
        for slot in self._slots:
            if slot.due_at is not None and slot.due_at <= now and self._may_begin(slot):
                self._begin(slot)

    def _begin(self, slot: Place) -> None:
        ours, theirs = make_line()
        now, tally = time.monotonic(), self._siblings.tally
        row = 0 if tally is None else tally.free_row({worker.row for worker in self._workers.values()})
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()  # or both processes would write what is in the buffer
        self._signals.hold()  # none comes to a child that still has our handlers
        pid = os.fork()
        if not pid:
            ours.close()
            self._become(slot.number, theirs, row)
        self._signals.release()
        theirs.close()
        worker = self._workers[pid] = slot.worker = Member(slot.number, pid, ours, now, now, row)
        slot.due_at = None
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _become(self, number: int, line: Line, row: int) -> None:
        """Be a worker, to the end of the process: nothing of what stands above this call is the worker's to do."""
        code = DIED
        try:
            self._signals.leave()
            self._selector.close()
            self._sums.close()
            for worker in self._workers.values():
                worker.line.close()  # or the end of the master would not be the end of their lines
            os.environ.pop("NOTIFY_SOCKET", None)
            sockets = self._sockets.keep(number)
            self._signals.release()
            fit = partial(self._sockets.config_of, number)
            work = Work(self._orders.reread, self._orders.hangup, fit, self._orders.at_once, self._orders.took)
            beside = fit(replace(self._config, servers=self._commanded.servers)).servers
            share = Share(self._siblings.tally, row) if self._siblings.tally else None
            siblings = replace(self._siblings, slot=number, speaks=not number, beside=beside, share=share)
            if self._sockets.manager is not None and not number:
                siblings = replace(siblings, desk=Desk(self._sockets.manager, self._commanded.kept))
            die_behind(line, self._limit / 1000 + MARGIN)
            code = run_worker(fit(self._commanded.left_of(self._config)), sockets, siblings, line, work)
        except BaseException as error:
            log.error("internal error: %r", error, exc_info=error)
        finally:
            with suppress(BaseException):
                logging.shutdown()
                sys.stdout.flush()
            os._exit(code)

    # -- what workers say ---------------------------------------------------------------------------

    def _listen(self, worker: Member) -> None:
        if worker.line.fileno() < 0:
            return  # its end was noticed in the same turn
        for message in worker.line.receive():
            if message is None:
                self._selector.unregister(worker.line)
                worker.line.close()
                return
            worker.heard_at = time.monotonic()
            if message.kind == said.READY:
                self._on_ready(worker)
            elif message.kind == said.BEAT:
                self._weigh(worker, message.number)
            elif message.kind == said.WANT:
                self._change(worker, message)
            elif message.kind == said.DONE:
                self._commanded.done(worker, message.number, message.descriptors, self._config)
            elif message.kind == said.LEFT:
                worker.left = True
                if not worker.leaves and not self._ends:
                    log.warning("worker %d left: another one takes its place", worker.slot + 1)
                    self._part_with(worker)
                self._commanded.ended(worker, self._config)
                self._part()
            elif message.kind == said.ASK:
                self._answer(worker, message.number)
            elif message.kind == said.SERVES:
                worker.behind -= 1
            elif message.kind == said.FAILED:
                self._on_failed(worker, problems_of(message.descriptors[0]))

    def _on_ready(self, worker: Member) -> None:
        worker.serves = self._slots[worker.slot].served = True
        self._orders.speaker.say("worker", number=worker.slot + 1, process=worker.pid)
        if not self._settled and all(slot.served for slot in self._slots):
            self._settled = True
            self._serving()

    def _on_failed(self, worker: Member, problems: Problems) -> None:
        if not self._settled:
            raise ConfigError(problems)
        for problem in problems:
            log.error("worker %d: %s", worker.slot + 1, problem)

    def _weigh(self, worker: Member, resident: int) -> None:
        """Replace a worker that has too much memory. It may finish, but only one of a place: the next one's end is
        also its own."""
        limit = self._config.worker_memory_limit * MEBIBYTE
        if not limit or resident <= limit or worker.leaves or self._ends:
            return
        log.warning("worker %d has %d MiB: another one takes its place", worker.slot + 1, resident // MEBIBYTE)
        self._part_with(worker)

    def _replace(self, pid: int) -> None:
        """Let another one take the place of a worker that could not do what others could."""
        worker = self._workers.get(pid)
        if worker is not None and not worker.leaves and not self._ends:
            log.error("worker %d could not do what a manager wants: another one takes its place", worker.slot + 1)
            self._part_with(worker)

    def _part_with(self, worker: Member) -> None:
        for other in self._workers.values():
            if other.slot == worker.slot and other.leaves:
                other.line.send(said.STOP, self._limit)
        worker.leaves = True
        worker.line.send(said.QUIT)
        slot = self._slots[worker.slot]
        slot.worker, slot.due_at = None, time.monotonic() + slot.backoff.after(time.monotonic() - worker.since)

    def _look(self, now: float) -> None:
        """Kill whoever gives no sign of life; give one to the supervisor of this process."""
        timeout = self._config.worker_hang_timeout
        slept, self._looked_at = now - self._looked_at, now
        for worker in self._workers.values():
            if slept >= timeout:
                worker.heard_at = now  # this process was stopped (Ctrl-Z), and so were they, or it could not listen
            if timeout and now - worker.heard_at >= timeout:
                log.error("worker %d gave no sign of life for %g s: it is killed", worker.slot + 1, timeout)
                worker.heard_at = now
                os.kill(worker.pid, signal.SIGKILL)
        self._rereads.look(now)
        if self._files is not None and now >= self._files_at:
            self._files_at = now + EVERY
            if self._files.look():
                log.info("a file of the config has changed")
                self._read_again()
        notifier = self._orders.notifier
        if notifier.interval and self._settled and now - self._pinged_at >= notifier.interval:
            self._pinged_at = now
            notifier.alive()

    # -- workers that end ---------------------------------------------------------------------------

    def _reap(self, flags: int = os.WNOHANG) -> None:
        for pid in list(self._workers):
            ended, status = os.waitpid(pid, flags)
            if ended:
                self._on_end(self._workers.pop(pid), os.waitstatus_to_exitcode(status))

    def _on_end(self, worker: Member, code: int) -> None:
        self._listen(worker)  # what it said at last
        if worker.line.fileno() >= 0:
            self._selector.unregister(worker.line)
            worker.line.close()
        self._part()
        self._commanded.ended(worker, self._config)
        slot = self._slots[worker.slot]
        if slot.worker is not worker:
            return
        slot.worker = None
        if self._ends:
            return
        if not self._settled and not worker.serves:
            raise ConfigError([Problem("config", None, "", f"cannot start: a worker ended {how_ended(code)}")])
        wait = slot.backoff.after(time.monotonic() - worker.since)
        slot.due_at = time.monotonic() + wait
        text = "worker %d ended %s: another one takes its place in %g s"
        log.warning(text, worker.slot + 1, how_ended(code), wait)

    # -- what the master is told --------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number in STOPS:
            self._stop()
        elif number == signal.SIGQUIT and not self._ends:
            self._quit()
        elif number in REREADS and not self._ends:
            self._hang_up(number)

    @property
    def _limit(self) -> int:
        """Milliseconds that connections have to end."""
        return 0 if self._orders.at_once else round(self._config.drain_timeout * 1000)

    def _stop(self) -> None:
        self._ends = "stop"
        self._orders.notifier.stopping(self._limit / 1000)
        self._kill_at = time.monotonic() + self._limit / 1000 + MARGIN
        self._tell_all(said.STOP, self._limit)
        self._sockets.close()

    def _quit(self) -> None:
        self._ends = "quit"
        self._orders.leaving()
        self._orders.speaker.say("quit")
        if self._config.reuse_port:
            self._sockets.steer_away()
        self._tell_all(said.QUIT)
        if not self._config.reuse_port:
            self._sockets.close()

    def _part(self) -> None:
        """Close the sockets once no worker accepts: a group that changes before catches connections in what is left."""
        if self._ends and all(worker.left for worker in self._workers.values()):
            self._sockets.close()

    def _kill(self) -> None:
        self._kill_at = math.inf
        for worker in self._workers.values():
            log.error("worker %d did not end in time: it is killed", worker.slot + 1)
            os.kill(worker.pid, signal.SIGKILL)

    def _tell_all(self, kind: bytes, number: int = 0) -> None:
        self._rereads.end([_ENDS])
        for worker in self._workers.values():
            worker.leaves = True
            if not worker.line.send(kind, number):
                os.kill(worker.pid, signal.SIGKILL)  # it reads no more

    def _hang_up(self, number: int) -> None:
        if self._orders.hangup is not None and number == signal.SIGHUP:
            self._orders.hangup()
            for worker in self._workers.values():
                worker.line.send(said.HANGUP)
        self._read_again()

    def _read_again(self) -> tuple[bool, Problems]:
        """Let all serve what the config says now; return whether they were told to, and what is wrong."""
        if self._orders.reread is None:
            return False, (Problem("config", None, "", "there is no file to read again"),)
        self._orders.notifier.reloading()
        came = applied, problems = self._reload(self._orders.reread)
        if applied:
            self._rereads.begin(time.monotonic())
        else:
            refuse(self._workers.values(), problems)
            self._serving()
        return came

    def _answer(self, worker: Member, number: int) -> None:
        """Read the config for a worker whom somebody asked to have that done."""
        applied, problems = (False, (_ENDS,)) if self._ends else self._read_again()
        if applied:
            self._rereads.asked(worker.line, number, problems)
        else:
            answer(worker.line, number, applied=False, problems=problems)

    def _reload(self, reread: Callable[[], Config]) -> tuple[bool, Problems]:
        """Bind what a config wants, and let the workers serve it."""
        try:
            config = reread()
            mark = mark_of(config)  # workers ask the store for themselves, and it may have changed by then
            config = self._orders.people(replace(config, store=self._config.store))  # as workers do
            check_sockets(config)
            AclShelf(config)
        except ConfigError as error:
            for problem in error.problems:
                log.error("%s", problem)
            log.error(AS_BEFORE)
            return False, tuple(error.problems)
        except Exception as error:
            log.error("internal error: %r", error, exc_info=error)
            return False, (Problem("config", None, "", "internal error; the log says more"),)
        for problem in config.warnings:
            log.warning("%s", problem)
        before = self._sockets.keys
        self._config, problems = self._sockets.bind(replace(config, workers=self._config.workers))
        for problem in problems:
            log.error("%s", problem)
        for worker in self._workers.values():
            if worker.leaves:
                worker.line.send(said.CONFIG, mark)  # for the limits of those who are left there
                continue
            new = [sock.fileno() for sock in self._sockets.added(before, worker.slot)]
            worker.behind += 1
            if not worker.line.give(new, said.CONFIG, mark):
                os.kill(worker.pid, signal.SIGKILL)  # it reads no more; its follower has the new config
        self._commanded.follow(self._config)
        self._sockets.drop(self._commanded.all_of(self._config))
        self._orders.took(config)
        log.info("the config was read again; servers: %d", len(self._commanded.all_of(self._config).servers))
        return True, tuple(problems)

    def _change(self, asker: Member, message: Message) -> None:
        """Let all workers change the ports that a manager's commands want to be changed."""
        if self._ends:
            return os.close(message.descriptors[0])  # nobody is answered: the service ends
        workers = list(self._workers.values())
        for deaf in self._commanded.begin(asker.line, message, self._config, workers):
            os.kill(deaf.pid, signal.SIGKILL)  # it reads no more; its follower has all

    def _serving(self) -> None:
        if self._settled and not self._ends:
            self._orders.notifier.serving(self._status(), pings=False)

    def _status(self) -> str:
        where = listening([server.address for server in self._commanded.all_of(self._config).servers])
        return f"{where}; workers: {len(self._slots)}"
