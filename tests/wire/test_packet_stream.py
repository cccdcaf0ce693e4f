"""Datagrams of stream ciphers: a client against a server in memory, with one-time auth and without."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.crypto.methods import METHODS
from shadesocks.crypto.replay_packets import PacketSalts
from shadesocks.wire.packet import PACKET_MAX
from shadesocks.wire.shadow import Quirks

from .codecs import STREAM, SaltSet, key_of, packets_of, salt_of
from .talking import Client, Server, sealed, word_of
from .test_ota import hash_of, spoiled
from .test_stream import SLOW, seal

TARGETS = [Address("192.0.2.1", 53), Address("target.example", 443), Address("2001:db8::1", 5353)]
TARGET = TARGETS[1]
SOME = ["aes-256-cfb", "rc4-md5", "chacha20", "camellia-128-ctr", "rc4", "table"]
OTA = Quirks(one_time_auth=True)
REFUSING = Quirks(refuse_repeats=True)


def pair(name: str, client: Quirks = OTA, server: Quirks = OTA) -> tuple[Client, Server]:
    return Client(packets_of(name, quirks=client)), Server(packets_of(name, quirks=server))


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("name", STREAM)
def test_both_ways(name: str, target: Address) -> None:
    client, server = pair(name, Quirks(), Quirks())
    for number in range(3):
        heard = server.hears(client.says(target, b"question %d" % number))
        assert (heard.target, heard.payload) == (target, b"question %d" % number)
        heard = client.hears(server.says(target, b"answer %d" % number))
        assert (heard.target, heard.payload) == (target, b"answer %d" % number)


@pytest.mark.parametrize("name", STREAM)
def test_a_packet_is_iv_and_message(name: str) -> None:
    client = Client(packets_of(name, lambda _size: salt_of(name)))
    server = Server(packets_of(name, lambda _size: salt_of(name, b"o")))
    for target in TARGETS:
        for payload in (b"", b"payload"):
            packet = client.says(target, payload)
            assert packet == seal(name, salt_of(name), target.pack() + payload)
            assert server.hears(packet).plain == target.pack() + payload
            assert server.says(target, payload) == seal(name, salt_of(name, b"o"), target.pack() + payload)


@pytest.mark.parametrize("name", [name for name in STREAM if METHODS[name].salt_size])
def test_every_packet_has_an_iv_of_its_own(name: str) -> None:
    client, server = pair(name, Quirks(), Quirks())
    packets = []
    for _ in range(10):
        packets.append(client.says(TARGET, b"same"))
        server.hears(packets[-1])
        packets.append(server.says(TARGET, b"same"))
    assert len({packet[: METHODS[name].salt_size] for packet in packets}) == 20


@pytest.mark.parametrize("name", STREAM)
def test_what_is_no_longer_than_an_iv_is_dropped(name: str) -> None:
    client, server = pair(name, Quirks(), Quirks())
    for size in range(METHODS[name].salt_size + 1):
        assert word_of(server.hears, bytes(size)) == word_of(client.hears, bytes(size)) == "truncated_header"


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize(
    ("message", "word"),
    [
        (b"\x05" + bytes(20), "bad_atyp"),
        (b"\x21" + bytes(20), "bad_atyp"),
        (b"\x03\0\0\x50", "empty_domain"),
        (b"\x03\x01\n\0\x50", "bad_domain"),
        (b"\x03\xffname", "truncated_header"),
        (b"\x01\x7f\0\0\x01\0", "truncated_header"),
    ],
)
def test_what_is_no_message_is_dropped(name: str, message: bytes, word: str) -> None:
    for hears in [side.hears for side in pair(name, Quirks(), Quirks())]:
        assert word_of(hears, seal(name, salt_of(name), message)) == word


@pytest.mark.parametrize("name", [name for name in STREAM if not name.endswith(SLOW)])
def test_the_largest_packet(name: str) -> None:
    client, server = pair(name, Quirks(), Quirks())
    payload = bytes(range(256)) * 256
    payload = payload[: PACKET_MAX - METHODS[name].salt_size - len(TARGET.pack())]
    packet = client.says(TARGET, payload)
    assert len(packet) == PACKET_MAX
    assert server.hears(packet).payload == payload


@pytest.mark.parametrize("name", SOME)
def test_repeats_are_taken_unless_they_are_to_be_refused(name: str) -> None:
    """Procurator sends one IV for ever. Where they are refused, what one said itself is too."""
    for quirks in (Quirks(), REFUSING):
        client, server = pair(name, quirks, quirks)
        request = client.says(TARGET, b"question")
        server.hears(request)
        answer = server.says(TARGET, b"answer")
        client.hears(answer)
        refused = "salt_reused" if quirks.refuse_repeats and METHODS[name].salt_size else ""
        assert word_of(server.hears, request) == word_of(client.hears, answer) == refused
        assert word_of(server.hears, answer) == word_of(client.hears, request) == refused


def test_the_memory_of_a_process_serves_both_sides() -> None:
    salts = PacketSalts()
    client = Client(packets_of("chacha20", insert=salts.insert, quirks=REFUSING))
    server = Server(packets_of("chacha20", insert=salts.insert, quirks=REFUSING))
    for number in range(100):
        request = client.says(TARGET, b"%d" % number)
        assert server.hears(request).payload == b"%d" % number
        assert word_of(server.hears, request) == "salt_reused"
        assert client.hears(server.says(TARGET, b"answer")).payload == b"answer"
    salts.close()


def test_an_iv_is_recorded_after_the_address_was_read() -> None:
    seen = SaltSet()
    server = Server(packets_of("aes-256-cfb", insert=seen.insert, quirks=REFUSING))
    assert word_of(server.hears, seal("aes-256-cfb", bytes(16), b"\x05" + bytes(20))) == "bad_atyp"
    assert not seen.salts


# One-time auth.


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("name", SOME)
def test_a_request_has_a_hash_behind_it_and_the_answer_none(name: str, target: Address) -> None:
    iv = salt_of(name)
    message = bytes((target.pack()[0] | 0x10,)) + target.pack()[1:] + b"question"
    client = Client(packets_of(name, lambda _size: iv, quirks=OTA))
    packet = client.says(target, b"question")
    assert packet == seal(name, iv, message + hash_of(iv + key_of(name), message))
    for quirks in (OTA, Quirks()):
        server = Server(packets_of(name, lambda _size: iv, quirks=quirks))
        heard = server.hears(packet)
        assert (heard.target, heard.payload) == (target, b"question")
        answer = server.says(target, b"answer")
        assert answer == seal(name, iv, target.pack() + b"answer")
        assert client.hears(answer).payload == b"answer"


@pytest.mark.parametrize("name", SOME)
def test_a_spoiled_one_is_dropped(name: str) -> None:
    iv = salt_of(name)
    message = b"\x11\xc0\0\2\1\0\x35question"
    plain = message + hash_of(iv + key_of(name), message)
    for side in pair(name, Quirks(), OTA):
        for at in range(1, len(plain)):
            assert word_of(side.hears, seal(name, iv, spoiled(plain, at))) == "ota_header_hmac"
        for size in range(1, 11):
            assert word_of(side.hears, seal(name, iv, plain[:size])) == "truncated_header"


@pytest.mark.parametrize("name", SOME)
def test_one_without_it_where_it_is_wanted(name: str) -> None:
    client, server = pair(name, Quirks(), OTA)
    assert word_of(server.hears, client.says(TARGET, b"question")) == "ota_required"


def test_an_answer_that_has_it_is_taken() -> None:
    """shadowsocks-go 1.2.1 answered so."""
    client, other = pair("aes-256-cfb")[0], pair("aes-256-cfb")[0]
    heard = client.hears(other.says(TARGET, b"answer"))
    assert (heard.target, heard.payload) == (TARGET, b"answer")


def test_a_hash_over_nothing_is_no_message() -> None:
    name, iv = "aes-256-cfb", salt_of("aes-256-cfb")
    flag = b"\x11"
    packet = seal(name, iv, flag + hash_of(iv + key_of(name), flag))
    assert word_of(pair(name)[1].hears, packet) == "truncated_header"


@pytest.mark.parametrize("quirks", [Quirks(), OTA, REFUSING])
def test_nothing_is_kept_for_a_peer(quirks: Quirks) -> None:
    packets = packets_of("aes-256-cfb", quirks=quirks)
    host = packets.host()
    assert packets.idle_min == 0
    assert host.meet("one") is host.meet("another")
    assert host.identify(memoryview(b""), "source", memoryview(b""), 0) == "source"
    message = TARGET.pack() + b"x"
    assert sealed(packets.join(), message, len(TARGET.pack()), 0) != message
