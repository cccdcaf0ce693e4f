"""Our units under a systemd: `shadesocks service`, and all that the units promise.

They are judged on a machine of their own (`machine.py`), which only root can boot. `--whole` runs them.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.peers import HOST, PASSWORDS, ROOT, free_port, reserved_port

from .crowd import Echo, echo, eventually, visit
from .herd import METHOD, PacketEcho, Packets, Stream, Visitors, trip
from .machine import HOME, PROGRAM, Machine, NoMachineError, machine

UNIT: Final = "shadesocks-server.service"
SOCKET: Final = "shadesocks-server.socket"
CONFIG: Final = "/etc/shadesocks/config.json"
DROP_INS: Final = f"/etc/systemd/system/{UNIT}.d"
RESTARTS: Final = 5


@pytest.fixture(scope="module")
def booted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if not request.config.getoption("--whole", default=False):
        pytest.skip("it boots a systemd: --whole does")
    with contextlib.ExitStack() as stack:
        try:
            there = stack.enter_context(machine(tmp_path_factory.mktemp("machine")))
        except NoMachineError as reason:
            pytest.skip(str(reason))
        yield there


@pytest.fixture
def there(booted: Machine) -> Iterator[Machine]:
    """The machine, without a service of ours."""
    yield booted
    if booted.path(f"/etc/systemd/system/{UNIT}").exists():
        booted.shadesocks("remove")
    booted.run("rm", "-rf", "/etc/shadesocks", DROP_INS)


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as echoing:
        yield echoing


def config(there: Machine, port: int, path: str = CONFIG, *, as_user: bool = False, **settings: Any) -> None:
    keys = {"server": HOST, "server_port": port, "method": METHOD, "password": PASSWORDS[METHOD]}
    keys |= {"allow_private": True, "mode": "tcp_and_udp", **settings}
    there.write(path, json.dumps(keys), mode=0o600, as_user=as_user)


def drop_in(there: Machine, *lines: str, unit: str = UNIT) -> None:
    """Change a unit as `systemctl edit` does."""
    there.write(f"/etc/systemd/system/{unit}.d/test.conf", "\n".join(("[Service]", *lines, "")))
    there.systemctl("daemon-reload")


def runs(there: Machine, unit: str = UNIT) -> bool:
    return there.show(unit, "SubState") == "running"


def main_process(there: Machine, unit: str = UNIT) -> Path:
    """Return what the machine's /proc has of a service."""
    return there.path(f"/proc/{there.show(unit, 'MainPID')}")


def test_a_system_service_serves_as_nobody_and_is_told_of(there: Machine, target: Echo) -> None:
    port = reserved_port()
    config(there, port)
    done = there.shadesocks("install")
    assert f"serves {CONFIG}; its log: journalctl -u shadesocks-server" in done.stdout
    with PacketEcho() as packets, Packets(port, packets.port) as client:
        assert trip(port, target.port)
        assert client.trip(b"datagram")
    assert there.show(UNIT, "StatusText") == f"listening on {HOST}:{port}"
    assert there.show(UNIT, "WatchdogUSec") == "30s"
    fields = dict(line.split(":\t", 1) for line in (main_process(there) / "status").read_text().splitlines())
    assert "0" not in fields["Uid"].split()
    assert fields["CapEff"] == fields["CapBnd"] == f"{1 << 10:016x}", "CAP_NET_BIND_SERVICE alone"
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    assert f"listening on {HOST}:{port}" in there.shadesocks("status").stdout
    there.systemctl("stop", UNIT)
    assert there.show(UNIT, "Result") == "success"
    assert there.path("/var/lib/private/shadesocks-server/aead.salts").stat().st_size, "it remembers"
    assert there.shadesocks("status", check=False).returncode == 3
    assert "kept: /var/lib/shadesocks-server" in there.shadesocks("remove").stdout
    assert there.shadesocks("status", check=False).returncode == 4


def test_a_reload_that_can_change_nothing_fails(there: Machine, target: Echo) -> None:
    """systemd hands the config over again from version 260 on."""
    port = free_port()
    config(there, port)
    there.shadesocks("install")
    process = there.show(UNIT, "MainPID")
    there.systemctl("reload", UNIT)
    eventually(lambda: "the config was read again" in there.log("-u", UNIT), "it reads its config")
    eventually(lambda: runs(there), "it is ready again")
    config(there, other := free_port())
    version = int(there.systemctl("--version").stdout.split()[1])
    if there.systemctl("reload", UNIT, check=False).returncode:
        assert version < 260
        assert f"{CONFIG} has changed: systemctl restart {UNIT}" in there.log("-u", UNIT)
        assert trip(port, target.port), "all goes on"
        assert there.show(UNIT, "MainPID") == process
        there.systemctl("restart", UNIT)
    eventually(lambda: f"listening on {HOST}:{other}" in there.log("-u", UNIT), "it has the new config")
    assert trip(other, target.port)


def test_one_that_dies_or_hangs_is_replaced(there: Machine, target: Echo) -> None:
    port = free_port()
    config(there, port, workers=2)
    there.shadesocks("install")
    drop_in(there, "WatchdogSec=2")
    there.systemctl("restart", UNIT)
    for count, signal in enumerate(("KILL", "STOP"), 1):
        there.systemctl("kill", f"--signal={signal}", "--kill-whom=main", UNIT)
        eventually(lambda least=count: int(there.show(UNIT, "NRestarts")) >= least, "it is replaced")  # type: ignore[misc]
        eventually(lambda: runs(there), "another one serves")
        assert trip(port, target.port)
        assert there.show(UNIT, "NRestarts") == str(count)


