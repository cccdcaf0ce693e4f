"""Rows of the table: what a server lets through, and how it treats who fails."""

from __future__ import annotations

from typing import Final

from .setting import EVERYWHERE, PYTHON, RUST, SERVER_END, Kind, Setting

ROWS: Final = (
    Setting(
        "acl",
        Kind.PATH,
        "File of rules: which targets a client reaches directly, which clients and targets a server refuses. A "
        "relative path starts at the directory of the config.",
        places=EVERYWHERE,
        default_text="no rules",
        flags=("--acl",),
        source=RUST,
    ),
    Setting(
        "acl_dialect",
        Kind.CHOICE,
        "Whose reading of such a file holds where shadowsocks-rust's and shadowsocks-libev's differ.",
        default="rust",
        choices=("rust", "libev"),
        flags=("--acl-dialect",),
    ),
    Setting(
        "forbidden_ip",
        Kind.NETWORKS,
        "Addresses and networks that clients do not reach through the server. An empty list opens all of them.",
        roles=SERVER_END,
        default_text="loopback, private, link-local and other special addresses",
        flags=("--forbidden-ip",),
        source=PYTHON,
    ),
    Setting(
        "forbidden_port",
        Kind.PORTS,
        "Ports that clients do not reach through the server, as in `25,6881-6889`.",
        roles=SERVER_END,
        default=(),
        default_text="none",
        flags=("--forbidden-port",),
    ),
    Setting(
        "allow_private",
        Kind.FLAG,
        "Let clients reach loopback, private, link-local and other special addresses from the server.",
        roles=SERVER_END,
        default=False,
        flags=("--allow-private",),
    ),
    Setting(
        "allow_none",
        Kind.FLAG,
        "Allow method `none` away from loopback. Everybody on the way can read and change the traffic.",
        default=False,
        flags=("--allow-none",),
    ),
    Setting(
        "strict_first_read",
        Kind.FLAG,
        "2022 methods: the salt and the fixed header must come in one read, to the letter of SIP022.",
        default=False,
        flags=("--strict-first-read",),
    ),
    Setting(
        "bad_handshake",
        Kind.CHOICE,
        "What a failed handshake meets: silence until the deadline, a reset at once, or an end of file at once.",
        roles=SERVER_END,
        default="silent",
        choices=("silent", "reset", "fin"),
        flags=("--bad-handshake",),
    ),
    Setting(
        "silent_limit",
        Kind.COUNT,
        "The most connections kept in silence at once.",
        roles=SERVER_END,
        default_text="a quarter of the descriptor limit",
        low=1,
        high=2**31 - 1,
        flags=("--silent-limit",),
    ),
)
