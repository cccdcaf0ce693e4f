"""No forbidden target is dialled: by any spelling, through any door, and whatever name leads there.

Each spelling of `spellings.py` goes to a server over TCP and over UDP, and through a client in front of one. It must be
refused, and nothing may be dialled: an audit hook sees every connect and send of this process, no session may have a
socket towards targets, and a trap listens on every address of this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.net.loop import run as run_plane
from shadesocks.service.service import Service
from tests.dns_server import DnsServer, How, Name, dns_server_thread
from tests.probes.craft import Crafter
from tests.probes.craft_udp import UdpCrafter
from tests.service.rig import HOST, server_config, until

from .spellings import HOSTS, LOST, TABLE, Spelling, zone
from .trap import Trap, Watch, has_ipv6, local_addresses, trap, watching

LIMIT: Final = 60.0
"""Seconds after which a test that waits has failed."""
AEAD, SIP022 = "aes-128-gcm", "2022-blake3-aes-128-gcm"
SAMPLE: Final = 5
"""Of the table, every so many through the doors that are only other ways to the same judge."""
PUBLIC: Final = "8.8.4.4"
"""An address that may be dialled, if the watch let it."""


class Field:
    """A name server with forbidden answers, a hosts file, a trap, and a watch over all of it."""

    def __init__(self, dns: DnsServer, there: Trap, watch: Watch, state: Path) -> None:
        self.dns, self.trap, self.watch = dns, there, watch
        self._state = str(state)
        self._session = os.urandom(8)
        self._packets = 0

    def config(self, **options: Any) -> Config:
        """Names are asked of the name server here, and a failed handshake ends at once."""
        asked = NameServer(Transport.UDP, self.dns.host, self.dns.port)
        return Config(dns=(asked,), bad_handshake="fin", state_dir=self._state, **options)

    @asynccontextmanager
    async def up(self, service: Service) -> AsyncIterator[Service]:
        """Start a service, which binds; and stop it whatever happens."""
        with self.watch.mine():
            await service.start()
        try:
            yield service
        finally:
            await service.stop()

    def server(self, method: str = AEAD, host: str = HOST, **options: Any) -> Service:
        server = replace(server_config(method), address=Address(host, 0), mode=Mode.TCP_AND_UDP)
        return Service.server(self.config(servers=(server,), **options))

    @asynccontextmanager
    async def pair(self, *, acl: str | None = None, **options: Any) -> AsyncIterator[tuple[Service, Service]]:
        """A server, and a client in front of it that may have rules."""
        async with self.up(self.server()) as far:
            there = replace(server_config(AEAD), address=far.addresses[0], mode=Mode.TCP_AND_UDP)
            local = LocalConfig(Address(HOST, 0), mode=Mode.TCP_AND_UDP, acl=acl)
            async with self.up(Service.local(self.config(servers=(there,), locals=(local,), **options))) as near:
                yield far, near

    def connect(self, service: Service) -> socket.socket:
        """A connection of the test's own; on loopback it stands at once."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with self.watch.mine():
            sock.connect((HOST, service.addresses[0].port))
        sock.setblocking(False)
        return sock

    def wire(self, spelling: Spelling, port: int = 0) -> bytes:
        return spelling.wire + (port or self.trap.port).to_bytes(2)

    async def stream(self, service: Service, target: bytes, method: str = AEAD) -> bytes:
        """Ask a server for a target with a handshake made by hand; return what comes until the end."""
        with self.connect(service) as sock:
            sock.send(Crafter(method, key_of(method)).good(target, b"GET / HTTP/1.0\r\n\r\n"))
            return await rest_of(sock)

    def datagram(self, service: Service, target: bytes, method: str = AEAD, payload: bytes = b"x") -> None:
        """Ask a server to send to a target."""
        self._packets += 1
        packet = UdpCrafter(method, key_of(method)).request(target, payload, self._session, self._packets)
        self.send(packet, (HOST, service.addresses[0].port))

    def send(self, packet: bytes, to: tuple[str, int]) -> None:
        with self.watch.mine(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(packet, to)

    async def socks(self, service: Service, target: bytes, command: int = 1) -> tuple[int, bytes]:
        """Ask a client for a target; return the REP field of its reply, 255 for none, and what comes until the end."""
        with self.connect(service) as sock:
            sock.send(b"\5\1\0" + b"\5" + bytes((command, 0)) + target + b"GET / HTTP/1.0\r\n\r\n")
            answer = (await rest_of(sock)).removeprefix(b"\5\0")
            return (answer[1], answer[10:]) if answer else (255, b"")

    def assert_nobody_was_dialled(self) -> None:
        assert self.watch.seen == []
        assert self.trap.sprung() == 0


def key_of(method: str) -> str:
    return server_config(method).password.reveal()


async def rest_of(sock: socket.socket) -> bytes:
    """Return what comes until the end of a connection; a reset is an end."""
    loop = asyncio.get_running_loop()
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await loop.sock_recv(sock, 65536):
            got += data
    return bytes(got)


def ip_spelling(ip: str, words: frozenset[str] = frozenset({"denied"})) -> Spelling:
    return name_spelling(ip, words) if "%" in ip else Spelling(ip, Address(ip, 0).pack()[:-2], words)


def name_spelling(name: str, words: frozenset[str] = frozenset({"denied"})) -> Spelling:
    raw = name.encode()
    return Spelling(name, b"\3" + bytes((len(raw),)) + raw, words)


def outlets(service: Service) -> int:
    """How many sockets towards targets its sessions have."""
    crowd = service._crowd
    assert crowd is not None
    return sum(session.outlet is not None for relay in crowd.relays for session in relay.sessions.values())


def drops(service: Service) -> int:
    return sum(service.packets.dropped.values())


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Field]:
    hosts = tmp_path / "hosts"
    hosts.write_text(HOSTS)
    monkeypatch.setattr("shadesocks.service.names.hosts_path", lambda: str(hosts))
    local_addresses()  # asks for ways, which a watch would see
    with dns_server_thread() as dns, trap() as there, watching() as watch:
        dns.zone |= zone() | LOST
        yield Field(dns, there, watch, tmp_path)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await story()

    run_plane(limited())


