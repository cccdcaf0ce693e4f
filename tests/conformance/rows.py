"""The Python original's own end-to-end list: its files and its runs, as data.

Called by `test_conformance.py`, which runs them, and by `__main__.py`, which prints them. A file is what its user had:
the keys and the ports are those of the original's suite, the words are ours. Ports are replaced by free ones when a
file is written (`stage.py`), in the flags those in braces. A row without a file is a run by flags alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Keys = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list."""

    id: str
    covers: str
    server: Keys | None = None
    """The server's file; None: flags only, or a test of its own."""
    local: Keys | None = None
    """The client's file, where it is another one."""
    server_flags: tuple[str, ...] = ("--forbidden-ip", "")
    """What the original's suite always gave its server, since its targets are on loopback."""
    local_flags: tuple[str, ...] = ()
    fails: bool = False
    """Whether nothing may come through, of either protocol."""
    refused: tuple[str, int] | None = None
    """Words of the error, and the exit code, where the server does not start."""
    https: bool = False
    rounds: int = 1
    """How often a page and a name are asked for."""
    test: str = "test_conformance"
    """The function that runs it."""
    sampled: bool = True
    """Whether `make test` runs it too; the rest is run by `make conformance`."""


def _file(method: str | None, word: str, **more: Any) -> Keys:
    """A file of the suite; one for both ends, as it was."""
    keys = {
        "server": "127.0.0.1",
        "server_port": 8388,
        "local_port": 1081,
        "password": f"{word} of the suite",
        "timeout": 60,
        "method": method,
        "local_address": "127.0.0.1",
        "fast_open": False,
    }
    return {key: value for key, value in (keys | more).items() if value is not None}


_AES: Final = _file("aes-256-cfb", "aes")
_HOME: Final = os.path.realpath(__file__)
"""A path that exists."""
_BY_FLAGS: Final = ("-s", "127.0.0.1", "-p", "{8388}", "-k", "password of the suite", "-m", "aes-256-cfb")

_PORT_PASSWORDS: Final = {str(port): f"password of port {port}" for port in range(8381, 8390)}

_CIPHERS: Final = (
    ("aes", "aes-256-cfb", True),
    ("aes-ctr", "aes-256-ctr", False),
    ("aes-cfb1", "aes-256-cfb1", False),
    ("aes-cfb8", "aes-256-cfb8", False),
    ("aes-ofb", "aes-256-ofb", False),
    ("aes-gcm", "aes-256-gcm", True),
    ("aes-ocb", "aes-256-ocb", False),
    ("chacha20-poly1305", "chacha20-poly1305", False),
    ("chacha20-ietf-poly1305", "chacha20-ietf-poly1305", False),
    ("xchacha20-ietf-poly1305", "xchacha20-ietf-poly1305", False),
    ("camellia", "camellia-256-cfb", False),
    ("rc4-md5", "rc4-md5", False),
    ("salsa20", "salsa20", False),
    ("salsa20-ctr", "salsa20-ctr", False),
    ("chacha20", "chacha20", False),
    ("chacha20-ietf", "chacha20-ietf", False),
    ("xchacha20", "xchacha20", False),
    ("table", "table", False),
    ("mbedtls-aes", "mbedtls:aes-256-cfb128", True),
    ("mbedtls-aes-ctr", "mbedtls:aes-256-ctr", False),
    ("mbedtls-aes-gcm", "mbedtls:aes-256-gcm", False),
    ("mbedtls-camellia", "mbedtls:camellia-256-cfb128", False),
)


def _library(name: str) -> dict[str, str]:
    """The files of that suite that named a library named one that is there."""
    if name.startswith("mbedtls-"):
        return {"libmbedtls": _HOME}
    return {"libopenssl": _HOME} if name == "aes-ocb" else {}


_FORBIDDEN_LIST: Final = "127.0.0.1,::1,8.8.8.8"

