"""The old programs that this project descends from: where they are, which version, what each can do here.

Called by `tests/conformance` and `tests/test_ancestors.py`. `tools/ancestors.sh` installs what a package registry has
(Python's and Node's) and says where the others belong; one that is not there has a sentence that says so, and its
tests are skipped with it. A program is started and ended as in `tests/peers.py`, by absolute path and by its own
handle, with its configuration in its own form: a file for most, options for procurator.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.peers import HOST, START_TRIES, Program, Role, StartError, free_port, need_tool, start

CACHE: Final = Path(os.environ.get("SHADESOCKS_ANCESTORS") or Path.home() / ".cache" / "shadesocks" / "ancestors")

PASSWORD: Final = "correct horse battery staple"
TIMEOUT: Final = 300
"""Seconds without traffic after which they end a connection: Python's default, and what draws no warning from it."""

Command = Callable[["Ancestor", Role, dict[str, Any], Path, tuple[str, ...]], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One old program, as it is installed here."""

    name: str
    """A word for test names."""
    title: str
    version: str
    server: tuple[str, ...]
    """The command of the server, without its options."""
    local: tuple[str, ...]
    probe: tuple[str, ...]
    """A command whose output shows which version it is."""
    expect: str
    """What that output must match."""
    command: Command
    """Writes its configuration and returns the whole command."""
    methods: tuple[str, ...]
    """Those that both its roles were shown to run, by `tests/test_ancestors.py --whole`; none is only claimed."""
    udp: tuple[Role, ...] = ()
    """The roles that relay datagrams."""
    tools: tuple[str, ...] = ()
    """Programs of the system it runs by."""
    target: str = HOST
    """What a test on loopback should call its target."""
    flags: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)
    """Options that a test on loopback needs."""
    settings: Mapping[str, object] = field(default_factory=dict)
    remedy: str = "make ancestors"

    @property
    def roles(self) -> tuple[Role, ...]:
        return ("server", "local")

    def base(self, role: Role) -> tuple[str, ...]:
        return self.server if role == "server" else self.local


def _with_file(
    ancestor: Ancestor, role: Role, settings: dict[str, Any], folder: Path, arguments: tuple[str, ...]
) -> tuple[str, ...]:
    """`-c FILE`, which all but procurator have, and the same keys in it."""
    file = folder / f"{ancestor.name}-{role}-{settings['server_port']}-{settings['local_port']}.json"
    file.write_text(json.dumps(settings))
    return (*ancestor.base(role), "-c", str(file), *ancestor.flags.get(role, ()), *arguments)


def _with_ping(
    ancestor: Ancestor, role: Role, settings: dict[str, Any], folder: Path, arguments: tuple[str, ...]
) -> tuple[str, ...]:
    """The same, with a `ping` that is ours: it chooses its server by one, and ends where there is none.

    Ours answers once and waits for the end of its input, so it ends with the program that runs it.
    """
    ping = folder / "ping" / "ping"
    ping.parent.mkdir(exist_ok=True)
    if not ping.exists():
        ping.write_text('#!/bin/sh\necho "64 bytes from $1: icmp_seq=1 ttl=64 time=1 ms"\nexec cat >/dev/null\n')
        ping.chmod(0o755)
    path = f"PATH={ping.parent}:{os.environ.get('PATH', os.defpath)}"
    return ("/usr/bin/env", path, *_with_file(ancestor, role, settings, folder, arguments))


_PROCURATOR: Final[Mapping[Role, Mapping[str, str]]] = {
    "server": {"--remote-port": "server_port", "--password": "password"},
    "local": {
        "--remote-host": "server",
        "--remote-port": "server_port",
        "--local-port": "local_port",
        "--password": "password",
    },
}


def _with_options(
    ancestor: Ancestor, role: Role, settings: dict[str, Any], folder: Path, arguments: tuple[str, ...]
) -> tuple[str, ...]:
    """Options only: procurator reads no file."""
    del folder
    options = [word for option, key in _PROCURATOR[role].items() for word in (option, str(settings[key]))]
    return (*ancestor.base(role), *options, *arguments)


def _modes(cipher: str, sizes: tuple[int, ...], modes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{cipher}-{size}-{mode}" for mode in modes for size in sizes)


_AES_CFB: Final = _modes("aes", (128, 192, 256), ("cfb",))
_AES_CTR: Final = _modes("aes", (128, 192, 256), ("ctr",))
_CAMELLIA_CFB: Final = _modes("camellia", (128, 192, 256), ("cfb",))

# Each list holds what `pytest tests/test_ancestors.py --whole` saw relay with itself, both ways, on Debian 12 (OpenSSL
# 3.0, libsodium 1.0.18, Python 3.6, Node.js 20). What a program names but could not run stands beside it.
ANCESTORS: Final = {
    ancestor.name: ancestor
    for ancestor in (
        Ancestor(
            "python",
            "Python shadowsocks",
            "2.8.2",
            (str(CACHE / "python/bin/ssserver"),),
            (str(CACHE / "python/bin/sslocal"),),
            (str(CACHE / "python/bin/ssserver"), "--version"),
            r"Shadowsocks 2\.8\.2",
            _with_file,
            (
                *_modes("aes", (128, 192, 256), ("cfb", "cfb1", "cfb8", "ofb", "ctr")),
                *_CAMELLIA_CFB,
                *("bf-cfb", "cast5-cfb", "des-cfb", "rc2-cfb", "seed-cfb"),  # Debian's OpenSSL has no idea-cfb
                *("rc4", "rc4-md5", "salsa20", "chacha20", "table"),
            ),
            udp=("server", "local"),
            flags={"server": ("--forbidden-ip", "")},  # as a key of its file it is no text on Python 3
        ),
        Ancestor(
            "go-1.1.5",
            "shadowsocks-go",
            "1.1.5",
            (str(CACHE / "go-1.1.5/shadowsocks-server"),),
            (str(CACHE / "go-1.1.5/shadowsocks-local"),),
            (str(CACHE / "go-1.1.5/shadowsocks-server"), "-version"),
            r"shadowsocks-go version 1\.1\.5",
            _with_file,
            (*_AES_CFB, "des-cfb", "bf-cfb", "cast5-cfb", "rc4-md5", "chacha20", "salsa20"),
            flags={"local": ("-b", HOST)},
            remedy=f"no package registry was found to have it; put its programs into {CACHE / 'go-1.1.5'}",
        ),
        Ancestor(
            "go-1.2.2",
            "shadowsocks-go",
            "1.2.2",
            (str(CACHE / "go-1.2.2/shadowsocks-server"),),
            (str(CACHE / "go-1.2.2/shadowsocks-local"),),
            (str(CACHE / "go-1.2.2/shadowsocks-server"), "-version"),
            r"shadowsocks-go version 1\.2\.2",
            _with_file,
            (
                *_AES_CFB,
                *_AES_CTR,
                *("des-cfb", "bf-cfb", "cast5-cfb", "rc4-md5", "rc4-md5-6", "chacha20", "chacha20-ietf", "salsa20"),
            ),
            udp=("server",),
            flags={"local": ("-b", HOST), "server": ("-u",)},
            remedy=f"no package registry was found to have it; put its programs into {CACHE / 'go-1.2.2'}",
        ),
        Ancestor(
            "procurator",
            "procurator",
            "1.0.0",
            (str(CACHE / "procurator/procurator-server"),),
            (str(CACHE / "procurator/procurator-local"),),
            (str(CACHE / "procurator/procurator-local"), "--help"),
            r"Usage: procurator-local(?![^$]*--remote-udp-port)",  # which master has
            _with_options,
            ("aes-256-cfb",),
            # Its server takes an IPv4 header for a byte longer than it is, and drops the first byte that comes with it.
            target="localhost",
            remedy=f"no package registry was found to have it; put its programs into {CACHE / 'procurator'}",
        ),
        Ancestor(
            "lite",
            "shadowsocks-lite",
            "1.0.9",
            (str(CACHE / "lite/bin/sslserver"),),
            (str(CACHE / "lite/bin/ssllocal"),),
            ("/bin/cat", str(CACHE / "lite/package.json")),
            r'"version": "1\.0\.9"',
            _with_ping,
            ("aes-256-cfb",),
            udp=("server", "local"),
            tools=("node",),
            remedy="no package registry was found to have it; "
            f"put its folders bin and lib, and package.json, into {CACHE / 'lite'}",
        ),
        Ancestor(
            "node",
            "shadowsocks-nodejs",
            "1.5.3",
            (str(CACHE / "node/bin/ssserver"),),
            (str(CACHE / "node/bin/sslocal"),),
            ("/bin/cat", str(CACHE / "node/node_modules/shadowsocks/package.json")),
            r'"version": "1\.5\.3"',
            _with_file,
            (
                *_AES_CFB,
                *_CAMELLIA_CFB,
                *("bf-cfb", "cast5-cfb", "des-cfb", "idea-cfb", "rc2-cfb", "rc4", "rc4-md5", "seed-cfb", "table"),
            ),
            udp=("server", "local"),
            tools=("node",),
        ),
        Ancestor(
            "libev",
            "shadowsocks-libev",
            "3.3.5",
            ("/usr/bin/ss-server",),
            ("/usr/bin/ss-local",),
            ("/usr/bin/ss-server", "--version"),
            r"shadowsocks-libev 3\.3\.5\b",
            _with_file,
            (
                *_AES_CFB,
                *_AES_CTR,
                *_CAMELLIA_CFB,
                *("bf-cfb", "rc4-md5", "salsa20", "chacha20", "chacha20-ietf"),
            ),
            udp=("server", "local"),
            settings={"mode": "tcp_and_udp"},
            remedy="make peers",
        ),
    )
}


@functools.cache
def missing(name: str) -> str | None:
    """Return why an old program cannot be used here, in one sentence, or None."""
    ancestor = ANCESTORS[name]
    for command in (ancestor.server, ancestor.local):
        if not os.access(command[0], os.X_OK):
            return f"{ancestor.title} {ancestor.version} is not here: {ancestor.remedy}"
    try:
        shown = subprocess.run(ancestor.probe, capture_output=True, text=True, check=False, timeout=30)
    except OSError as error:
        return f"{ancestor.title} {ancestor.version} does not start: {error}"
    if not re.search(ancestor.expect, shown.stdout + shown.stderr):
        return f"{ancestor.title} at {ancestor.server[0]} is not version {ancestor.version}: {ancestor.remedy}"
    return None


def need(name: str) -> Ancestor:
    """Return the old program, or skip the test by name; with SHADESOCKS_REQUIRE_ANCESTORS=1 a missing one fails."""
    ancestor = ANCESTORS[name]
    if reason := missing(name):
        if os.environ.get("SHADESOCKS_REQUIRE_ANCESTORS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    for tool in ancestor.tools:
        need_tool(tool)
    return ancestor


def settings_for(ancestor: Ancestor, role: Role, method: str, server_port: int, local_port: int) -> dict[str, Any]:
    """The keys that all of them read alike; lite's server wants those of the client too."""
    return {
        "server": HOST,
        "server_port": server_port,
        "local_address": HOST,
        "local_port": local_port or server_port,
        "password": PASSWORD,
        "method": method,
        "timeout": TIMEOUT,
        **ancestor.settings,
    }


@contextlib.contextmanager
def run(
    name: str,
    role: Role,
    method: str,
    folder: Path,
    *,
    server_port: int = 0,
    port: int = 0,
    settings: Mapping[str, object] | None = None,
    arguments: tuple[str, ...] = (),
) -> Iterator[Program]:
    """Start an old program in a role on a free port of loopback, and end it with the block.

    `server_port` is where a local finds its server; `port` insists on a listening port; `settings` go into the
    configuration as they are (a None takes a key away), `arguments` to the end of the command.
    """
    ancestor = need(name)
    with contextlib.ExitStack() as stack:
        for attempt in range(START_TRIES):
            chosen = port or free_port()
            ports = (chosen, 0) if role == "server" else (server_port, chosen)
            given = settings_for(ancestor, role, method, *ports) | dict(settings or {})
            kept = {key: value for key, value in given.items() if value is not None}
            command = ancestor.command(ancestor, role, kept, folder, arguments)
            try:
                program = stack.enter_context(
                    start(command, chosen, folder, title=f"{name}-{role}-{method}", udp=role in ancestor.udp)
                )
                break
            except StartError as error:
                if attempt + 1 == START_TRIES or not re.search("(?i)in use|EADDRINUSE", str(error)):
                    raise
        yield program


@contextlib.contextmanager
def run_pair(name: str, method: str, folder: Path) -> Iterator[tuple[Program, Program]]:
    """Start a server and a local of one old program that talk to each other."""
    with (
        run(name, "server", method, folder) as far,
        run(name, "local", method, folder, server_port=far.port) as near,
    ):
        yield far, near