def sample(whole: bool, every: int = SAMPLE) -> list[Spelling]:
    return TABLE if whole else TABLE[::every]


def test_there_are_enough() -> None:
    assert len(TABLE) >= 600
    assert len({spelling.wire for spelling in TABLE}) == len(TABLE)
    assert all(spelling.words for spelling in TABLE)


# Through the server


@pytest.mark.parametrize(("method", "every"), [(AEAD, 1), (SIP022, SAMPLE)])
def test_streams_through_a_server(method: str, every: int, field: Field, whole: bool) -> None:
    async def story() -> None:
        async with field.up(field.server(method)) as far:
            reasons = far.journal.reasons
            for spelling in sample(whole, every):
                before = reasons.copy()
                assert await field.stream(far, field.wire(spelling), method) == b"", spelling.label
                await until(lambda before=before: reasons != before)  # type: ignore[misc]
                [word] = reasons - before
                assert word in spelling.words, spelling.label
                assert far.totals[0] == 0
            field.assert_nobody_was_dialled()

    run(story)


@pytest.mark.parametrize(("way", "every"), [("plain", 1), ("auto", 1)])
def test_datagrams_through_a_server(way: str, every: int, field: Field, whole: bool) -> None:
    async def story() -> None:
        async with field.up(field.server(SIP022, udp_io=way)) as far:
            for spelling in sample(whole, every):
                before, count = far.packets.dropped, drops(far)
                field.datagram(far, field.wire(spelling), SIP022)
                await until(lambda count=count: drops(far) > count)  # type: ignore[misc]
                after = far.packets.dropped
                [word] = [word for word in after if after[word] != before.get(word, 0)]
                assert word in spelling.words, spelling.label
            assert far.packets.up_packets == 0
            assert outlets(far) == 0
            field.assert_nobody_was_dialled()

    run(story)


def test_streams_with_fast_open_and_ipv6_first(field: Field, whole: bool) -> None:
    async def story() -> None:
        async with field.up(field.server(fast_open=True, ipv6_first=True, dns_cache_size=0)) as far:
            for spelling in sample(whole):
                assert await field.stream(far, field.wire(spelling)) == b"", spelling.label
            field.assert_nobody_was_dialled()

    run(story)


# Through a client


