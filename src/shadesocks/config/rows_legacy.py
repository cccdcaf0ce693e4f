"""Rows of the table: the old ciphers, and the habits of old programs."""

from __future__ import annotations

from typing import Final

from .setting import LIBEV, LOCAL_END, LOCALS, PYTHON, SERVERS, Kind, Setting

ROWS: Final = (
    Setting(
        "allow_legacy",
        Kind.FLAG,
        "Allow the old ciphers and one-time authentication, for peers that know nothing better.",
        default=False,
        default_text="false; true for a program that was started by an old name, as `ss-server`",
        flags=("--allow-legacy",),
        since="0.2",
    ),
    Setting(
        "stream_replay",
        Kind.CHOICE,
        "Stream ciphers: what becomes of an IV that was seen before. Some old clients send one for ever.",
        default="allow",
        choices=("allow", "refuse"),
        flags=("--stream-replay",),
        since="0.2",
    ),
    Setting(
        "one_time_auth",
        Kind.FLAG,
        "Stream ciphers: a client sends hashes with its data (one-time authentication), a server wants them.",
        places=SERVERS,
        default=False,
        source=PYTHON,
        since="0.2",
    ),
    Setting(
        "compat",
        Kind.CHOICE,
        "What the other end of a server needs. `procurator`: IPv4 targets are sent as names.",
        places=SERVERS,
        default="none",
        choices=("none", "procurator"),
        roles=LOCAL_END,
        since="0.2",
    ),
    Setting(
        "raw_key",
        Kind.SECRET,
        "The key itself, in base64, instead of a password. The 2022 methods take theirs as `password`, too.",
        key="key",
        places=SERVERS,
        source=LIBEV,
        since="0.2",
    ),
    Setting(
        "socks_reply_port",
        Kind.COUNT,
        "Port that a SOCKS answer names as bound (BND.PORT), which says nothing; old programs have one each.",
        places=LOCALS,
        roles=LOCAL_END,
        default=0,
        high=65535,
        since="0.2",
    ),
    Setting(
        "log_style",
        Kind.CHOICE,
        "Whose log lines are written, for tools that read them.",
        key="log.style",
        default="shadesocks",
        choices=("shadesocks", "python", "go", "lite", "node", "procurator"),
        since="0.2",
    ),
)
