"""One plugin (SIP003): a program that carries what goes between a client and its server, and its life.

    starting -> up -> down -> starting ...      at the end of the service, or of its server: gone

A client's plugin listens on a loopback port that is chosen here, and leads to the server; a server's listens where
the server would, and leads to a loopback port of ours. It is ready once it listens. A port that was free may be
another's by then: then another port is tried at once, and so it is when the plugin ends as soon as it began. One that
ends later, whatever the reason, is started again after a while, each time a longer one.

Its options are in its environment and nowhere else. What it writes goes into our log, under its name.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ...core.backoff import Backoff
from ...core.errors import DialError
from ...wire.plugin_options import environment, parse_options
from .child import GRACE, Child, told
from .output import Output
from .owner import Owner, owner_of
from .programs import clean_environment, find_program

if TYPE_CHECKING:
    from ...core.address import Address
    from .errand import Errand

log = logging.getLogger(__name__)

START_LIMIT: Final = 10.0
"""Seconds in which a plugin listens; shadowsocks-rust waits for 3."""
AT_ONCE: Final = 1.0
"""Seconds: one that ended before it listened, and sooner, may have lost its port to somebody else."""
LOOK_FIRST: Final = 0.01
LOOK_MOST: Final = 0.2
"""Seconds between two looks at whether it listens."""
HIDDEN_LEAST: Final = 6
"""Letters of an option's value that is hidden in what the plugin writes; shorter ones are words such as `tls`."""

_ESCAPED: Final = re.compile(r"[\\;=\s'\"]")

STARTING: Final = "starting"
UP: Final = "up"
DOWN: Final = "down"


@dataclass(frozen=True, slots=True)
class Status:
    """How a plugin is, for people."""

    name: str
    state: str
    """`starting`, `up` or `down`."""
    since: float
    """Of the loop's clock."""
    restarts: int
    pid: int | None
    words: str
    """The last line that it wrote, else how it ended."""