def test_connections_through_a_client(field: Field, whole: bool) -> None:
    """Its reply comes before the server is asked, so what tells is that nothing follows."""

    async def story() -> None:
        async with field.pair() as (far, near):
            for spelling in sample(whole):
                _, rest = await field.socks(near, field.wire(spelling))
                assert rest == b"", spelling.label
            assert set(far.journal.reasons) <= {"denied", "no_name", "malformed"}
            assert set(field.watch.seen) == {("connect", HOST, far.addresses[0].port)}
            assert field.trap.sprung() == 0

    run(story)


@pytest.mark.parametrize("way", ["plain", "auto"])
def test_datagrams_through_a_client(way: str, field: Field, whole: bool) -> None:
    async def story() -> None:
        async with field.pair(udp_io=way) as (far, near):
            with field.connect(near) as control:
                control.send(b"\5\1\0\5\3\0\1" + bytes(6))
                reply = b""
                while len(reply) < 12:
                    reply += await asyncio.get_running_loop().sock_recv(control, 64)
                relay = socket.inet_ntoa(reply[6:10]), int.from_bytes(reply[10:12])
                for count, spelling in enumerate(sample(whole), 1):
                    field.send(b"\0\0\0" + field.wire(spelling) + b"x", relay)
                    await until(lambda count=count: drops(far) + drops(near) == count)  # type: ignore[misc]
            assert set(far.packets.dropped) | set(near.packets.dropped) == {"denied", "no_name", "malformed"}
            assert outlets(far) == 0
            assert {seen for seen in field.watch.seen if seen[2] == field.trap.port} == set()
            assert {seen[2] for seen in field.watch.seen if seen[0] == "connect"} == {far.addresses[0].port}
            assert field.trap.sprung() == 0

    run(story)


# The doors do open


def open_spellings() -> list[Spelling]:
    """Ways to the trap that work where they are allowed: what is refused above is refused for a reason."""
    ips = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::ffff:127.0.0.1", *(("::1", "::") if has_ipv6() else ())]
    return [*map(ip_spelling, ips), name_spelling("both.test"), name_spelling("localhost"), name_spelling("alias.test")]


@pytest.mark.parametrize("options", [{"allow_private": True}, {"forbidden_ip": ()}])
def test_what_is_allowed_is_dialled(options: dict[str, Any], field: Field) -> None:
    async def story() -> None:
        async with field.up(field.server(udp_io="plain", **options)) as far:
            for spelling in open_spellings():
                with field.connect(far) as sock:
                    sock.send(Crafter(AEAD, key_of(AEAD)).good(field.wire(spelling), b"x"))
                    await until(lambda: field.trap.sprung() == 1)
                field.datagram(far, field.wire(spelling))
                await until(lambda: field.trap.sprung() == 1)
            assert {seen[2] for seen in field.watch.seen} == {field.trap.port}

    run(story)


# Names with many meanings


