"""A service in the place that its config gives it: its log, its pid file, its user, and perhaps the background.

    the log -> (fork) -> pid file -> run: bind, become the user, say so to whoever waits -> ... -> pid file removed

The log is opened and the state directory made while there are the rights to; the pid file belongs to the process that
serves, and so comes behind the fork. It is given up with the ports: whoever takes those at SIGQUIT takes it, too. What
keeps a service from starting is told on the terminal, whoever keeps the log.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .logs import set_up_logs
from .run import Host, run_service
from .screen import Screen

if TYPE_CHECKING:
    from ..config.model import Config
    from ..process.log_file import LogFile
    from ..process.user import User
    from .run import Reread, Start, Told

log = logging.getLogger("shadesocks.cli")


def run_placed(
    config: Config,
    start: Start,
    screen: Screen,
    *,
    reread: Reread | None = None,
    file: str | None = None,
    at_once: bool = False,
    started: Callable[[], None] = lambda: None,
    told: Told | None = None,
) -> int:
    """Run one service until a signal ends it, and return the exit code; with `daemonize`, run it in the background.

    Then the code is 0 as soon as it listens, after `started` was called, and both processes return from here. `file` is
    what `reread` reads. With `told`, which speaks to a person, the service stays where that person is.

    Raises:
        ShadesocksError: the user, the log or the pid file is not to be had, or the service did not start.
    """
    if config.daemonize and told is not None:
        log.warning("daemonize: this command stays here; `shadesocks server` goes to the background")
        config = replace(config, daemonize=False)
    syslog = _uses_syslog(config)
    run = _Run(config, start, screen, reread, file, at_once, told, syslog)
    if not (config.user or config.log_file or config.log_syslog or config.pid_file or config.daemonize):
        return run_service(config, start, screen, told, reread, Host(at_once=at_once))
    user = _find_user(config)
    log_file = _open_log(config, user)
    try:
        if not config.daemonize:
            return run(user, log_file)
        from ..process.daemon import run_detached

        if log_file is None and not syslog:
            log.warning("the daemon writes no log; name a file for it: log.file, or --log-file")
        number = None if log_file is None else log_file.fileno()
        return run_detached(lambda ready: run(user, log_file, ready), log_fd=number, started=started)
    finally:
        if log_file is not None:
            log_file.close()


@dataclass(frozen=True, slots=True)
class _Run:
    """What is run, once the process is where it belongs."""

    config: Config
    start: Start
    screen: Screen
    reread: Reread | None
    file: str | None
    at_once: bool
    told: Told | None
    syslog: bool

    def __call__(self, user: User | None, log_file: LogFile | None, ready: Callable[[], None] | None = None) -> int:
        from ..process.pid_file import PidFile

        if ready is not None and hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # there is no terminal to lose

        become = self._other_user(user)

        def listening() -> None:
            become()
            if ready is not None:
                ready()
                if log_file is not None:
                    log_file.follow(1, 2)

        def leaving() -> None:
            if held is not None:
                held.release()

        hangup = None if log_file is None else log_file.reopen
        held = PidFile.take(self.config.pid_file) if self.config.pid_file else None
        lines = self.screen if log_file is None else Screen(log_file)
        screen = lines if self.told is None else self.screen
        is_led_away, handlers = log_file is not None or self.syslog, list[logging.Handler]()
        try:
            if log_file is not None:
                set_up(self.config, lines)
            elif self.syslog:
                handlers += _set_up_syslog(self.config)
            host = Host(listening, hangup, leaving, self.at_once)
            return run_service(self.config, self.start, screen, self.told, self.reread, host)
        except Exception as error:
            if is_led_away:
                log.error("%s", error)
            raise
        finally:
            if is_led_away:
                set_up(self.config, self.screen)
            for handler in handlers:
                handler.close()
            leaving()

    def _other_user(self, user: User | None) -> Callable[[], None]:
        """Prepare what a user needs; return what makes this process that user's, and tells what it cannot do then."""
        if user is None:
            return lambda: None
        from ..process.state_home import prepare
        from ..process.user import become, closed_program, is_current

        if is_current(user):
            return lambda: None
        from ..process.whole import is_closed_to, load_whole

        # A client keeps nothing.
        home = prepare(user, self.config.state_dir) if not self.config.locals else None

        def change() -> None:
            if home is not None:
                home.give()
            if is_closed_to(user):
                load_whole()
            become(user)
            for complaint in (closed_program(user), home.complaint() if home is not None else ""):
                if complaint:
                    log.warning("%s", complaint)
            if self.reread is not None and self.file is not None and not os.access(self.file, os.R_OK):
                text = "%s is closed to %s, who runs this service: SIGHUP cannot read it again, only a restart can"
                log.warning(text, self.file, user.name)

        return change


def _uses_syslog(config: Config) -> bool:
    """Say whether the log goes to the system's: as asked for, or because a daemon has no other; not beside a file."""
    if config.log_file or not (config.log_syslog or config.daemonize):
        return False
    from ..process.syslog import ADDRESS, is_there

    if is_there():
        return True
    if config.log_syslog:
        log.warning("log.syslog: the system has no log (%s); name a file for ours: log.file, or --log-file", ADDRESS)
    return False


def _set_up_syslog(config: Config) -> tuple[logging.Handler, ...]:
    from ..process.syslog import SyslogHandler, name_of_program
    from .logs import set_up_syslog

    name = name_of_program()
    handlers = SyslogHandler(name), SyslogHandler(name)
    set_up_syslog(*handlers, level=config.log_level, style=config.log_style)
    return handlers


def set_up(config: Config, screen: Screen) -> None:
    """Send the log to a screen, as a config wants it."""
    set_up_logs(screen, level=config.log_level, with_time=not config.log_without_time, style=config.log_style)


def _find_user(config: Config) -> User | None:
    if not config.user:
        return None
    from ..process.user import check_user, find_user

    user = find_user(config.user)
    check_user(user)
    return user


def _open_log(config: Config, user: User | None) -> LogFile | None:
    if not config.log_file:
        return None
    from ..process.log_file import LogFile

    log_file = LogFile(config.log_file)
    if user is not None:
        log_file.give(user)
    return log_file