class Plugin:
    """One plugin, from `start` to the end of `stop`."""

    def __init__(self, errand: Errand, moved: Callable[[Address], None] = lambda _address: None) -> None:
        """Make one that does not run yet; `moved` hears of an address at which it listens no more."""
        self._errand: Final = errand
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._child: Child | None = None
        self._output = Output()
        self._waiting: list[asyncio.Future[Address]] = []
        self._place: Address | None = None
        """Where it listened last, when it was up."""
        self._moves = False
        """True where it did not get that port again."""
        self._stops = False
        self._state = STARTING
        self._since = self._loop.time()
        self._restarts = 0
        self._why = ""
        self.name: Final = os.path.basename(errand.config.name)

    # -- for those who dial ------------------------------------------------------------------------

    @property
    def address(self) -> Address | None:
        """Where it is to be reached now; None while it is not up."""
        return self._place if self._state == UP else None

    def waiting(self) -> asyncio.Future[Address]:
        """Return a future of its address, for one who waits.

        Raises:
            DialError: it is down.
        """
        if self._state == DOWN:
            raise self._down_error()
        future: asyncio.Future[Address] = self._loop.create_future()
        if self._state == UP and self._place is not None:
            future.set_result(self._place)
        else:
            self._waiting.append(future)
        return future

    def _down_error(self) -> DialError:
        return DialError("plugin_down", f"the plugin {self.name} does not run")

    @property
    def status(self) -> Status:
        """How it is now."""
        child = self._child
        pid = None if child is None or child.is_over else child.pid
        words = self._output.last or self._why
        return Status(self.name, self._state, self._since, self._restarts, pid, words)

    def about(self) -> Mapping[str, Any]:
        """Return the same as JSON has it."""
        status = self.status
        return {
            "name": status.name,
            "state": status.state,
            "seconds": round(self._loop.time() - status.since, 1),
            "restarts": status.restarts,
            "pid": status.pid,
            "words": status.words,
        }

    # -- its life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it in the next turn of the loop: by then this process is whose user it stays."""
        self._task = self._loop.create_task(self._live())

    async def stop(self) -> None:
        """End it, and whatever it started; nothing happens where that is done."""
        if self._task is None:
            return
        if not self._stops:
            self._stops = True
            self._task.cancel()
        await asyncio.wait((self._task,))
        if self._child is not None and not self._child.is_over:  # it was about to end, and is now killed
            await asyncio.wait((self._child.ended,), timeout=GRACE)
        self._be(DOWN)

    async def _live(self) -> None:
        backoff = Backoff()
        while True:
            began_at = self._loop.time()
            try:
                await self._serve()
            except OSError as error:
                self._why = f"it cannot be started: {error.strerror}"
            except ValueError:  # of a config that no file can say
                self._why = "it cannot be started: its name, its options or its words hold NUL"
            except Exception as error:
                log.error("internal error: %r", error, exc_info=error)
                self._why = "an error of our own"
            lived = self._loop.time() - began_at
            wait = backoff.after(lived)
            self._be(DOWN)
            words = f"; it said last: {self._output.last}" if self._output.last else ""
            log.warning(
                "plugin %s of %s is down after %.1f s: %s%s; it is started again in %.1f s",
                *(self.name, self._errand.remote, lived, self._why, words, wait),
            )
            await asyncio.sleep(wait)
            self._restarts += 1
            self._be(STARTING)

    async def _serve(self) -> None:
        """Start it, and return once it has ended."""
        for tries_left in reversed(range(self._errand.tries)):
            began_at = self._loop.time()
            local = self._errand.choose(None if self._moves else self._place)
            child = self._child = self._spawn(local)
            try:
                ready = await self._await_ready(child, local)
                if ready:
                    self._be_up(child, local)
                    await asyncio.wait((child.ended,))
                    self._why = told(child.ended.result())
                    return
            finally:
                await child.end()
            self._moves = True
            lived = self._loop.time() - began_at
            if lived > AT_ONCE or not tries_left:
                return

    def _spawn(self, local: Address) -> Child:
        config, remote = self._errand.config, self._errand.remote
        path = find_program(config.name)
        if path is None:
            raise FileNotFoundError(0, "no such program is found")
        options = config.options.reveal()
        self._output = Output(_hidden(options))
        environ = clean_environment(os.environ) | environment(remote, local, options)
        return Child((path, *config.args), environ, self._tell, self._output)

    def _tell(self, line: str) -> None:
        log.info("plugin %s: %s", self.name, line)

    async def _await_ready(self, child: Child, local: Address) -> bool:
        """Wait until it listens; False where it has ended, somebody else listens there, or it takes too long."""
        began_at = self._loop.time()
        look = LOOK_FIRST
        place = self._errand.listens_at(local)
        while not child.is_over:
            seconds = self._loop.time() - began_at
            if seconds > START_LIMIT:
                self._why = f"it did not listen on {place} within {START_LIMIT:g} s"
                return False
            owner = owner_of(place.host, place.port, "tcp" if self._errand.config.mode.tcp else "udp", child.pid)
            if owner is Owner.OTHER:
                self._why = f"another program has {place}"
                return False
            if owner is not Owner.NOBODY and await self._errand.is_ready(place, owner, seconds):
                return True
            await asyncio.wait((child.ended,), timeout=look)
            look = min(look * 2, LOOK_MOST)
        self._why = told(child.ended.result())
        return False

    def _be_up(self, child: Child, local: Address) -> None:
        before, self._place, self._moves = self._place, local, False
        if before is not None and before != local:
            self._moved(before)
        self._be(UP)
        log.info("plugin %s of %s is up (pid %d)", self.name, self._errand.remote, child.pid)

    def _be(self, state: str) -> None:
        """Be in another state, and tell those who wait."""
        self._state, self._since = state, self._loop.time()
        if state == STARTING:
            return
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if future.done():
                continue
            if state == UP and self._place is not None:
                future.set_result(self._place)
            else:
                future.set_exception(self._down_error())


def _hidden(options: str) -> Iterable[str]:
    """Return what is not shown of a plugin's options, should it write them."""
    values = [value for _, value in parse_options(options) if value is not None]
    # However it escapes them, the pieces between what is escaped stay as they are.
    pieces = [piece for value in values for piece in _ESCAPED.split(value)]
    return [text for text in dict.fromkeys((options, *values, *pieces)) if len(text) >= HIDDEN_LEAST]