def test_a_stop_waits_for_the_last_connection_longer_than_the_unit_does(there: Machine, target: Echo) -> None:
    port = free_port()
    config(there, port, drain_timeout=20)
    there.shadesocks("install")
    drop_in(there, "TimeoutStopSec=1")
    there.systemctl("restart", UNIT)
    with Stream(port, target.port) as stream:
        assert stream.answered()
        there.systemctl("stop", "--no-block", UNIT)
        eventually(lambda: there.show(UNIT, "StatusText") == "stopping, within 20 s", "it stops")
        time.sleep(2)  # beyond the time-out
        assert stream.lives()
        assert there.show(UNIT, "SubState") == "stop-sigterm"
    eventually(lambda: there.show(UNIT, "SubState") == "dead", "it ends with its last connection")
    assert there.show(UNIT, "Result") == "success"


def test_what_cannot_start_is_told_and_tried_again_unless_its_config_is_wrong(there: Machine, target: Echo) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        config(there, port)
        for words in ((), ("--socket",)):
            done = there.shadesocks("install", *words, check=False)
            assert done.returncode == 70
            assert f"shadesocks-server.{'socket' if words else 'service'} does not start; it says:\n" in done.stderr
            assert "Address already in use" in done.stderr
        assert there.shadesocks("install", check=False).returncode == 70
    eventually(lambda: runs(there), "it starts once the port is free")
    assert trip(port, target.port)
    there.write(CONFIG, "{}")
    assert there.systemctl("restart", UNIT, check=False).returncode
    assert there.show(UNIT, "SubState") == "failed"
    assert there.show(UNIT, "ExecMainStatus") == "78"
    there.shadesocks("remove")
    assert "shadesocks" not in there.systemctl("list-units", "--all", "--state=failed").stdout


def test_nobody_is_refused_while_a_service_with_a_socket_restarts(there: Machine, target: Echo) -> None:
    port = free_port()
    config(there, port)
    there.shadesocks("install", "--socket")
    with PacketEcho() as packets, Packets(port, packets.port) as client:
        with Visitors(port, target.port) as visitors:
            for _ in range(RESTARTS):
                served = visitors.served
                there.systemctl("restart", UNIT)
                eventually(lambda before=served: visitors.served > before, "the new one serves")  # type: ignore[misc]
        assert not visitors.lost, f"{len(visitors.lost)} of {visitors.served}"
        assert client.trip(b"datagram")
        there.systemctl("stop", UNIT)
        assert trip(port, target.port), "a connection starts it"
        assert client.trip(b"datagram")
        there.systemctl("stop", UNIT)
        assert client.trip(b"datagram"), "and so does a datagram"
    there.shadesocks("install")
    assert trip(port, target.port), "by itself, without the socket"
    assert there.systemctl("is-active", SOCKET, check=False).returncode


def test_a_user_s_service_reads_its_config_again(there: Machine, target: Echo) -> None:
    path = f"{HOME}/.config/shadesocks/office.json"
    unit = "shadesocks-server-office.service"
    config(there, port := free_port(), path, as_user=True)
    there.shadesocks("install", "office", as_user=True)
    assert trip(port, target.port)
    process = there.show(unit, "MainPID", as_user=True)
    config(there, other := free_port(), path, as_user=True)
    there.systemctl("reload", unit, as_user=True)
    eventually(lambda: there.show(unit, "StatusText", as_user=True) == f"listening on {HOST}:{other}", "it has it")
    assert trip(other, target.port)
    assert there.show(unit, "MainPID", as_user=True) == process
    near = {"server": HOST, "server_port": other, "method": METHOD, "password": PASSWORDS[METHOD]}
    near |= {"local_address": HOST, "local_port": (entry := free_port())}
    there.write(f"{HOME}/near.json", json.dumps(near), as_user=True)
    there.shadesocks("install", "--local", "--socket", "-c", f"{HOME}/near.json", as_user=True)
    visit((HOST, entry), target.port, 3)
    there.systemctl("restart", "shadesocks-local.service", as_user=True)
    visit((HOST, entry), target.port, 3)
    there.shadesocks("remove", "--local", as_user=True)
    assert "removed: " in there.shadesocks("remove", "office", as_user=True).stdout


def test_the_units_of_packages_start(there: Machine, target: Echo) -> None:
    template, ports = "shadesocks-server@", [free_port(), free_port()]
    for path in (ROOT / "packaging" / "systemd").glob("*.*"):
        text = path.read_text().replace("8388", str(ports[1])).replace("1080", str(free_port()))
        there.write(f"/etc/systemd/system/{path.name}", text)
    there.run("ln", "-sf", str(PROGRAM), "/usr/bin/shadesocks")
    for unit in ("shadesocks.service", f"{template}.service"):
        drop_in(there, "ProtectHome=read-only", unit=unit)  # where a tree of sources may lie
    config(there, ports[0])
    config(there, ports[1], "/etc/shadesocks/far.json", server="::")  # as its socket listens
    units = ("shadesocks.service", f"{template}far.socket", f"{template}far.service")
    there.systemctl("start", *units)
    assert all(trip(port, target.port) for port in ports)
    there.systemctl("reload", units[0], units[2])
    there.systemctl("stop", *units)
