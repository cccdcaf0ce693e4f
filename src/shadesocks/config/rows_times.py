"""Rows of the table: time-outs."""

from __future__ import annotations

from typing import Final

from .setting import HAPPY_EYEBALLS, LOCAL_END, RUST, SERVERS, YEAR, Kind, Setting

UDP_TIMEOUT_MIN: Final = 10
"""Seconds; shadowsocks-libev's least. A shorter session ends between two questions of one program."""

ROWS: Final = (
    Setting(
        "timeout",
        Kind.SECONDS,
        "Sets handshake_timeout and dial_timeout where these are not given.",
        places=SERVERS,
        default_text="none",
        unit="s",
        low=0.001,
        high=YEAR,
        flags=("--timeout",),
        source=RUST,
    ),
    Setting(
        "handshake_timeout",
        Kind.SECONDS,
        "How long a client may take to complete its handshake, counted from accept; who fails it is silent until then.",
        places=SERVERS,
        default=59.0,
        unit="s",
        low=0.001,
        high=YEAR,
        flags=("--handshake-timeout",),
    ),
    Setting(
        "dial_timeout",
        Kind.SECONDS,
        "How long one connection to a target or a server may take to be made.",
        places=SERVERS,
        default=10.0,
        unit="s",
        low=0.001,
        high=YEAR,
        flags=("--dial-timeout",),
    ),
    Setting(
        "idle_timeout",
        Kind.SECONDS,
        "A connection on which nothing moved for so long is closed.",
        default=86400.0,
        unit="s",
        low=0.001,
        high=YEAR,
        flags=("--idle-timeout",),
    ),
    Setting(
        "half_closed_timeout",
        Kind.SECONDS,
        "The same once one side has ended.",
        default=300.0,
        unit="s",
        low=0.001,
        high=YEAR,
        flags=("--half-closed-timeout",),
    ),
    Setting(
        "first_payload_timeout",
        Kind.SECONDS,
        "How long the client waits for the first payload, to send it together with the header.",
        roles=LOCAL_END,
        default=0.1,
        unit="s",
        high=60,
        flags=("--first-payload-timeout",),
    ),
    Setting(
        "drain_timeout",
        Kind.SECONDS,
        "How long open connections may go on after SIGTERM or SIGINT.",
        default=10.0,
        unit="s",
        high=YEAR,
        flags=("--drain-timeout",),
    ),
    Setting(
        "udp_timeout",
        Kind.SECONDS,
        "A UDP session without a datagram for so long ends; with the 2022 methods after 60 s at the earliest.",
        default=300.0,
        unit="s",
        low=UDP_TIMEOUT_MIN,
        high=YEAR,
        flags=("--udp-timeout",),
        source=RUST,
    ),
    Setting(
        "connection_attempt_delay",
        Kind.SECONDS,
        "How long one address of a name is tried alone before the next one is tried beside it.",
        default=0.25,
        unit="s",
        low=0.01,
        high=60,
        flags=("--connection-attempt-delay",),
        source=HAPPY_EYEBALLS,
    ),
)
