"""Services with managers, behind old names, and the tools that talk to them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.service import manager_socket
from shadesocks.service.manager_socket import ManagerSocket
from shadesocks.service.service import Service
from tests.cli.family.conftest import Start
from tests.peers import free_port
from tests.probes.craft import Crafter
from tests.service.rig import HOST, started

from .rig import AEAD, behind, left, received, rest_of, udp_client
from .stream_craft import PASSWORD

SOON: Final = 0.05
"""Seconds between two reports here, where programs have ten."""


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let managers report often."""
    monkeypatch.setattr(manager_socket, "ManagerSocket", partial(ManagerSocket, interval=SOON))


def manager_of(start: Start, name: str = "ssserver", place: str = "") -> Config:
    """A server with a manager, and as little else as its program starts with."""
    place = place or f"{HOST}:{free_port()}"
    words = f"-m {AEAD} --manager-address {place}"
    if name == "shadowsocks-server":
        words += f" -p {free_port()} -k {PASSWORD}"
    return replace(behind(start, name, words), allow_private=True, forbidden_ip=())


class Asker:
    """Commands and answers of a manager, over one socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def say(self, command: str, value: object = None) -> None:
        """Send a command, with JSON behind its colon or without."""
        self.sock.send((command if value is None else f"{command}: {json.dumps(value)}").encode())

    async def ask(self, command: str, value: object = None) -> str:
        """Send a command and return the next message; statistics are passed over."""
        self.say(command, value)
        while (answer := await self.hear()).startswith("stat:"):
            pass
        return answer

    async def hear(self) -> str:
        """Return the next message."""
        return (await received(self.sock)).decode()

    async def stat(self) -> dict[str, int]:
        """Return the next statistics."""
        while not (message := await self.hear()).startswith("stat: "):
            pass
        found: dict[str, int] = json.loads(message.removeprefix("stat: "))
        return found


@contextmanager
def tool_of(service: Service) -> Iterator[Asker]:
    """A tool that talks to the UDP port of a service's manager."""
    assert isinstance(service.manager_address, Address)
    with udp_client() as sock:
        sock.connect((service.manager_address.host, service.manager_address.port))
        yield Asker(sock)


@contextmanager
def unix_tool(path: Path, manager: str) -> Iterator[Asker]:
    """A tool with a Unix socket of its own."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(str(path))
        sock.connect(manager)
        yield Asker(sock)


@asynccontextmanager
async def managed(config: Config) -> AsyncIterator[tuple[Service, Asker]]:
    """A started service, and a tool."""
    async with started(Service.server(config)) as service:
        with tool_of(service) as tool:
            yield service, tool


async def trip(port: int, password: str, to: bytes) -> bool:
    """Say whether the server on this port takes this password."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(Crafter(AEAD, password).good(to, b"x"))
    writer.write_eof()
    answer = await rest_of(reader)
    await left(writer)
    return bool(answer)
