"""Who stands around our server and our client in the UDP probes: crafted clients, a crafted server, and the wire.

Called by the UDP probe tests. That nothing happened is never waited for: something that must happen is asked for
afterwards, and it comes alone.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pytest

from tests.echo import HOST, UdpTarget
from tests.interop.streams import LIMIT, pack_address
from tests.peers import PASSWORDS, Program, run
from tests.socks_udp import Address, udp_socket

from .craft_udp import REPLY, REQUEST, Opened, UdpCrafter, new_session

MODE: Final = {"mode": "tcp_and_udp"}


@dataclass(frozen=True, slots=True)
class Post:
    """One program of ours, and what is needed to speak its language."""

    method: str
    program: Program
    crafter: UdpCrafter


@contextlib.contextmanager
def serve(method: str, folder: Path, *, port: int = 0, **settings: object) -> Iterator[Post]:
    """Run our server with UDP."""
    with run("ours", "server", method, folder, port=port, settings={**MODE, **settings}) as program:
        yield Post(method, program, UdpCrafter(method, PASSWORDS[method]))


@pytest.fixture(scope="module")
def udp_post(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """Our server with the method that is asked for, one for all tests of a module."""
    with serve(request.param, tmp_path_factory.mktemp("udp")) as post:
        yield post
        assert post.program.alive


def quiet(sock: socket.socket) -> bool:
    """True when nothing lies in the socket."""
    return not select.select([sock], [], [], 0)[0]


def eventually(holds: Callable[[], bool], limit: float = LIMIT) -> None:
    """Wait for what another process does without telling, such as closing a descriptor."""
    give_up_at = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.0005)


class Client:
    """A client by hand: one socket, one session, and it may say anything."""

    def __init__(self, post: Post, *, host: str = HOST, session: bytes = b"", first_id: int = 0) -> None:
        self._post = post
        self.crafter = post.crafter
        self.sock = udp_socket(host)
        self.sock.settimeout(LIMIT)
        self.session = session or new_session()
        self.next_id = first_id

    def make(self, target: Address, payload: bytes, *, shift: int = 0, padding: bytes = b"") -> bytes:
        """The next datagram of the session, not yet sent."""
        number = self.next_id
        self.next_id += 1
        return self.crafter.request(pack_address(*target), payload, self.session, number, shift=shift, padding=padding)

    def say(self, datagram: bytes) -> None:
        self.sock.sendto(datagram, self._post.program.address)

    def send(self, target: Address, payload: bytes, *, shift: int = 0, padding: bytes = b"") -> bytes:
        """Make and say the next datagram; returns it."""
        datagram = self.make(target, payload, shift=shift, padding=padding)
        self.say(datagram)
        return datagram

    def take(self) -> bytes:
        """The next datagram of the server, as it is on the wire."""
        datagram, sender = self.sock.recvfrom(1 << 16)
        assert sender == self._post.program.address, f"an answer from {sender}"
        return datagram

    def hear(self) -> Opened:
        """What the server says next; it must be a reply to this session, of now."""
        said = self.crafter.open(self.take(), REPLY)
        if self.crafter.is_2022:
            assert said.kind == REPLY
            assert said.client_session == self.session
            assert said.session != self.session
            assert abs(said.stamp - time.time()) < 30
        return said

    def ask(self, target: Address, payload: bytes) -> Opened:
        self.send(target, payload)
        return self.hear()

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def came(client: Client, target: UdpTarget) -> list[bytes]:
    """What reached the echo before now, besides what is asked here; the client hears nothing but its own echoes.

    Asked twice: the first answer shows that all before it was read, the second that what came of it was sent.
    """
    found = []
    for _ in range(2):
        marker = b"marker " + os.urandom(8)
        assert client.ask(target.address, marker).payload == marker
        found += [data for data, _ in target.until(marker)]
    return found


class FakeServer:
    """A server by hand: it hears what a client sends, and may answer anything."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.crafter = UdpCrafter(method, PASSWORDS[method])
        self.sock = udp_socket(HOST)
        self.sock.settimeout(LIMIT)
        self.address: Address = self.sock.getsockname()
        self.session = new_session()
        self.next_id = 0

    @contextlib.contextmanager
    def local(self, folder: Path, **settings: object) -> Iterator[Program]:
        """Run our client, with this as its server."""
        settings = {**MODE, **settings}
        with run("ours", "local", self.method, folder, server_port=self.address[1], settings=settings) as program:
            yield program
            assert program.alive

    def hear(self) -> tuple[Opened, Address]:
        """What a client says next, and the socket it says it from."""
        datagram, sender = self.sock.recvfrom(1 << 16)
        said = self.crafter.open(datagram, REQUEST)
        assert said.kind == REQUEST
        return said, sender

    def make(self, source: Address, payload: bytes, to: bytes, *, shift: int = 0) -> bytes:
        """The next datagram of the server's session to a client's; not yet sent."""
        number = self.next_id
        self.next_id += 1
        return self.crafter.reply(pack_address(*source), payload, self.session, number, to, shift=shift)

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def queue_of(program: Program, port: int = 0) -> tuple[int, int]:
    """Bytes that wait in the program's UDP socket, and the datagrams the kernel dropped there because it was full.

    A line may be missing from one reading of the table while others come and go; not from many.
    """
    wanted = f":{port or program.port:04X}"
    for _ in range(100):
        for line in Path(f"/proc/{program.pid}/net/udp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(wanted):
                return int(fields[4].partition(":")[2], 16), int(fields[12])
    raise AssertionError(f"no UDP socket on port {port or program.port}")