ROWS: Final = (
    *(Row(name, method, _file(method, name, **_library(name)), sampled=sampled) for name, method, sampled in _CIPHERS),
    Row("rc4-md5-ota", "one-time auth at both ends", _file("rc4-md5", "ota", one_time_auth=True)),
    Row(
        "server-multi-ports",
        "a list of ports at both ends",
        _file("aes-256-cfb", "ports", server_port=[8384, 8345, 8346, 8347]),
        rounds=6,
        sampled=False,
    ),
    Row(
        "client-multi-server-ip",
        "a client's list of servers",
        _AES,
        {**_AES, "server": ["127.0.0.1", "127.0.0.1"]},
        rounds=3,
        sampled=False,
    ),
    Row("server-dnsserver", "a list of name servers, of the server", test="test_server_dnsserver"),
    Row(
        "server-multi-passwd",
        "nine ports with a password each; the client's port is a text",
        {"server": "127.0.0.1", "local_port": 1081, "timeout": 60, "method": "aes-256-cfb"}
        | {"port_password": _PORT_PASSWORDS},
        _file("aes-256-cfb", "", server_port="8385", password=_PORT_PASSWORDS["8385"]),
        sampled=False,
    ),
    Row(
        "server-multi-passwd-table",
        "ports with a table each, beside a port and a password that do not count",
        _file("table", "table", port_password={"8384": "first table", "8345": "second table"}),
        _file("table", "", server_port=8345, password="second table"),
    ),
    Row("server-multi-passwd-empty", "no port but those that the manager adds", test="test_server_multi_passwd_empty"),
    Row(
        "server-multi-passwd-performance",
        "2,000 ports; a client of three of them",
        test="test_server_multi_passwd_performance",
        sampled=False,
    ),
    Row("workers", "four processes for one port", _file("aes-256-cfb", "workers", workers=4)),
    Row(
        "ipv6",
        "the server on ::, the client to ::1",
        _file("aes-256-cfb", "ipv6", server="::"),
        _file("aes-256-cfb", "ipv6", server="::1"),
    ),
    Row("fastopen", "TCP Fast Open, without a cookie and with one", test="test_fastopen"),
    Row("graceful", "the file of the graceful test", _file("aes-256-cfb", "graceful", timeout=15)),
    Row(
        "cli-quiet",
        "-q at the server, -vv at the client",
        _AES,
        server_flags=("--forbidden-ip", "", "-q"),
        local_flags=("-vv",),
        sampled=False,
    ),
    Row(
        "cli-flags",
        "no file: --workers 1, -qq, -b, -t 30",
        server_flags=(*_BY_FLAGS, "--forbidden-ip", "", "--workers", "1", "-t", "30", "-qq"),
        local_flags=(*_BY_FLAGS, "-l", "{1081}", "-b", "127.0.0.1", "-t", "30", "-qq"),
        sampled=False,
    ),
    Row(
        "cli-forbidden-list",
        f"--forbidden-ip {_FORBIDDEN_LIST} keeps both protocols away",
        _AES,
        server_flags=("--forbidden-ip", _FORBIDDEN_LIST),
        fails=True,
        sampled=False,
    ),
    Row("cli-forbidden-default", "without it, the loopback is closed", _AES, server_flags=(), fails=True),
    Row("cli-forbidden-empty", "--forbidden-ip= opens it", _AES, server_flags=("--forbidden-ip=",), sampled=False),
    *(
        Row(
            f"cli-{library}",
            f"--{library} with a path that is there",
            _file(method, library),
            server_flags=("--forbidden-ip", "", f"--{library}={_HOME}"),
            local_flags=(f"--{library}={_HOME}",),
            sampled=False,
        )
        for library, method in (
            ("libopenssl", "aes-256-cfb"),
            ("libmbedtls", "mbedtls:aes-256-cfb128"),
            ("libsodium", "salsa20"),
        )
    ),
    *(
        Row(
            f"cli-{library}-invalid",
            f"--{library}=invalid_path is an error",
            _file(method, library),
            server_flags=("--forbidden-ip", "", f"--{library}=invalid_path"),
            local_flags=(f"--{library}=invalid_path",),
            refused=(f"--{library}", 1),
            sampled=library == "libsodium",
        )
        for library, method in (
            ("libopenssl", "aes-256-cfb"),
            ("libmbedtls", "mbedtls:aes-256-cfb128"),
            ("libsodium", "salsa20"),
        )
    ),
    Row("cli-https", "a page by https", _AES, https=True),
    Row("test_daemon.sh", "start, stop and restart, and their exit codes", test="test_daemon_sh"),
    Row("test_command.sh", "each warning and error by its words", test="test_command_sh"),
    Row("test_graceful_restart.sh", "SIGQUIT, and a new process on the port", test="test_graceful_restart_sh"),
    Row("test_large_file.sh", "10 MiB byte by byte", test="test_large_file"),
    Row("test_udp_src.sh", "two targets see one source port, IPv4 and IPv6", test="test_udp_src"),
    Row("common", "in-module: addresses and networks", test="test_module_common"),
    Row("lru_cache", "in-module: what is kept expires, is refreshed, is closed once", test="test_module_lru_cache"),
    Row("asyncdns", "in-module: nine look-ups, of names that are none too", test="test_module_asyncdns"),
    Row("cryptor", "in-module: seven methods there and back", test="test_module_cryptor"),
    Row("manager", "in-module: add, remove, stat, of both protocols", test="test_module_manager"),
    Row("crypto", "in-module: 16 MiB in pieces of all sizes", test="test_module_crypto"),
)
"""Each file of its suite, each run by flags, each script, and each module with tests of its own."""


def row_of(id: str) -> Row:
    """Return a line of the list."""
    return next(row for row in ROWS if row.id == id)


def file_of(id: str) -> dict[str, Any]:
    """Return the server's file of a line."""
    return dict(row_of(id).server or {})
