"""What a plain start loads: the parts of its own end, the dialect of its file, and nothing that few have.

No time and no memory is measured here: modules are what both are made of (docs/adr/0021).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.peers import PASSWORDS, free_port

SERVER: Final = {"server": "127.0.0.1", "method": "aes-256-gcm", "password": "mVt5-kd93Qpz_0Lr2xWc"}

OURS_MOST: Final = 175
"""Modules of ours that a plain start may load. It was 217 once; each is some 40 KiB and 1 ms."""

NEITHER: Final = [
    "_hashlib",
    "_ssl",
    "blake3",
    "sqlite3",
    "prometheus_client",
    "sqlalchemy",
    "alembic",
    "psycopg",
    "ctypes",
    "decimal",
    "fractions",
    "statistics",
    "json",
    "lzma",
    "shutil",
    "tempfile",
    "http.client",
    "pickle",
    "xml",
    "pathlib",
    "shadesocks.config.save",
    "shadesocks.config.files",
    "shadesocks.config.link_list",
    "shadesocks.config.unread",
    "shadesocks.config.online",
    "shadesocks.config.manager",
    "shadesocks.config.users",
    "shadesocks.config.balance",
    "shadesocks.config.bounds",
    "shadesocks.config.dialects.python",
    "shadesocks.config.dialects.libev",
    "shadesocks.config.dialects.go",
    "shadesocks.config.dialects.lite",
    "shadesocks.config.dialects.node",
    "shadesocks.config.dialects.procurator",
    "shadesocks.config.dialects.outline",
    "shadesocks.config.dialects.sing_box",
    "shadesocks.config.dialects.sip008",
    "shadesocks.config.dialects.links",
    "shadesocks.config.dialects.draft",
    "shadesocks.cli.family.program",
    "shadesocks.cli.family.python",
    "shadesocks.cli.family.choose",
    "shadesocks.cli.family.run",
    "shadesocks.crypto.block",
    "shadesocks.crypto.stream",
    "shadesocks.crypto.stream_modes",
    "shadesocks.crypto.aead_old",
    "shadesocks.crypto.subkeys_2022",
    "shadesocks.crypto.replay_2022",
    "shadesocks.crypto.replay_stream",
    "shadesocks.wire.aead2022",
    "shadesocks.wire.packet_aead2022",
    "shadesocks.wire.packet_aead2022_users",
    "shadesocks.wire.plain",
    "shadesocks.wire.identity",
    "shadesocks.wire.relayed",
    "shadesocks.wire.manager",
    "shadesocks.wire.uri",
    "shadesocks.wire.sip008",
    "shadesocks.wire.control",
    "shadesocks.wire.packet_aead",
    "shadesocks.net.mmsg",
    "shadesocks.net.ares_lookup",
    "shadesocks.net.secure_lookup",
    "shadesocks.net.system_lookup",
    "shadesocks.proxy.acl",
    "shadesocks.proxy.acl_file",
    "shadesocks.proxy.acl_regex",
    "shadesocks.proxy.route",
    "shadesocks.proxy.outbound.chain",
    "shadesocks.proxy.outbound.pool",
    "shadesocks.proxy.outbound.plugged",
    "shadesocks.proxy.outbound.split",
    "shadesocks.proxy.outbound.guarded",
    "shadesocks.proxy.outbound.packets",
    "shadesocks.proxy.outbound.relayed",
    "shadesocks.proxy.users",
    "shadesocks.proxy.inbound.associations",
    "shadesocks.proxy.inbound.tunnel",
    "shadesocks.service.chains",
    "shadesocks.service.changes",
    "shadesocks.service.follow",
    "shadesocks.service.packets",
    "shadesocks.service.manager",
    "shadesocks.service.metrics",
    "shadesocks.service.store",
    "shadesocks.service.users",
    "shadesocks.service.sessions",
    "shadesocks.service.renew",
    "shadesocks.service.reloaded",
    "shadesocks.service.control.commands",
    "shadesocks.service.control.live",
    "shadesocks.service.siblings",
    "shadesocks.service.plugins.plugin",
    "shadesocks.service.subscriptions.online",
    "shadesocks.service.roles.server_packets",
    "shadesocks.service.roles.server_relayed",
    "shadesocks.service.roles.socks_packets",
    "shadesocks.service.roles.tunnel_port",
    "shadesocks.process.daemon",
    "shadesocks.process.supervisor",
    "shadesocks.process.worker",
    "shadesocks.process.passed",
    "shadesocks.process.watch",
]
NOT_A_SERVER: Final = [
    "random",
    "secrets",
    "shadesocks.net.packets",
    "shadesocks.net.backs",
    "shadesocks.proxy.balance",
    "shadesocks.proxy.balance.group",
    "shadesocks.proxy.balance.prober",
    "shadesocks.proxy.inbound.socks5",
    "shadesocks.proxy.outbound.shadowsocks",
    "shadesocks.wire.socks5",
    "shadesocks.config.listeners",
    "shadesocks.service.roster",
    "shadesocks.service.roles.client",
    "shadesocks.service.roles.client_ways",
    "shadesocks.service.roles.local_port",
    "shadesocks.service.roles.socks_port",
]
NOT_A_CLIENT: Final = [
    "shadesocks.crypto.replay_aead",
    "shadesocks.crypto.replay_file",
    "shadesocks.proxy.inbound.shadowsocks",
    "shadesocks.proxy.outbound.direct",
    "shadesocks.proxy.silent",
    "shadesocks.service.roles.server",
    "shadesocks.service.roles.server_port",
]

LISTENS: Final = "listening on 127.0.0.1:"
PROGRAM: Final = """
import atexit, sys
from shadesocks.cli import main
atexit.register(lambda: print(*sys.modules))
sys.argv[0] = "shadesocks"
main()
"""
"""The program; at its end it says what it has loaded."""


def loaded(role: str, folder: Path, **keys: object) -> frozenset[str]:
    """Return the modules that the program loads in a fresh interpreter, from its start to its end."""
    file = folder / "config.json"
    file.write_text(json.dumps({**SERVER, "server_port": free_port(), **keys}))
    environ = {**os.environ, "STATE_DIRECTORY": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, role, "-c", str(file)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            if LISTENS in line:
                process.terminate()
        modules = process.stdout.read().split()
    assert process.returncode == 0, "".join(said)
    return frozenset(modules)


@pytest.mark.parametrize(
    ("role", "others"), [("server", NOT_A_SERVER), ("local", NOT_A_CLIENT)], ids=["server", "client"]
)
def test_a_plain_start_loads_its_own_parts_alone(role: str, others: list[str], tmp_path: Path) -> None:
    modules = loaded(role, tmp_path, **({} if role == "server" else {"local_port": free_port()}))
    assert modules.isdisjoint(NEITHER), sorted(modules.intersection(NEITHER))
    assert modules.isdisjoint(others), sorted(modules.intersection(others))
    ours = [name for name in modules if name.startswith("shadesocks.")]
    assert f"shadesocks.service.roles.{'server' if role == 'server' else 'client'}" in ours
    assert len(ours) <= OURS_MOST


@pytest.mark.parametrize("role", ["server", "local"])
@pytest.mark.parametrize("method", ["aes-256-cfb", "2022-blake3-aes-256-gcm"])
def test_no_method_loads_a_second_openssl(method: str, role: str, tmp_path: Path) -> None:
    password = SERVER["password"] if method == "aes-256-cfb" else PASSWORDS[method]
    there = {} if role == "server" else {"local_port": free_port()}
    modules = loaded(role, tmp_path, method=method, password=password, allow_legacy=True, **there)
    assert modules.isdisjoint(("_hashlib", "_ssl"))


def test_what_is_asked_for_is_loaded(tmp_path: Path) -> None:
    modules = loaded("server", tmp_path, mode="tcp_and_udp", method="chacha20-ietf-poly1305", forbidden_ip=["::1"])
    assert modules >= {"shadesocks.service.roles.server_packets", "shadesocks.net.packets", "shadesocks.config.bounds"}


def test_users_are_loaded_where_some_share_a_port(tmp_path: Path) -> None:
    keys = [base64.b64encode(letter * 16).decode() for letter in (b"a", b"b")]
    users = [{"name": "anna", "password": keys[1]}]
    modules = loaded("server", tmp_path, method="2022-blake3-aes-128-gcm", password=keys[0], users=users)
    assert modules >= {"shadesocks.proxy.users.table", "shadesocks.wire.identity", "shadesocks.config.users"}
    assert modules.isdisjoint({"sqlite3", "shadesocks.service.store", "shadesocks.service.roles.server_relayed"})


def test_every_module_that_is_not_to_be_loaded_is_one() -> None:
    """A module that was renamed would never be found again."""
    names = [name for name in (*NEITHER, *NOT_A_SERVER, *NOT_A_CLIENT) if name.startswith("shadesocks.")]
    root = Path(__file__).parent.parent / "src"
    missing = [
        name
        for name in names
        if not any(root.joinpath(*name.split(".")).with_suffix(end).exists() for end in (".py", ""))
    ]
    assert not missing
