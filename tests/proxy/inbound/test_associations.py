"""UDP ASSOCIATE: who may send, what is answered, and what ends with what."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import LimitError
from shadesocks.net.datagrams import DatagramOptions, bind_socket
from shadesocks.net.packets import PacketRelay
from shadesocks.net.pipe import Scratch
from shadesocks.proxy.inbound.associations import AssociatedHost, Associations
from tests.net.packet_rig import AEAD, HOST, heard, nothing
from tests.net.packet_rig import Rig as PacketRig
from tests.net.packet_rig import run as run_rig

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

ANYWHERE = Address("0.0.0.0", 0)


class Port:
    """A SOCKS port whose server is real, and the programs that use it."""

    def __init__(self, rig: PacketRig, *, required: bool = True, own: bool = False, bind: str = HOST, **more: Any):
        self.rig = rig
        packets = rig.packets(AEAD)
        self.far = rig.relay(packets)
        back = rig.way_through(self.far, packets)
        self.relays: list[PacketRelay] = []

        def make(sock: Any, host: AssociatedHost) -> PacketRelay:
            relay = PacketRelay(rig.reactor, rig.datagrams, sock, host, back, rig.crowd, rig, lambda: rig.unix, 300.0)
            self.relays.append(relay)
            return relay

        answer = more.get("answer")
        self.associations = Associations(
            rig.reactor, Scratch(), rig.datagrams.name_of, make, required=required, answer=answer
        )
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        if own:
            self.associations.bind = lambda: bind_socket((bind, 0), family, DatagramOptions())
        else:
            self.associations.share(bind_socket((bind, 0), family, DatagramOptions()))
        self._listener = socket.create_server((HOST, 0))
        self.programs: list[Program] = []

    def associate(self, target: Address = ANYWHERE, ip: str = HOST) -> Program:
        control = socket.socket()
        control.bind((ip, 0))
        control.connect(self._listener.getsockname())
        accepted, client = self._listener.accept()
        accepted.setblocking(False)
        try:
            program = Program(self.rig, control, self.associations.open(accepted, client, target), ip)
        except LimitError:
            accepted.close()
            control.close()
            raise
        self.programs.append(program)
        return program

    def close(self) -> None:
        self.associations.close()
        self.rig.reactor.settle()
        self._listener.close()
        for program in self.programs:
            program.control.close()


class Program:
    """A program with an association: its connection, its socket for datagrams."""

    def __init__(self, rig: PacketRig, control: socket.socket, relay: Address, ip: str) -> None:
        self.rig, self.control, self.relay = rig, control, relay
        self.sock = rig.socket(ip)

    async def say(self, target: socket.socket, payload: bytes, head: bytes = b"\0\0\0") -> None:
        packet = head + Address(*target.getsockname()).pack() + payload
        self.sock.sendto(packet, (self.relay.host, self.relay.port))
        await self.rig.settle()

    async def hear(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, 70_000)

    async def leave(self) -> None:
        self.control.close()
        await self.rig.settle()


def run(story: Callable[[Port], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def with_port(rig: PacketRig) -> None:
        port = Port(rig, **settings)
        try:
            await story(port)
        finally:
            port.close()

    run_rig(with_port)


@pytest.mark.parametrize("own", [False, True])
def test_there_and_back(own: bool) -> None:
    async def story(port: Port) -> None:
        program, target = port.associate(), port.rig.socket()
        for payload in (b"one", b"", os.urandom(1400)):
            await program.say(target, payload)
            got, outlet = await heard(target)
            assert got == payload
            target.sendto(payload[::-1], outlet)
            assert await program.hear() == b"\0\0\0" + Address(*target.getsockname()).pack() + payload[::-1]

    run(story, own=own)


def test_without_an_association_nobody_is_heard() -> None:
    async def story(port: Port) -> None:
        target, other = port.rig.socket(), port.associate(ip="127.0.0.2")
        stranger = Program(port.rig, socket.socket(), other.relay, HOST)
        port.programs.append(stranger)
        await stranger.say(target, b"x")
        assert nothing(target)
        assert port.relays[0].dropped == {"no_association": 1}
        await other.say(target, b"y")
        assert (await heard(target))[0] == b"y"

    run(story)


def test_where_none_is_required_everybody_is_heard() -> None:
    async def story(port: Port) -> None:
        target = port.rig.socket()
        name = port.relays[0].front.sock.getsockname()
        stranger = Program(port.rig, socket.socket(), Address(*name), HOST)
        port.programs.append(stranger)
        await stranger.say(target, b"x")
        assert (await heard(target))[0] == b"x"

    run(story, required=False)


@pytest.mark.parametrize("own", [False, True])
def test_it_ends_with_its_connection(own: bool) -> None:
    async def story(port: Port) -> None:
        program, target = port.associate(), port.rig.socket()
        await program.say(target, b"x")
        await heard(target)
        await program.leave()
        assert [word for word, *_ in port.rig.ended] == ["done"]
        before = descriptors()
        await program.say(target, b"too late")
        assert nothing(target)
        assert descriptors() == before

    run(story, own=own)


def test_a_reset_is_an_end_too() -> None:
    async def story(port: Port) -> None:
        program, target = port.associate(), port.rig.socket()
        await program.say(target, b"x")
        program.control.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await program.leave()
        assert not port.associations.live
        assert not port.relays[0].sessions

    run(story)


def test_what_is_said_on_the_connection_is_ignored() -> None:
    async def story(port: Port) -> None:
        program, target = port.associate(), port.rig.socket()
        program.control.sendall(os.urandom(20_000))
        await port.rig.settle()
        await program.say(target, b"x")
        assert (await heard(target))[0] == b"x"

    run(story)


def test_the_last_of_a_host_takes_all_its_sessions_with_it() -> None:
    async def story(port: Port) -> None:
        one, two, other = port.associate(), port.associate(), port.associate(ip="127.0.0.2")
        target = port.rig.socket()
        for program in (one, two, other):
            await program.say(target, b"x")
        await one.leave()
        assert len(port.relays[0].sessions) == 3  # whose is whose nobody said
        await two.leave()
        assert len(port.relays[0].sessions) == 1

    run(story)


def test_one_that_named_its_port_takes_only_its_own_session() -> None:
    async def story(port: Port) -> None:
        named, other, target = port.associate(), port.associate(), port.rig.socket()
        third = port.associate(Address(HOST, named.sock.getsockname()[1]))
        for program in (named, other):
            await program.say(target, b"x")
        await third.leave()
        names = [port.rig.datagrams.name_of(source)[1] for source in port.relays[0].sessions]
        assert names == [other.sock.getsockname()[1]]

    run(story)


def test_sockets_of_their_own_end_exactly() -> None:
    async def story(port: Port) -> None:
        one, two, target = port.associate(), port.associate(), port.rig.socket()
        assert one.relay != two.relay
        for program in (one, two):
            await program.say(target, b"x")
        await one.leave()
        assert [word for word, *_ in port.rig.ended] == ["done"]
        await two.say(target, b"still here")
        assert len(port.rig.crowd.relays) == 2  # the server's, and that of the second

    run(story, own=True)


@pytest.mark.parametrize("head", [b"\0\0\1", b"\0\0\x80"])
def test_fragments_are_dropped(head: bytes) -> None:
    async def story(port: Port) -> None:
        program, target = port.associate(), port.rig.socket()
        await program.say(target, b"a fragment", head)
        await program.say(target, b"whole", b"\1\1\0")  # what is reserved is not looked at
        assert (await heard(target))[0] == b"whole"
        assert port.relays[0].dropped == {"fragment": 1}

    run(story)


@pytest.mark.parametrize(
    ("bind", "answer", "host", "port_of"),
    [
        (HOST, None, HOST, None),
        ("0.0.0.0", None, HOST, None),
        ("::", None, HOST, None),
        ("0.0.0.0", Address("proxy.test", 0), "proxy.test", None),
        (HOST, Address("192.0.2.1", 1080), "192.0.2.1", 1080),
    ],
)
def test_what_is_answered_can_be_reached(bind: str, answer: Address | None, host: str, port_of: int | None) -> None:
    async def story(port: Port) -> None:
        relay = port.associate().relay
        assert relay == Address(host, port_of or port.relays[0].front.sock.getsockname()[1])

    run(story, bind=bind, answer=answer)


def test_without_a_socket_there_is_no_association() -> None:
    async def story(port: Port) -> None:
        def none() -> Any:
            raise OSError(24, "Too many open files")

        port.associations.bind = none
        with pytest.raises(LimitError, match="Too many open files"):
            port.associate()
        assert not port.associations.live

    run(story, own=True)


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))
