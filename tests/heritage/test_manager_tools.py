"""Tools that people have: they go on with a manager of this program as with the one that they were written for.

shadowsocks-manager     the panel for Node.js: says all it has at its start, pings once a minute, knows by the answer
                        whom it talks to, and compares what it is told with what it was told before
nc -uU, socat, echo     a line, a LF at its end, an answer
a shell script          adds and pings over UDP, waits for nothing
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from shadesocks.config.model import Config, ServerConfig
from shadesocks.core.address import Address
from shadesocks.service.service import Service
from tests.cli.family.conftest import Start
from tests.peers import free_port
from tests.service.rig import HOST, echo, run, started, target, until

from .managing import managed, manager_of, tool_of, trip, unix_tool
from .managing import often as often
from .rig import AEAD, behind, received, udp_client
from .stream_craft import PASSWORD

pytestmark = pytest.mark.usefixtures("often")

OTHER = "another password, as long as it"


@dataclass
class Panel:
    """What shadowsocks-manager does, as far as a manager sees of it."""

    sock: socket.socket
    accounts: dict[int, str]
    kind: str = "libev"
    rows: list[dict[str, str]] = field(default_factory=list)
    before: dict[str, int] | None = None
    flow: dict[str, int] = field(default_factory=dict)
    """What it bills, by port."""
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)
        self.sock.send(text.encode())

    def add(self, port: int, password: str) -> None:
        self.say(f'add: {{"server_port": {port}, "password": "{password}"}}')

    def start_up(self) -> None:
        self.say("ping")
        for port, password in self.accounts.items():
            self.add(port, password)

    def each_minute(self) -> None:
        self.say("list")
        self.say("ping")

    def change(self, port: int, password: str) -> None:
        self.accounts[port] = password
        self.say(f'remove: {{"server_port": {port}}}')
        self.add(port, password)

    async def hear(self) -> str:
        text = (await received(self.sock)).decode()
        if text.startswith("pong"):
            self.kind = "python"
        elif text.startswith("[\n\t"):
            self.rows = json.loads(text)
        elif text.startswith("stat:"):
            self.bill(json.loads(text[5:]))
        return text

    def bill(self, told: dict[str, int]) -> None:
        new = told
        if self.kind != "python":
            known = self.before or {}
            new = {port: size - known.get(port, 0) for port, size in told.items()}
            if any(size < 0 for size in new.values()):
                new = told  # it thinks that the server was restarted
        self.before = told
        for port, size in new.items():
            self.flow[port] = self.flow.get(port, 0) + size

    async def hear_until(self, start: str) -> str:
        while not (text := await self.hear()).startswith(start):
            pass
        return text


def panel_of(service: Service, sock: socket.socket, accounts: dict[int, str]) -> Panel:
    assert isinstance(service.manager_address, Address)
    sock.connect((service.manager_address.host, service.manager_address.port))
    return Panel(sock, accounts)


@pytest.mark.parametrize("name", ["ss-manager", "ssserver", "ssmanager"])
def test_the_panel_for_nodejs(name: str, start: Start) -> None:
    """It was written for ss-manager and Python's program, and is used with shadowsocks-rust's."""

    async def story() -> None:
        config = config_of(start, name)
        async with target(echo) as to, started(Service.server(config)) as service:
            with udp_client() as sock:
                first, second = free_port(), free_port()
                panel = panel_of(service, sock, {first: PASSWORD, second: OTHER})
                panel.start_up()
                for _ in range(3):
                    await panel.hear()
                await until(lambda: len(service.servers) == 2)
                assert panel.kind == ("python" if name == "ssserver" else "libev")
                assert await trip(first, PASSWORD, to.pack())
                await settled(panel, service, first)
                panel.start_up()  # it was restarted, and says all it has again
                await until(lambda: len(service.servers) == 2)
                assert await trip(first, PASSWORD, to.pack())
                assert await trip(second, OTHER, to.pack())
                await settled(panel, service, first)
                await settled(panel, service, second)
                if name == "ss-manager":
                    panel.say("list")
                    await panel.hear_until("[")
                    rows = {int(row["server_port"]): (row["password"], row["method"]) for row in panel.rows}
                    assert rows == {first: (PASSWORD, AEAD), second: (OTHER, AEAD)}
                panel.change(second, PASSWORD)
                await until(lambda: any(server.password.reveal() == PASSWORD for server in ports(service, second)))
                assert await trip(second, PASSWORD, to.pack())
                panel.say(f'remove: {{"server_port": {first}}}')
                await until(lambda: not ports(service, first))

    def ports(service: Service, port: int) -> list[ServerConfig]:
        return [server for server in service.servers if server.address.port == port]

    async def settled(panel: Panel, service: Service, port: int) -> None:
        """Wait until the panel has billed what passed, to the byte."""
        await until(lambda: service.passed().get(port, 0) > 0)
        while panel.flow.get(str(port), 0) != service.passed()[port]:
            panel.each_minute()
            await panel.hear_until("stat:")

    run(story())


def config_of(start: Start, name: str) -> Config:
    if name == "ssserver":
        return manager_of(start)
    flag = "--manager-addr" if name == "ssmanager" else "--manager-address"
    config = behind(start, name, f"-m {AEAD} -s {HOST} {flag} {HOST}:{free_port()}")
    return replace(config, allow_private=True, forbidden_ip=())


@pytest.mark.parametrize("name", ["ss-manager", "ssserver"])
def test_a_line_by_netcat_to_a_unix_socket(name: str, start: Start, tmp_path: Path) -> None:
    """`nc -uU PATH` binds a name of its own, and sends lines with their LF."""
    place = str(tmp_path / "manager.sock")

    async def story() -> None:
        config = replace(behind(start, name, f"-m {AEAD} -s {HOST} --manager-address {place}"), allow_private=True)
        async with started(Service.server(config)) as service:
            with unix_tool(tmp_path / "nc.XXXXAB", place) as nc:
                port = free_port()
                nc.sock.send(f'add: {{"server_port": {port}, "password": "{PASSWORD}"}}\n'.encode())
                assert await nc.hear() == "ok"
                nc.sock.send(b"ping\n")
                assert await nc.hear() == ("pong" if name == "ssserver" else f'stat: {{"{port}":0}}')
                nc.sock.send(f'remove: {{"server_port": {port}}}\n'.encode())
                assert await nc.hear() == "ok"
                assert service.servers == ()

    run(story())


def test_a_script_that_waits_for_no_answer(start: Start) -> None:
    async def story() -> None:
        async with managed(manager_of(start)) as (service, _):
            wanted = {free_port() for _ in range(5)}
            for port in wanted:
                with tool_of(service) as once:
                    once.say("add", {"server_port": port, "password": PASSWORD})
            await until(lambda: {server.address.port for server in service.servers} == wanted)

    run(story())
