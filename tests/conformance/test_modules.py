"""What the modules of the Python original tested themselves, asked of ours: each by its public seam."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from pathlib import Path
from typing import Final

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address, pack_ip, parse_address
from shadesocks.core.errors import DialError
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.core.networks import NetworkSet, parse_network
from shadesocks.net.name_cache import NameCache
from shadesocks.service.names import make_resolver
from tests.dns_server import How, Name, dns_server
from tests.interop.streams import LIMIT
from tests.net.packet_rig import AEAD, Rig
from tests.net.packet_rig import run as run_rig
from tests.peers import HOST
from tests.wire.codecs import packets_of, salt_of, shadow_of
from tests.wire.hearing import ServerHearing, make_request
from tests.wire.talking import Client, Server

from .rows import file_of
from .stage import Ports, Web, managing, ours, retried, see_name, see_no_page, see_page, told
from .test_conformance import OPEN

SEVEN: Final = ("aes-256-cfb", "aes-256-gcm", "camellia-256-cfb", "rc4-md5", "salsa20", "chacha20", "table")
TARGET: Final = Address("www.shade.test", 80)
SIZE: Final = 16 << 20
SAMPLE: Final = 2 << 20


@pytest.mark.parametrize(
    ("host", "wire"),
    [
        ("8.8.8.8", b"\1\x08\x08\x08\x08\0\x35"),
        ("2404:6800:4005:805::1011", b"\4$\4h\0@\5\x08\5\0\0\0\0\0\0\x10\x11\0\x35"),
        ("www.google.com", b"\3\x0ewww.google.com\0\x35"),
    ],
)
def test_module_common_addresses(host: str, wire: bytes) -> None:
    assert Address(host, 53).pack() == wire
    assert parse_address(wire + b"more") == (Address(host, 53), len(wire))


def test_module_common_networks() -> None:
    """Which addresses networks hold. An entry without a prefix is one address: theirs took zeros at its end as any."""
    networks = NetworkSet(map(parse_network, ("127.0.0.0/24", "::ff:1/112", "::1", "192.168.1.1", "192.0.2.0")))

    def holds(text: str) -> bool:
        packed = pack_ip(text)
        assert packed is not None
        return networks.holds(packed)

    assert all(map(holds, ("127.0.0.1", "127.0.0.255", "::ff:ffff", "::1", "192.168.1.1", "192.0.2.0")))
    assert not any(map(holds, ("127.0.1.2", "::ffff:1", "::2", "192.168.1.2", "192.0.2.1")))


def test_module_lru_cache_names() -> None:
    """What is kept is found until its time, and from a second answer on for another."""
    cache = NameCache(10, 1, 3600)
    answer = ((socket.AF_INET, "192.0.2.1"),)
    for now in (0, 50):
        cache.put("a.test", answer, 60, now)
        entry = cache.find("a.test")
        assert entry is not None
        assert (entry.answer, entry.until) == (answer, now + 60)
    assert cache.find("b.test") is None


def test_module_lru_cache_sessions() -> None:
    """What is used stays, what is not is closed, and told so once."""

    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets, idle=100)
        client, target = rig.client(relay, packets), rig.socket()
        await client.say(target, b"x")
        for _ in range(3):
            rig.now += 99
            await client.say(target, b"x")
            relay.sweep()
        assert not rig.ended
        for _ in range(3):
            rig.now += 100
            relay.sweep()
        assert [word for word, *_ in rig.ended] == ["idle"]
        assert not relay.sessions

    run_rig(story)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("localhost", "127.0.0.1"),
        ("www.shade.test", "192.0.2.7"),
        ("six.shade.test", "2001:db8::7"),
        ("under_score.shade.test", "192.0.2.8"),
        ("nobody.shade.test", None),
        ("invalid.@!#$%^&$@.hostname", None),
        ("l" + "o" * 62 + "ng.shade.test", None),
        (".".join(["long"] * 60), None),
    ],
)
def test_module_asyncdns(name: str, found: str | None) -> None:
    """Addresses, names, and what is none."""

    async def story() -> None:
        async with dns_server(hosts=[HOST]) as dns:
            dns.zone["www.shade.test"] = Name(["192.0.2.7"])
            dns.zone["six.shade.test"] = Name(["2001:db8::7"])
            dns.zone["under_score.shade.test"] = Name(["192.0.2.8"])
            dns.otherwise = lambda _: Name(how=How.NXDOMAIN)
            resolver = make_resolver(Config(dns=(NameServer(Transport.UDP, dns.host, dns.port),)))
            try:
                if found is None:
                    with pytest.raises(DialError):
                        await resolver.lookup(name)
                else:
                    assert found in [address for _, address in await resolver.lookup(name)]
            finally:
                await resolver.close()

    asyncio.run(story())


@pytest.mark.parametrize("method", SEVEN)
def test_module_cryptor(method: str) -> None:
    """Streams and datagrams there and back."""
    shadow, salt = shadow_of(method), salt_of(method)
    hearing = ServerHearing(shadow)
    stream = make_request(shadow, TARGET, [b"hello", b"world" * 1000], salt=salt)
    hearing.hears(stream[at : at + 700] for at in range(0, len(stream), 700))
    assert hearing.request is not None
    assert (hearing.request.target, bytes(hearing.payload), hearing.word) == (TARGET, b"hello" + b"world" * 1000, "")
    client, server = Client(packets_of(method)), Server(packets_of(method))
    assert server.hears(client.says(TARGET, b"hello")).payload == b"hello"
    assert client.hears(server.says(Address("192.0.2.1", 53), b"there")).payload == b"there"


def test_module_manager(tmp_path: Path, whole: bool) -> None:
    """A port is added, counted by both protocols, and removed; the one of the file stays."""
    if not whole:
        pytest.skip("sampled, since statistics come every ten seconds; make conformance runs every row")

    def story() -> None:
        ports = Ports()
        keys = ports.in_file(file_of("aes"))
        first = {"port_password": {str(ports[8381]): "password of port 8381"}}
        kept = {key: value for key, value in keys.items() if key not in ("server_port", "password")}
        with socket.socket(type=socket.SOCK_DGRAM) as tool, Web() as web:
            tool.bind((HOST, 0))
            tool.settimeout(LIMIT)
            at = (HOST, ports[6001])
            flags = (*OPEN, "--manager-address", f"{HOST}:{at[1]}")
            with managing(tmp_path, at[1], *flags, keys={**kept, **first}) as far:
                assert told(tool, at, b"ping") == b"pong"
                added = {"server_port": ports[8388], "password": keys["password"]}
                assert told(tool, at, b"add: " + json.dumps(added).encode()) == b"ok"
                with ours("sslocal", tmp_path, ports[1081], keys=keys) as near:
                    see_page(near, web)
                    see_name(near.address, far)
                    counted = 0
                    until = time.monotonic() + 25  # they come every ten seconds
                    while counted < len(web.page) + 100 and time.monotonic() < until:
                        text = tool.recvfrom(65_536)[0]
                        assert text.startswith(b"stat: ")
                        stat = json.loads(text.removeprefix(b"stat: "))
                        assert stat.keys() == {str(ports[8388])}
                        counted += stat[str(ports[8388])]
                    assert counted > len(web.page) + 100
                    assert told(tool, at, b"remove: " + json.dumps({"server_port": ports[8388]}).encode()) == b"ok"
                    see_no_page(near, web)
                other = {**keys, "server_port": ports[8381], "password": "password of port 8381"}
                other["local_port"] = ports[1082]
                with ours("sslocal", tmp_path, ports[1082], keys=other) as near:
                    see_page(near, web)

    retried(story)


@pytest.mark.parametrize("method", ["aes-256-cfb", "chacha20", "aes-256-gcm"])
def test_module_crypto(method: str, whole: bool) -> None:
    """16 MiB in pieces of 100 to 32,768 bytes, cut elsewhere at the other end. How fast: `make bench`."""
    draw = random.Random(method)  # noqa: S311 - data and sizes
    data = draw.randbytes(SIZE if whole else SAMPLE)
    shadow = shadow_of(method)
    stream = make_request(shadow, TARGET, _pieces(data, draw), salt=salt_of(method))
    hearing = ServerHearing(shadow)
    for piece in _pieces(stream, draw):
        hearing.feed(piece)
    hearing.end()
    assert hearing.word == ""
    assert hearing.payload == data


def _pieces(data: bytes, draw: random.Random) -> list[bytes]:
    pieces, at = [], 0
    while at < len(data):
        size = draw.randint(100, 32_768)
        pieces.append(data[at : at + size])
        at += size
    return pieces
