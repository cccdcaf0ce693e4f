"""shadowsocks-go's `shadowsocks-server` and `shadowsocks-local` (1.1.5 to 1.2.2 and after)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .program import OLD_NAME, Act, Flag, Need, OldProgram
from .syntax import go_flags


def search(_given: bool) -> Iterator[Path]:
    """Yield where a file is looked for: here, and next to the program."""
    yield Path("config.json")
    yield Path(sys.argv[0]).parent / "config.json"


_COMMON: Final = (
    Flag(("-c",), "read this config; default config.json", "FILE", act=Act.CONFIG),
    Flag(("-k",), "password; a config hides it better", "PASSWORD", key="password"),
    Flag(("-p",), "port of the server", "PORT", key="server_port", number=True),
    # It has a default in the old program, 300, which took the place of the file's: no value is no value here.
    Flag(
        ("-t",), "seconds that a connection may be idle; the config's, else 300", "SECONDS", key="timeout", number=True
    ),
    Flag(("-m",), "cipher; default aes-256-cfb; -auth behind it: one-time authentication", "METHOD", key="method"),
    Flag(("-d",), "log more", setting="log_level", constant="debug"),
)
_LAST: Final = (
    Flag(("-version",), "show the version and exit", act=Act.VERSION),
    Flag(("-h", "-help"), "show this and exit", act=Act.HELP),
)
_LOCAL: Final = (
    *_COMMON,
    Flag(("-s",), "the server to connect to", "HOST", key="server"),
    Flag(("-b",), "address to listen on; default every one", "HOST", key="local_address"),
    Flag(("-l",), "port to listen on", "PORT", key="local_port", number=True),
    Flag(("-A",), "one-time authentication", key="auth"),
    Flag(("-u",), "the server as a link: ss://…", "LINK", setting="server_url"),
    *_LAST,
)
_SERVER: Final = (
    *_COMMON,
    Flag(("-core",), "processes that share the work", "COUNT", number=True, setting="workers"),
    Flag(("-u",), "UDP as well", setting="mode", constant="tcp_and_udp"),
    Flag(
        ("-A",),
        "accepted; clients are logged by their addresses",
        act=Act.NOTHING,
        note="has no effect yet: the log has the addresses of clients",
    ),
    Flag(("-manager-address",), "where commands add and remove ports", "HOST:PORT", setting="manager_listen"),
    *_LAST,
)
_USAGE: Final = "Usage of {name}:"
_FALLBACKS: Final = {**OLD_NAME, "log_style": "go"}

PROGRAMS: Final = {
    "shadowsocks-local": OldProgram(
        "shadowsocks-local",
        "go",
        "local",
        "A SOCKS5 port whose connections go out through a server, as shadowsocks-go's.",
        _LOCAL,
        go_flags,
        _USAGE,
        version="shadowsocks-go version {version} (shadesocks)",
        needs=(
            Need(
                ("server", "server_password", "server_url"),
                "must specify server address, password and both server/local port: no server is given",
            ),
            Need(
                ("password", "server_password", "server_url"),
                "must specify server address, password and both server/local port: no password is given",
            ),
            Need(("local_port",), "must specify local port: give -l, or local_port in the config"),
        ),
        needs_code=1,
        search=search,
        fallbacks=_FALLBACKS,
    ),
    "shadowsocks-server": OldProgram(
        "shadowsocks-server",
        "go",
        "server",
        "A Shadowsocks server, as shadowsocks-go's.",
        _SERVER,
        go_flags,
        _USAGE,
        version="shadowsocks-go version {version} (shadesocks)",
        needs=(
            Need(
                ("password", "port_password"),
                "must specify both port and password: no password is given",
            ),
            Need(
                ("server_port", "port_password"),
                "must specify both port and password: no port is given",
            ),
        ),
        needs_code=1,
        search=search,
        fallbacks={**_FALLBACKS, "manager_dialect": "go"},
    ),
}
