"""The Python original's end-to-end list, our program at both ends; see `rows.py` for the list."""

from __future__ import annotations

import json
import random
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.certificates import Authority
from tests.dns_server import How, Name, dns_server_thread
from tests.echo import hosts
from tests.interop.streams import LIMIT
from tests.peers import HOST, free_port, ports_of

from .rows import ROWS, Row, file_of, row_of
from .stage import (
    Ports,
    Web,
    command,
    environment,
    first_port,
    managing,
    ours,
    retried,
    see_name,
    see_no_name,
    see_no_page,
    see_page,
    told,
    until,
)

HERE: Final = [row for row in ROWS if row.test == "test_conformance" or not row.test]
FAST_OPEN: Final = Path("/proc/sys/net/ipv4/tcp_fastopen")
NETSTAT: Final = Path("/proc/net/netstat")
OPEN: Final = ("--forbidden-ip", "")
MANY: Final = 2_000


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in HERE])
def test_conformance(row: Row, tmp_path: Path, whole: bool) -> None:
    """A page by curl and a name by dig come through a server and a client; or do not, where the row says so."""
    if not whole and not row.sampled:
        pytest.skip("sampled; make conformance runs every row")
    if row.id == "ipv6" and len(hosts()) == 1:
        pytest.skip("not here: this machine has no IPv6")
    if row.refused:
        _refused(row, tmp_path)
        return
    tls = Authority().server(["localhost"]) if row.https else None
    with Web(tls=tls) as web:
        retried(lambda: come_through(row, web, tmp_path))


def come_through(row: Row, web: Web, folder: Path) -> None:
    ports = Ports()
    far_keys = ports.in_file(row.server) if row.server is not None else None
    near_keys = ports.in_file(row.local) if row.local is not None else far_keys
    with (
        ours("ssserver", folder, first_port(far_keys, ports), *ports.in_flags(row.server_flags), keys=far_keys) as far,
        ours("sslocal", folder, ports[1081], *ports.in_flags(row.local_flags), keys=near_keys) as near,
    ):
        for _ in range(row.rounds):
            if row.fails:
                see_no_page(near, web)
                see_no_name(near.address)
            else:
                see_page(near, web, *(["-k"] if row.https else []))
                see_name(near.address, far)


def _refused(row: Row, folder: Path) -> None:
    assert row.server is not None
    assert row.refused is not None
    words, code = row.refused
    for name, flags in (("ssserver", row.server_flags), ("sslocal", row.local_flags)):
        done = run_to_end(name, folder, *flags, keys=Ports().in_file(row.server))
        assert done.returncode == code, done.stderr
        assert words in done.stderr


def run_to_end(name: str, folder: Path, *words: str, keys: object = None) -> subprocess.CompletedProcess[str]:
    """Run one of our programs that is to end by itself."""
    file: tuple[str, ...] = ()
    if keys is not None:
        path = folder / f"{name}.json"
        path.write_text(json.dumps(keys))
        file = ("-c", str(path))
    return subprocess.run(
        (*command(name), *file, *words),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
        env=environment(folder),
    )


def test_server_dnsserver(tmp_path: Path) -> None:
    """A name that only the server's own name servers know, the first of which does not answer."""
    page = Name([HOST])

    def story() -> None:
        ports = Ports()
        keys = ports.in_file(file_of("aes"))
        with (
            dns_server_thread(hosts=[HOST]) as silent,
            dns_server_thread(hosts=[HOST]) as dns,
            Web() as web,
        ):
            silent.zone["page.test"] = Name(how=How.DROP)
            dns.zone["page.test"] = page
            listed = {"dns_server": [f"{HOST}:{server.port}" for server in (silent, dns)]}
            with (
                ours("ssserver", tmp_path, ports[8388], *OPEN, keys={**keys, **listed}) as far,
                ours("sslocal", tmp_path, ports[1081], keys={**keys, "server": [HOST, HOST]}) as near,
            ):
                see_page(near, web, host="page.test")
                assert dns.asked("page.test") >= 1
                see_name(near.address, far)

    retried(story)


def test_server_multi_passwd_empty(tmp_path: Path) -> None:
    """A server without a port of its own; the manager's commands open one and close it."""

    def story() -> None:
        ports = Ports()
        keys = ports.in_file(file_of("aes"))
        empty = {key: value for key, value in keys.items() if key not in ("server_port", "password")}
        with socket.socket(type=socket.SOCK_DGRAM) as tool, Web() as web:
            tool.bind((HOST, 0))
            tool.settimeout(LIMIT)
            at = (HOST, ports[6001])
            flags = (*OPEN, "--manager-address", f"{HOST}:{at[1]}")
            with managing(tmp_path, at[1], *flags, keys={**empty, "port_password": {}}) as far:
                assert not ports_of(far.pid, "tcp")
                added = {"server_port": ports[8388], "password": keys["password"]}
                assert told(tool, at, b"add: " + json.dumps(added).encode()) == b"ok"
                with ours("sslocal", tmp_path, ports[1081], keys=keys) as near:
                    see_page(near, web)
                    see_name(near.address, far)
                    assert told(tool, at, b"remove: " + json.dumps({"server_port": ports[8388]}).encode()) == b"ok"
                    see_no_page(near, web)

    retried(story)


def test_server_multi_passwd_performance(tmp_path: Path, whole: bool) -> None:
    """2,000 ports, which listen, and of which any serves; how fast they come is what `make bench` measures."""
    if not whole:
        pytest.skip("sampled; make conformance runs every row")

    def story() -> None:
        base = random.randrange(12_000, 28_000)  # noqa: S311 - below those that systems give away
        passwords = {str(port): f"password of port {port}" for port in range(base, base + MANY)}
        keys = {key: value for key, value in file_of("aes").items() if key not in ("server_port", "password")}
        with (
            Web() as web,
            ours("ssserver", tmp_path, base + MANY - 1, *OPEN, keys={**keys, "port_password": passwords}) as far,
        ):
            listening = set(map(int, passwords))
            until(lambda: listening <= ports_of(far.pid, "tcp") and listening <= ports_of(far.pid, "udp"), "all ports")
            for port in (base, base + MANY // 2, base + MANY - 1):
                local = free_port()
                one = {**keys, "server_port": str(port), "password": passwords[str(port)], "local_port": local}
                with ours("sslocal", tmp_path, local, keys=one) as near:
                    see_page(near, web)
                    see_name(near.address, far)

    retried(story)


def test_fastopen(tmp_path: Path) -> None:
    """Twice, since the second connection has the cookie of the first. Without Fast Open the pages come all the same."""
    row = replace(row_of("aes"), rounds=2, server=file_of("aes") | {"fast_open": True})
    before = fast_opens()
    with Web() as web:
        retried(lambda: come_through(row, web, tmp_path))
    allowed = int(FAST_OPEN.read_text()) if FAST_OPEN.exists() else 0
    if allowed & 3 != 3:
        pytest.skip(f"not here: net.ipv4.tcp_fastopen is {allowed}, and 3 opens both ends; the pages came without")
    assert fast_opens() > before


def fast_opens() -> int:
    """How many connections this system took by Fast Open."""
    lines = [line.split() for line in NETSTAT.read_text().splitlines() if line.startswith("TcpExt:")]
    return int(dict(zip(*lines, strict=True)).get("TCPFastOpenPassive", 0))
