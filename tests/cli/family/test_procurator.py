"""procurator's programs: every flag, and the codes they end with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .rows import SAYS, Row, check, untold

if TYPE_CHECKING:
    from .conftest import Start

_UDP = "--local-udp-port 1081 --udp-target-host 192.0.2.53 --udp-target-port 53"
BOTH: list[Row] = [
    ("--remote-port=9000", "servers.0.address.port", 9000),
    ("--remote-po 9000", "servers.0.address.port", 9000),
    ("--password another-long-password", "servers.0.password.reveal()", "another-long-password"),
    ("--remote-udp-port 8081", SAYS, "--remote-udp-port: "),
    ("--log-level LL_DEBUG", "log_level", "trace"),
    ("--log-level LL_VERBOSE", "log_level", "debug"),
    ("--log-level LL_NOTICE", "log_level", "info"),
    ("--log-level LL_WARNING", "log_level", "warning"),
    ("", "servers.0.method.name", "aes-256-cfb"),
    ("", "allow_legacy", True),
    ("", "log_style", "procurator"),
]
ROWS: dict[str, list[Row]] = {
    "procurator-local": [
        *BOTH,
        ("--remote-host 192.0.2.7", "servers.0.address.host", "192.0.2.7"),
        ("--local-port 1090", "locals.0.address.port", 1090),
        (_UDP, "locals.1.forward.host", "192.0.2.53"),
        (_UDP, "locals.1.forward.port", 53),
        (_UDP, "locals.1.address.port", 1081),
        ("", "servers.0.compat", "procurator"),
    ],
    "procurator-server": BOTH,
}
BASE = {
    "procurator-local": "--remote-host 192.0.2.1 --remote-port 8388 --local-port 1080 --password correct-horse-battery",
    "procurator-server": "--remote-port 8388 --password correct-horse-battery",
}


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in ROWS.items() for row in rows])
def test_each_flag_does_what_it_did(name: str, row: Row, start: Start) -> None:
    check(start, name, BASE[name], row)


@pytest.mark.parametrize("name", ROWS)
def test_no_flag_is_without_a_row(name: str) -> None:
    assert untold(name, ROWS[name]) == set()


@pytest.mark.parametrize(
    ("name", "words", "text"),
    [
        ("procurator-local", "--zzz", "--zzz: there is no such flag"),
        ("procurator-local", "-z", "-z: there is no such flag"),
        ("procurator-server", "--local-port 1", "--local-port: there is no such flag"),
        ("procurator-local", "--remote", "--remote: this may be "),
        ("procurator-local", "--log-level LL_ALL", "--log-level: expected LL_DEBUG or "),
        ("procurator-local", "", "config not specified"),
        ("procurator-local", "--remote-port 1 --local-port 1 --password x", "--remote-host is missing"),
        ("procurator-server", "--remote-port 1", "--password is missing"),
    ],
)
def test_a_wrong_command_line_is_told_with_the_usage(name: str, words: str, text: str, start: Start) -> None:
    started = start(name, words)
    assert (started.code, started.config, started.out) == (1, None, "")
    assert started.err.startswith(f"error: {text}")
    assert f"Usage: {name} --remote-" in started.err
