"""The Node version's `ssserver` and `sslocal` (1.5.3), here with `node-` before them: their names are taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .program import OLD_NAME, Act, Flag, Need, OldProgram
from .syntax import one_word


def search(_given: bool) -> Iterator[Path]:
    """Yield where a file is looked for."""
    yield Path("config.json")


_SERVER: Final = (
    Flag(("-s",), "address of the server", "HOST", key="server"),
    Flag(("-p",), "port of the server", "PORT", key="server_port"),
    Flag(("-k",), "password; a config hides it better", "PASSWORD", key="password"),
    Flag(("-m",), "cipher; default table, which hides nothing", "METHOD", key="method"),
    Flag(("-t",), "seconds that a connection may be idle", "SECONDS", key="timeout"),
    Flag(("-c",), "read this config", "FILE", act=Act.CONFIG),
    Flag(("-v",), "log more", setting="log_level", constant="debug"),
    Flag(("-h", "--help"), "show this and exit", act=Act.HELP),
)
_LOCAL: Final = (
    *_SERVER[:2],
    Flag(("-b",), "address to listen on; default 127.0.0.1", "HOST", key="local_address"),
    Flag(("-l",), "port to listen on", "PORT", key="local_port"),
    *_SERVER[2:],
)
_NOTHING: Final = "config.json not found, you have to specify all config in commandline"
_FALLBACKS: Final = {**OLD_NAME, "log_style": "node"}
_PASSWORD: Final = Need(("password", "port_password"), "no password is given; give -k, or password in the config")

PROGRAMS: Final = {
    "node-sslocal": OldProgram(
        "node-sslocal",
        "node",
        "local",
        "A SOCKS5 port whose connections go out through a server, as the Node version's.",
        _LOCAL,
        one_word,
        "usage: {name} [-h] -s HOST -p PORT [-b HOST] -l PORT -k PASSWORD -m METHOD [-t SECONDS] [-c FILE]",
        needs=(
            Need(("server",), "no server is given; give -s, or server in the config"),
            Need(("local_port",), "no port to listen on is given; give -l, or local_port in the config"),
            _PASSWORD,
        ),
        needs_code=1,
        search=search,
        nothing=_NOTHING,
        tells_file=True,
        fallbacks=_FALLBACKS,
    ),
    "node-ssserver": OldProgram(
        "node-ssserver",
        "node",
        "server",
        "A Shadowsocks server, as the Node version's.",
        _SERVER,
        one_word,
        "usage: {name} [-h] -s HOST -p PORT -k PASSWORD -m METHOD [-t SECONDS] [-c FILE]",
        needs=(_PASSWORD,),
        needs_code=1,
        search=search,
        nothing=_NOTHING,
        tells_file=True,
        fallbacks=_FALLBACKS,
    ),
}
