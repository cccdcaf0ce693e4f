"""One service from its start to its signal.

    start -> told (the caller's words) -> wait -> drain -> stop

SIGTERM and SIGINT end the accepting, give open connections the drain limit to
end by themselves, and close the rest; a second signal quits at once. An error
of the start leaves nothing half-started, and becomes a sentence and exit code 70.
SIGQUIT gives the ports up at once, so that another process may have them, and lets
the last connection end this one, however long that takes.
SIGHUP and SIGUSR1 read the config again where there is one to read: servers come and go,
and live connections go on. One with mistakes changes nothing. (`rereading.py`)
With `workers` there are several processes, and their master does this for them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import ConfigError
from ..net.loop import run as run_loop
from ..process import dumps
from ..process.heap import lasting, release
from ..process.notify import listening, notifier
from .exits import DIED, OK, Failed, why
from .status import Reading, status_line

if TYPE_CHECKING:
    from ..config.model import Config
    from ..service.service import Service
    from .screen import Screen

log = logging.getLogger("shadesocks.cli")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_HANGUP: Final = getattr(signal, "SIGHUP", None)
_USER1: Final = getattr(signal, "SIGUSR1", None)
_QUIT: Final = getattr(signal, "SIGQUIT", None)
"""All three are None on Windows."""
_TICK: Final = 1.0
"""Seconds between two drawings of the status line: often enough to see it move, too seldom to cost."""

Start = Callable[[], Coroutine[Any, Any, "Service"]]
Told = Callable[["Service"], Coroutine[Any, Any, None]]


Reread = Callable[[], "Config"]
"""Reads the config again; raises ConfigError with all that is wrong with it."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the process around a service has to do, and how it ends."""

    listening: Callable[[], None] = lambda: None
    """Called once all is bound, before anything is accepted; what it raises ends the start."""
    hangup: Callable[[], None] | None = None
    """Called at SIGHUP, before the config is read again; None: nothing of its own."""
    leaving: Callable[[], None] = lambda: None
    """Called at SIGQUIT, when another process may take this one's place, while connections go on here."""
    at_once: bool = False
    """Whether SIGTERM and SIGINT close open connections at once, as the Python original did."""


HOST: Final = Host()


def run_service(
    config: Config,
    start: Start,
    screen: Screen,
    told: Told | None = None,
    reread: Reread | None = None,
    host: Host = HOST,
) -> int:
    """Run one service until a signal ends it, and return the exit code.

    `start` makes and starts it; `told` speaks to the person once it listens, and then the status line appears
    where there is a terminal. Without `told` there are log lines only. With `reread`, SIGHUP makes the service serve
    what the config says by then; without, it does what it does to any program.
    """
    dumps.forbid()
    if config.workers > 1:
        if told is None:
            from .workers import run_workers

            with _told_well():
                return run_workers(config, reread, host)
        log.warning("workers: this command runs one process; `shadesocks server` runs as many as the config says")
    return run_loop(_life(config, start, screen, told, reread, host))


async def start_server(config: Config) -> Service:
    """Start the servers of a config.

    Raises:
        Failed: it could not be started.
    """
    from ..service.service import Service

    return await _started(Service.server(config))


async def start_local(config: Config) -> Service:
    """Start the listeners of a client; raises as `start_server`."""
    from ..service.service import Service

    return await _started(Service.local(config))


async def _started(service: Service) -> Service:
    # The config was judged before it came here: what fails now is this machine at this moment, or a key that
    # asks for what this machine never has.
    from ..process.activation import given_sockets

    with _told_well():
        await service.start(given_sockets())
    return service


@contextmanager
def _told_well() -> Iterator[None]:
    """Turn what keeps a service from starting into the errors of a command."""
    try:
        yield
    except ConfigError as error:
        if any(problem.key for problem in error.problems):
            raise
        raise Failed("; ".join(problem.text for problem in error.problems), DIED) from None
    except OSError as error:
        raise Failed(f"cannot start: {why(error)}", DIED) from None


