"""The Python original's `sslocal` and `ssserver` (2.8.2 to 3.0)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...config.dialects.python import LOG_FILE, PID_FILE
from .libraries import LIBRARIES, check_library
from .program import HELP, OLD_NAME, Act, Flag, Need, OldProgram
from .python_daemon import ACTIONS, command
from .python_words import PythonWords
from .syntax import getopt


def search(_given: bool) -> Iterator[Path]:
    """Yield where a file is looked for, whatever else was given."""
    yield Path("config.json")


def _daemon(word: str) -> str:
    return "" if word in ACTIONS else f"unsupported daemon command {word}: expected {', '.join(ACTIONS)}"


_GENERAL: Final = (
    Flag(("-d",), "start, stop or restart as a daemon", "ACTION", key="daemon", check=_daemon),
    Flag(("--pid-file",), f"file of the daemon's number; default {PID_FILE}", "FILE", key="pid-file"),
    Flag(("--log-file",), f"file of the daemon's log; default {LOG_FILE}", "FILE", key="log-file"),
    Flag(("--user",), "user to become once all ports are open", "NAME", key="user"),
    Flag(("-v",), "log more; twice for all", key="verbose", constant=1, act=Act.COUNT),
    Flag(("-q",), "log less; twice for errors only", key="verbose", constant=-1, act=Act.COUNT),
    *(
        Flag((f"--{name}",), f"accepted; {name} is no longer needed", "PATH", key=name, check=check_library)
        for name in LIBRARIES
    ),
    HELP,
    Flag(("--version",), "show the version and exit", act=Act.VERSION),
)
_CONFIG: Final = Flag(("-c",), "read this config", "FILE", act=Act.CONFIG)
_PORT: Final = Flag(("-p",), "port of the server; default 8388", "PORT", key="server_port")
_PROXY: Final = (
    Flag(("-k",), "password; a config hides it better", "PASSWORD", key="password"),
    Flag(("-m",), "cipher; default aes-256-cfb", "METHOD", key="method"),
    Flag(("-t",), "seconds that a connection may be idle; default 300", "SECONDS", key="timeout"),
    Flag(("-a",), "one-time authentication", key="one_time_auth"),
    Flag(("--fast-open",), "TCP Fast Open", key="fast_open"),
)

_LOCAL: Final = (
    _CONFIG,
    Flag(("-s",), "the server to connect to", "HOST", key="server"),
    _PORT,
    Flag(("-b",), "address to listen on; default 127.0.0.1", "HOST", key="local_address"),
    Flag(("-l",), "port to listen on; default 1080", "PORT", key="local_port"),
    *_PROXY,
    *_GENERAL,
)
_SERVER: Final = (
    _CONFIG,
    Flag(("-s",), "address to listen on; default 0.0.0.0", "HOST", key="server"),
    _PORT,
    *_PROXY,
    Flag(("--workers",), "processes that share the work", "COUNT", key="workers"),
    Flag(("--forbidden-ip",), "networks that clients do not reach, with commas", "LIST", key="forbidden_ip"),
    Flag(("--manager-address",), "where commands add and remove ports", "ADDRESS", key="manager_address"),
    Flag(("--prefer-ipv6",), "IPv6 addresses first", key="prefer_ipv6"),
    *_GENERAL,
)
_USAGE: Final = "usage: {name} [OPTION]..."
_FALLBACKS: Final = {**OLD_NAME, "log_style": "python"}

PROGRAMS: Final = {
    "sslocal": OldProgram(
        "sslocal",
        "python",
        "local",
        "A SOCKS5 port whose connections go out through a server, as the Python original's.",
        _LOCAL,
        getopt,
        _USAGE,
        version="Shadowsocks {version}",
        needs=(
            Need(("server",), "server addr not specified"),
            Need(("password",), "password not specified"),
        ),
        search=search,
        fallbacks=_FALLBACKS,
        at_once=True,
        commands=command,
        tells_file=True,
        words=PythonWords(),
    ),
    "ssserver": OldProgram(
        "ssserver",
        "python",
        "server",
        "A Shadowsocks server, as the Python original's.",
        _SERVER,
        getopt,
        _USAGE,
        version="Shadowsocks {version}",
        usage_keys=frozenset(("forbidden_ip", "--forbidden-ip")),
        needs=(Need(("password", "port_password", "manager_address"), "password or port_password not specified"),),
        search=search,
        fallbacks=_FALLBACKS,
        at_once=True,
        commands=command,
        tells_file=True,
        words=PythonWords(),
    ),
}