@pytest.mark.parametrize(
    ("addresses", "allowed"),
    [
        (["127.0.0.1", PUBLIC], [PUBLIC]),
        ([PUBLIC, "127.0.0.1", "10.0.0.1", "::1", "fd00::1"], [PUBLIC]),
        (["::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "2606:4700::1"], ["2606:4700::1"]),
        (["0.0.0.0", "::", "8.8.8.8", PUBLIC], ["8.8.8.8", PUBLIC]),
    ],
)
def test_only_the_public_addresses_of_a_name_are_dialled(
    addresses: Sequence[str], allowed: Sequence[str], field: Field
) -> None:
    """A race has no losers among those that are closed."""

    async def story() -> None:
        field.dns.zone["mixed.test"] = Name(addresses)
        async with field.up(field.server(udp_io="plain", connection_attempt_delay=0.01)) as far:
            target = field.wire(name_spelling("mixed.test"))
            assert await field.stream(far, target) == b""
            assert field.watch.seen == [("connect", ip, field.trap.port) for ip in allowed]
            field.watch.seen.clear()
            field.datagram(far, target)
            await until(lambda: drops(far) == 1)
            assert len(field.watch.seen) == 1
            assert field.watch.seen[0][1].removeprefix("::ffff:") == allowed[0]
            assert field.trap.sprung() == 0

    run(story)


@pytest.mark.parametrize("options", [{"dns_ttl_min": 0}, {"dns_cache_size": 0}])
def test_a_name_that_changes_its_meaning_gains_nothing(options: dict[str, Any], field: Field) -> None:
    """One question for each dial: what is judged is what is dialled."""

    async def story() -> None:
        field.dns.zone["turning.test"] = Name(turns=[[PUBLIC], ["127.0.0.1"]], ttl=0)
        target = field.wire(name_spelling("turning.test"))
        async with field.up(field.server(udp_io="plain", **options)) as far:
            for number in range(1, 7):
                assert await field.stream(far, target) == b""
                assert field.dns.asked("turning.test") == number
            for number in range(7, 13):
                field.datagram(far, target)
                await until(lambda count=number - 6: drops(far) == count)  # type: ignore[misc]
                for relay in far._shared.crowd.relays:
                    relay.sweep()  # what was judged is forgotten
                assert field.dns.asked("turning.test") == number
            assert far.journal.reasons["denied"] == 3
            assert far.packets.dropped["denied"] == 3
            assert {seen[1].removeprefix("::ffff:") for seen in field.watch.seen} == {PUBLIC}
            assert len(field.watch.seen) == 6
            assert field.trap.sprung() == 0

    run(story)


def test_an_old_answer_is_judged_like_a_new_one(field: Field) -> None:
    """A name server that fails lets old answers serve on, and not the judgement on them."""

    async def story() -> None:
        async with field.up(field.server(dns_ttl_min=0)) as far:
            field.dns.zone["stale.test"] = Name(["127.0.0.1"], ttl=0)
            for how in (How.ANSWER, How.SERVFAIL):
                field.dns.zone["stale.test"].how = how
                assert await field.stream(far, field.wire(name_spelling("stale.test"))) == b""
            assert far.journal.reasons == {"denied": 2}
            field.assert_nobody_was_dialled()

    run(story)


# Our own listeners

OPEN_LIST: Final = """
[outbound_allow_list]
0.0.0.0/0
::/0
0.0.0.0
::
127.0.0.0/8
::1
10.0.0.0/8
172.16.0.0/12
192.168.0.0/16
192.0.2.0/24
169.254.0.0/16
224.0.0.0/4
255.255.255.255
fc00::/7
fe80::/10
ff00::/8
64:ff9b::7f00:0/104
2002:7f00::/24
"""


def own_spellings() -> list[Spelling]:
    """Ways to a listener on every address of this machine."""
    here = local_addresses()
    ips = ["127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "::", "::1", *here]
    ips += [f"::ffff:{ip}" for ip in ("127.0.0.1", "127.0.0.2", "0.0.0.0", *here) if "." in ip]
    ips += ["64:ff9b::127.0.0.1", "2002:7f00:1::1", "2a00::5efe:127.0.0.1", "fe80::1%lo", "fe80::1"]
    ips += ["224.0.0.1", "255.255.255.255", "127.255.255.255", "ff02::1", "ff02::1%lo", "ff01::1%lo", "::1%lo", "::1%1"]
    names = ["localhost", "LOCALHOST.", "both.test", "alias.test", "n0.test", "late.test", "here.test"]
    return [*map(ip_spelling, ips), *map(name_spelling, names)]


@pytest.fixture(params=["private", "nothing forbidden", "allow list", "something forbidden"])
def openness(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Everything else is open."""
    rules = tmp_path / "open.acl"
    rules.write_text(OPEN_LIST)
    options: dict[str, dict[str, Any]] = {
        "private": {"allow_private": True},
        "nothing forbidden": {"forbidden_ip": ()},
        "something forbidden": {"forbidden_ip": ("10.99.0.0/16",)},
        "allow list": {"acl": str(rules)},
    }
    return options[request.param]


def open_servers(field: Field, openness: dict[str, Any], way: str) -> Service:
    """Two servers on every address, each with TCP and UDP."""
    everywhere = Address("::" if has_ipv6() else "0.0.0.0", 0)
    acl = openness.get("acl")
    servers = tuple(
        ServerConfig(everywhere, config.method, config.password, mode=Mode.TCP_AND_UDP, acl=acl)
        for config in (server_config(AEAD), server_config(SIP022))
    )
    return Service.server(field.config(servers=servers, udp_io=way, **openness))


@pytest.mark.parametrize("way", ["plain", "auto"])
def test_own_listeners_of_a_server_stay_closed(way: str, openness: dict[str, Any], field: Field) -> None:
    async def story() -> None:
        field.dns.zone["here.test"] = Name([ip for ip in local_addresses() if "%" not in ip] or ["127.0.0.1"])
        async with field.up(open_servers(field, openness, way)) as far:
            ports = [address.port for address in far.addresses]
            assert len(ports) == 2
            dropped = asked = 0
            for port in ports:
                for spelling in own_spellings():
                    asked += 1
                    assert await field.stream(far, field.wire(spelling, port)) == b"", spelling.label
                    field.datagram(far, field.wire(spelling, port))
                    dropped += 1
                    await until(lambda count=dropped: drops(far) == count)  # type: ignore[misc]
            assert field.watch.seen == []
            assert far.packets.dropped == {"denied": dropped}
            assert far.journal.reasons == {"denied": asked}
            assert far.packets.up_packets == outlets(far) == 0
            if "acl" not in openness:
                for spelling in open_spellings()[:3]:  # and the port beside them is open
                    field.datagram(far, field.wire(spelling))
                    await until(lambda: field.trap.sprung() == 1)

    run(story)


def test_each_way_to_a_listener_is_one() -> None:
    """Otherwise the tests around would prove little."""
    with trap() as there:
        for ip in ["127.0.0.1", "127.0.0.2", "0.0.0.0", *local_addresses(), *(("::1", "::") if has_ipv6() else ())]:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                [(family, _, _, _, address)] = socket.getaddrinfo(ip, there.port, type=kind)
                with socket.socket(family, kind) as sock:
                    sock.connect(address)
                    if kind == socket.SOCK_DGRAM:
                        sock.send(b"x")
                    assert there.sprung() == 1, ip


@pytest.mark.parametrize("way", ["plain", "auto"])
def test_own_listeners_of_a_client_stay_closed(way: str, field: Field, tmp_path: Path) -> None:
    """What bypasses the server may reach the LAN, and everything on this machine but this process."""

    async def story() -> None:
        rules = tmp_path / "bypass.acl"
        rules.write_text("[bypass_all]\n")
        field.dns.zone["here.test"] = Name([ip for ip in local_addresses() if "%" not in ip] or ["127.0.0.1"])
        async with field.pair(acl=str(rules), udp_io=way) as (far, near):
            port = near.addresses[0].port
            for spelling in own_spellings():
                reply, rest = await field.socks(near, field.wire(spelling, port))
                assert (reply, rest) == (2, b""), spelling.label
            with field.connect(near) as control:
                control.send(b"\5\1\0\5\3\0\1" + bytes(6))
                assert (await asyncio.get_running_loop().sock_recv(control, 64))[:2] == b"\5\0"
                for count, spelling in enumerate(own_spellings(), 1):
                    field.send(b"\0\0\0" + field.wire(spelling, port) + b"x", (HOST, port))
                    await until(lambda count=count: drops(near) == count)  # type: ignore[misc]
                assert near.packets.dropped == {"denied": len(own_spellings())}
                assert outlets(near) == 0
                assert field.watch.seen == []
                for spelling in open_spellings():
                    field.send(b"\0\0\0" + field.wire(spelling) + b"x", (HOST, port))
                    await until(lambda: field.trap.sprung() == 1)
            assert far.journal.reasons == {}

    run(story)


@pytest.mark.parametrize("options", [{}, {"dns_cache_size": 0}, {"dns_ttl_min": 0}])
def test_the_way_and_the_dial_of_a_client_have_one_answer(
    options: dict[str, Any], field: Field, tmp_path: Path
) -> None:
    """A name whose first answer bypasses and whose second does not is not dialled at the second."""

    async def story() -> None:
        rules = tmp_path / "split.acl"
        rules.write_text("[proxy_all]\n[bypass_list]\n127.0.0.0/8\n")
        async with field.pair(acl=str(rules), **options) as (far, near):
            for number in range(4):
                field.dns.zone[f"t{number}.test"] = Name(turns=[["127.0.0.1"], [PUBLIC]], ttl=0)
                with field.connect(near) as sock:
                    sock.send(b"\5\1\0\5\1\0" + field.wire(name_spelling(f"t{number}.test")))
                    await until(lambda: field.trap.sprung() == 1)
                assert field.dns.asked(f"t{number}.test") == 1
            assert field.watch.seen == [("connect", "127.0.0.1", field.trap.port)] * 4
            assert far.journal.reasons == {}

    run(story)


# The operator's rules


def test_an_allow_list_opens_what_it_says_and_no_more(field: Field, tmp_path: Path, whole: bool) -> None:
    async def story() -> None:
        rules = tmp_path / "wide.acl"
        rules.write_text("[outbound_allow_list]\n0.0.0.0/0\n::/0\n2000::/3\n||test\n(^|\\.)localhost$\n.\n")
        server = replace(server_config(AEAD), mode=Mode.TCP_AND_UDP, acl=str(rules))
        async with field.up(Service.server(field.config(servers=(server,), acl=str(rules), udp_io="plain"))) as far:
            for count, spelling in enumerate(sample(whole), 1):
                assert await field.stream(far, field.wire(spelling)) == b"", spelling.label
                field.datagram(far, field.wire(spelling))
                await until(lambda count=count: drops(far) == count)  # type: ignore[misc]
            field.assert_nobody_was_dialled()

    run(story)


@pytest.mark.parametrize(
    "host",
    ["evil.test", "EVIL.test", "a.evil.test.", "evil。test", "ｅｖｉｌ.test", "blocked-address.test", "both.test"],
)
def test_what_a_list_blocks_is_not_dialled(host: str, field: Field, tmp_path: Path) -> None:
    """Nor is a name that is allowed, where it leads to an address that is not."""

    async def story() -> None:
        rules = tmp_path / "block.acl"
        rules.write_text(f"[outbound_block_list]\n(^|\\.)evil\\.test$\n{PUBLIC}\n[outbound_allow_list]\n||test\n")
        field.dns.zone |= {
            "evil.test": Name(["8.8.8.8"]),
            "a.evil.test": Name(["8.8.8.8"]),
            "blocked-address.test": Name([PUBLIC, f"64:ff9b::{PUBLIC}"]),
        }
        server = replace(server_config(AEAD), mode=Mode.TCP_AND_UDP, acl=str(rules))
        async with field.up(Service.server(field.config(servers=(server,), acl=str(rules), udp_io="plain"))) as far:
            target = field.wire(name_spelling(host))
            assert await field.stream(far, target) == b""
            field.datagram(far, target)
            await until(lambda: drops(far) == 1)
            assert far.journal.reasons == far.packets.dropped == {"denied": 1}
            field.assert_nobody_was_dialled()

    run(story)


@pytest.mark.parametrize("rules", ["[outbound_block_list]\n||evil.test\n", "[outbound_block_all]\n"])
def test_a_chain_with_rules_passes_nothing_forbidden_on(rules: str, field: Field, tmp_path: Path, whole: bool) -> None:
    """Names alone may go on, where all is allowed: what they mean is the next server's business, which refuses it."""

    async def story() -> None:
        path = tmp_path / "chain.acl"
        path.write_text(rules)
        async with field.up(field.server(AEAD)) as last:
            hop = replace(server_config(AEAD), address=last.addresses[0], mode=Mode.TCP_AND_UDP)
            server = replace(hop, address=Address(HOST, 0), outbound_proxy=(hop,), acl=str(path))
            async with field.up(Service.server(field.config(servers=(server,), acl=str(path)))) as first:
                names = set()
                for spelling in sample(whole):
                    before = sum(last.journal.reasons.values())
                    assert await field.stream(first, field.wire(spelling)) == b"", spelling.label
                    if sum(last.journal.reasons.values()) > before:
                        names.add(spelling.label.partition(":")[0])
                may_pass = {"name", "name without an address", "name of the hosts file", "foreign numeral"}
                may_pass = may_pass if "||" in rules else set()
                assert names <= may_pass
                assert set(last.journal.reasons) <= {"denied", "no_name"}
                assert {seen[2] for seen in field.watch.seen} <= {last.addresses[0].port}
                assert field.trap.sprung() == 0

    run(story)
