"""Rows of the table: what a process is to its system."""

from __future__ import annotations

from typing import Final

from .setting import Kind, Setting

ROWS: Final = (
    Setting(
        "user",
        Kind.TEXT,
        "User to become once all ports are open, by name or number; only root can. What is opened later, as a config "
        "that is read again or a log that was moved, must be open to that user.",
        default_text="the one who starts it",
        flags=("-a", "--user"),
        since="0.2",
    ),
    Setting(
        "daemonize",
        Kind.FLAG,
        "Go to the background; whoever started it is told once it listens. A service manager does not want this.",
        default=False,
        flags=("-d", "--daemonize"),
        since="0.2",
    ),
    Setting(
        "pid_file",
        Kind.TEXT,
        "File that has the number of the process, and is locked by it while it runs: a second start with it fails.",
        default_text="none",
        flags=("--pid-file",),
        since="0.2",
    ),
    Setting(
        "watch",
        Kind.FLAG,
        "Read the config again when its file changes, or that of an access list; else at SIGHUP and SIGUSR1 only.",
        default=False,
        flags=("--watch",),
        since="0.3",
    ),
    Setting(
        "log_file",
        Kind.TEXT,
        "File that the log is appended to. It may be moved away: a new one is made within a second, or at SIGHUP.",
        key="log.file",
        default_text="standard error; a daemon without it logs to the system's log, if there is one",
        flags=("--log-file",),
        since="0.2",
    ),
    Setting(
        "log_syslog",
        Kind.FLAG,
        "Write the log to the system's log (/dev/log), unless there is a log file. Each line has its time there: see "
        "log.format.without_time.",
        key="log.syslog",
        default=False,
        flags=("--syslog",),
        aliases=("use_syslog",),
        since="0.2",
    ),
)
