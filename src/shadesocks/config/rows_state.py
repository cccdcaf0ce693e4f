"""Rows of the table: state and log."""

from __future__ import annotations

from typing import Final

from .setting import RUST, SERVER_END, Kind, Setting

ROWS: Final = (
    Setting(
        "state_dir",
        Kind.TEXT,
        "Directory of the replay store.",
        default_text="$STATE_DIRECTORY, else the user's state directory",
        flags=("--state-dir",),
    ),
    Setting(
        "control",
        Kind.TEXT,
        "Path of the Unix socket at which commands such as `shadesocks status` ask this process, or of its directory; "
        "empty for none.",
        default_text="$RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/shadesocks, else the user's state directory",
        flags=("--control",),
        since="0.2",
    ),
    Setting(
        "control_targets",
        Kind.FLAG,
        "Name the targets of connections to who asks at the control socket, as `shadesocks sessions` does.",
        default=False,
        flags=("--control-targets",),
        since="0.3",
    ),
    Setting(
        "store",
        Kind.SECRET,
        "Where users and what passed for them are kept: the path of a file, or the URL of a database, which needs the "
        "extra `store`. `${NAME}` takes it from the environment.",
        roles=SERVER_END,
        default_text="none: nothing is kept",
        flags=("--store",),
        since="0.3",
    ),
    Setting(
        "store_days",
        Kind.COUNT,
        "Days whose traffic is kept hour by hour for each user; of older ones the sums of a day are kept.",
        roles=SERVER_END,
        default=32,
        unit="days",
        low=32,
        high=3660,
        flags=("--store-days",),
        since="0.3",
    ),
    Setting(
        "metrics",
        Kind.ADDRESS,
        "Where Prometheus finds counters over HTTP, as 127.0.0.1:9388, which is the port where none is named. Each "
        "further worker has the next port. It needs the extra `metrics`.",
        default_text="none",
        flags=("--metrics",),
        since="0.3",
    ),
    Setting(
        "metrics_users",
        Kind.COUNT,
        "Users up to whom each has counters of his own among them, labelled with his name. Where there are more, or "
        "with 0, there are only sums: a thousand are some ten thousand series, which is much for one target.",
        roles=SERVER_END,
        default=1000,
        unit="users",
        low=0,
        high=100_000,
        flags=("--metrics-users",),
        since="0.3",
    ),
    Setting(
        "log_level",
        Kind.LEVEL,
        "What is logged; the numbers of shadowsocks-rust are taken too (0 info, 1 debug, 2 trace).",
        key="log.level",
        default="info",
        choices=("error", "warning", "info", "debug", "trace"),
        flags=("--log-level",),
        aliases=("log_level",),
        source=RUST,
    ),
    Setting(
        "log_without_time",
        Kind.FLAG,
        "Leave the time out of log lines, for systems that add their own.",
        key="log.format.without_time",
        default=False,
        flags=("--log-without-time",),
        source=RUST,
    ),
    Setting(
        "log_targets",
        Kind.FLAG,
        "Name the target in the line logged when a connection ends.",
        default=False,
        flags=("--log-targets",),
    ),
)
