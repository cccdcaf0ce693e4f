"""Rows of the table: sockets, their buffers and their number."""

from __future__ import annotations

from typing import Final

from .setting import LINUX, RUST, Kind, Setting

KEEP_ALIVE_MAX: Final = 32767
"""Seconds; Linux's MAX_TCP_KEEPIDLE."""
USER_TIMEOUT_MAX: Final = 2147483
"""Seconds; TCP_USER_TIMEOUT is a signed int of milliseconds."""
BUFFER_MIN: Final = 4096
"""Bytes; with less, a socket drops single datagrams of the size that the Internet carries."""
BUFFER_MAX: Final = 2**31 - 1
"""Bytes; SO_SNDBUF and SO_RCVBUF are signed ints."""


_TCP_BUFFERS: Final = (
    ("inbound_send_buffer", "SO_SNDBUF of TCP connections that are accepted", "inbound_send", "incoming_snd"),
    ("inbound_receive_buffer", "SO_RCVBUF of TCP connections that are accepted", "inbound_recv", "incoming_rcv"),
    ("outbound_send_buffer", "SO_SNDBUF of TCP connections that are made", "outbound_send", "outgoing_snd"),
    ("outbound_receive_buffer", "SO_RCVBUF of TCP connections that are made", "outbound_recv", "outgoing_rcv"),
)
"""Name, help, and how shadowsocks-rust and shadowsocks-libev call it."""


def _buffer(name: str, what: str, rust: str, libev: str) -> Setting:
    key, alias = f"{rust}_buffer_size", f"tcp_{libev}buf"
    return Setting(
        name,
        Kind.SIZE,
        f"{what}; 0 leaves it to the system.",
        key=key,
        default_text="left to the system",
        unit="bytes",
        high=BUFFER_MAX,
        flags=tuple(f"--{word.replace('_', '-')}" for word in (alias, key)),
        aliases=(alias,),
        source=RUST,
    )


ROWS: Final = (
    Setting(
        "no_delay",
        Kind.FLAG,
        "Set TCP_NODELAY.",
        default=False,
        flags=("--tcp-no-delay", "--no-delay"),
        source=RUST,
    ),
    Setting(
        "fast_open",
        Kind.FLAG,
        "TCP Fast Open, at both ends of every connection, where the system has it.",
        default=False,
        flags=("--tcp-fast-open", "--fast-open"),
        source=RUST,
    ),
    Setting(
        "mptcp",
        Kind.FLAG,
        "Multipath TCP, where the system has it.",
        default=False,
        flags=("--tcp-multipath", "--mptcp"),
        source=RUST,
    ),
    Setting(
        "keep_alive",
        Kind.COUNT,
        "TCP keep-alive after so long without traffic; 0 turns it off.",
        default=15,
        unit="s",
        high=KEEP_ALIVE_MAX,
        flags=("--tcp-keep-alive",),
        source=RUST,
    ),
    Setting(
        "user_timeout",
        Kind.COUNT,
        "TCP_USER_TIMEOUT: a peer that acknowledges nothing for so long is gone; 0 leaves it to the system.",
        default=240,  # with the probe after it, a vanished peer is gone within five minutes
        unit="s",
        high=USER_TIMEOUT_MAX,
        flags=("--tcp-user-timeout",),
        source=LINUX,
    ),
    Setting(
        "nofile",
        Kind.COUNT,
        "Limit of open descriptors (RLIMIT_NOFILE).",
        default_text="the hard limit",
        low=64,
        high=2**31 - 1,
        flags=("-n", "--nofile"),
        source=RUST,
    ),
    Setting(
        "udp_max_associations",
        Kind.COUNT,
        "The most UDP sessions of one server or listener; a new one takes the place of the one that was idle longest.",
        default_text="a quarter of the descriptor limit, 16384 at most",
        low=1,
        high=2**31 - 1,
        flags=("--udp-max-associations",),
        source=RUST,
    ),
    Setting(
        "udp_max_per_source",
        Kind.COUNT,
        "The most UDP sessions of one source address, which is a /64 network for IPv6.",
        default_text="1024",
        low=1,
        high=2**31 - 1,
    ),
    *(_buffer(*row) for row in _TCP_BUFFERS),
    Setting(
        "udp_receive_buffer",
        Kind.COUNT,
        "SO_RCVBUF of UDP sockets: what may wait while the program is busy.",
        default_text="left to the system",
        unit="bytes",
        low=BUFFER_MIN,
        high=BUFFER_MAX,
    ),
    Setting(
        "udp_send_buffer",
        Kind.COUNT,
        "SO_SNDBUF of UDP sockets.",
        default_text="left to the system",
        unit="bytes",
        low=BUFFER_MIN,
        high=BUFFER_MAX,
    ),
    Setting(
        "udp_io",
        Kind.CHOICE,
        "How datagrams move: `auto` in batches where the system can, `plain` one by one.",
        default="auto",
        choices=("auto", "plain"),
    ),
    Setting(
        "event_model",
        Kind.CHOICE,
        "Back-end of the reactor.",
        default="auto",
        choices=("auto", "epoll", "kqueue", "portable"),
        flags=("--event-model",),
    ),
)
