"""procurator's two programs (v1.0.0, and master 1.1.0), which read no file."""

from __future__ import annotations

from typing import Final

from .program import OLD_NAME, Act, Flag, Need, OldProgram
from .syntax import gnu

_LEVELS: Final = {"LL_DEBUG": "trace", "LL_VERBOSE": "debug", "LL_NOTICE": "info", "LL_WARNING": "warning"}

_REMOTE_PORT: Final = Flag(("--remote-port",), "port of the server", "PORT", key="remote_port")
_REMOTE_UDP: Final = Flag(("--remote-udp-port",), "accepted; librdp is not spoken", "PORT", key="remote_udp_port")
_PASSWORD: Final = Flag(("--password",), "password", "PASSWORD", key="password")
_FALLBACKS: Final = {**OLD_NAME, "log_style": "procurator"}
_LAST: Final = (
    Flag(
        ("--log-level",),
        "least level: LL_DEBUG, LL_VERBOSE, LL_NOTICE or LL_WARNING",
        "LEVEL",
        setting="log_level",
        words=_LEVELS,
    ),
    Flag(("--help",), "show this and exit", act=Act.HELP),
)
_SERVER: Final = (_REMOTE_PORT, _REMOTE_UDP, _PASSWORD, *_LAST)
_LOCAL: Final = (
    Flag(("--remote-host",), "the server to connect to", "HOST", key="remote_host"),
    _REMOTE_PORT,
    _REMOTE_UDP,
    Flag(("--local-port",), "port to listen on", "PORT", key="local_port"),
    Flag(("--local-udp-port",), "port whose datagrams go to one target", "PORT", key="local_udp_port"),
    Flag(("--udp-target-host",), "that target", "HOST", key="udp_target_host"),
    Flag(("--udp-target-port",), "its port", "PORT", key="udp_target_port"),
    _PASSWORD,
    *_LAST,
)


def _needs(*keys: str) -> tuple[Need, ...]:
    return tuple(Need((key,), f"--{key.replace('_', '-')} is missing") for key in keys)


PROGRAMS: Final = {
    "procurator-local": OldProgram(
        "procurator-local",
        "procurator",
        "local",
        "A SOCKS5 port whose connections go out through a server, as procurator's.",
        _LOCAL,
        gnu,
        "Usage: {name} --remote-host HOST --remote-port PORT --local-port PORT --password PASSWORD",
        usage_code=1,
        needs=_needs("remote_host", "remote_port", "local_port", "password"),
        fallbacks=_FALLBACKS,
    ),
    "procurator-server": OldProgram(
        "procurator-server",
        "procurator",
        "server",
        "A Shadowsocks server, as procurator's.",
        _SERVER,
        gnu,
        "Usage: {name} --remote-port PORT --password PASSWORD",
        usage_code=1,
        needs=_needs("remote_port", "password"),
        fallbacks=_FALLBACKS,
    ),
}
