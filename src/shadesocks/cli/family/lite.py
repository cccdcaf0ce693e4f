"""shadowsocks-lite's `sslserver` and `ssllocal` (1.0.9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from .program import OLD_NAME, Act, Flag, Need, OldProgram
from .syntax import one_word


def search(_given: bool) -> Iterator[Path]:
    """Yield where a file is looked for."""
    yield Path("config.json")
    yield Path("/etc/shadowsocks-lite/config.json")


_FLAGS: Final = (
    Flag(("-c",), "read this config", "FILE", act=Act.CONFIG),
    Flag(("-v",), "log more", setting="log_level", constant="debug"),
    Flag(("-h", "--help"), "show this and exit", act=Act.HELP),
)
_USAGE: Final = "usage: {name} [-h] [-v] [-c FILE]"
_NOTHING: Final = "config.json not found, you have to specify all config in config.json"
_FALLBACKS: Final = {**OLD_NAME, "log_style": "lite"}
_NEEDS: Final = tuple(
    Need((key,), f"the config names no {key}, which this program needs")
    for key in ("server", "server_port", "password")
)

_LOCAL: Final = OldProgram(
    "ssllocal",
    "lite",
    "local",
    "A SOCKS5 port whose connections go out through a server, as shadowsocks-lite's.",
    _FLAGS,
    one_word,
    _USAGE,
    needs=_NEEDS,
    needs_code=1,
    search=search,
    nothing=_NOTHING,
    tells_file=True,
    fallbacks=_FALLBACKS,
)

PROGRAMS: Final = {
    "ssllocal": _LOCAL,
    "sslserver": replace(
        _LOCAL, name="sslserver", role="server", summary="A Shadowsocks server, as shadowsocks-lite's."
    ),
}