async def _life(
    config: Config, start: Start, screen: Screen, told: Told | None, reread: Reread | None, host: Host
) -> int:
    stop, leave = _on_signals(screen)
    supervisor = notifier()
    again = asyncio.Event()
    watched = told is not None and screen.is_terminal  # where SIGHUP says that the person's terminal is gone
    if _HANGUP is not None and ((reread is not None and not watched) or host.hangup is not None):
        asyncio.get_running_loop().add_signal_handler(_HANGUP, _hang_up, host, again)
    if _USER1 is not None and reread is not None:
        asyncio.get_running_loop().add_signal_handler(_USER1, again.set)
    service = await _ready(start, screen, told, host)
    from ..service.control.socket import Control

    control = Control(config.control, service.role, lambda: service.commands)
    control.open()
    page = None
    if config.metrics is not None:
        from ..service.metrics.page import MetricsPage

        page = MetricsPage(config.metrics, service)
        await page.open()
    supervisor.serving(listening(service.addresses))
    reloading = None
    if reread is not None:
        from .rereading import Rereading

        rereading = Rereading(service, reread, again, supervisor)
        service.reread = rereading.ask
        reloading = asyncio.create_task(rereading.run())  # noqa: TID251 - kept, and ended below
    drawing = asyncio.create_task(_draw(service, screen)) if told is not None and screen.is_terminal else None  # noqa: TID251 - kept, and cancelled below
    try:
        await leave.wait()
        if not stop.is_set():
            if not control.is_own:  # whoever takes this one's place may have the same
                await control.close()
            if page is not None:
                await page.close()
            host.leaving()
            await _quit(service, stop)
        drain_timeout = 0 if host.at_once else service.config.drain_timeout
        supervisor.stopping(drain_timeout)
        if drawing is not None:
            drawing.cancel()
            screen.clear()
        live = service.totals[0]
        if live and stop.is_set() and not host.at_once:
            text = "stopping; connections still open: %d, with %g s to end by themselves; a second signal ends them now"
            log.info(text, live, drain_timeout)
        if stop.is_set():
            await service.drain(drain_timeout)
    finally:
        await _end(reloading)
        await control.close()
        if page is not None:
            await page.close()
        await service.stop()
        release()
        supervisor.close()
    log.info("stopped")
    return OK


def _hang_up(host: Host, again: asyncio.Event) -> None:
    if host.hangup is not None:
        host.hangup()
    again.set()


async def _quit(service: Service, stop: asyncio.Event) -> None:
    """Give the ports up, and wait for the last connection's end, or for the signal that ends them all."""
    service.speaker.say("quit")
    quitting = asyncio.create_task(service.quit())  # noqa: TID251 - kept, and ended below
    stopping = asyncio.create_task(stop.wait())  # noqa: TID251 - likewise
    await asyncio.wait((quitting, stopping), return_when=asyncio.FIRST_COMPLETED)
    for task in (quitting, stopping):
        task.cancel()
    await asyncio.wait((quitting, stopping))


async def _end(task: asyncio.Task[None] | None) -> None:
    """End a task, if there is one; nothing happens to one that is over."""
    if task is not None:
        task.cancel()
        await asyncio.wait((task,))


async def _ready(start: Start, screen: Screen, told: Told | None, host: Host) -> Service:
    """Start a service and tell the person; what is not told to the end is not left running."""
    try:
        with lasting():
            service = await start()
        try:
            host.listening()  # no turn of the loop came after the binding: nothing was accepted
            if told is not None:
                await told(service)
        except BaseException:
            await service.stop()
            release()
            raise
        return service
    finally:
        screen.release()


def _on_signals(screen: Screen) -> tuple[asyncio.Event, asyncio.Event]:
    """Return the event that the first signal sets, and one that SIGQUIT sets, too.

    The second signal ends the process there and then.
    """
    loop = asyncio.get_running_loop()
    stop, leave = asyncio.Event(), asyncio.Event()

    def on_signal(number: int) -> None:
        if stop.is_set():
            screen.clear()
            os._exit(128 + number)  # what a shell reports for a program that a signal ended
        stop.set()
        leave.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    if _QUIT is not None:
        loop.add_signal_handler(_QUIT, leave.set)
    return stop, leave


async def _draw(service: Service, screen: Screen) -> None:
    """Draw the status line once a second."""
    before = _read(service)
    while True:
        now = _read(service)
        screen.status(status_line(before, now))
        before = now
        await asyncio.sleep(_TICK)


def _read(service: Service) -> Reading:
    live, up, down = service.totals
    return Reading(asyncio.get_running_loop().time(), live, service.journal.accepted + live, up, down)
