"""AEAD datagrams: a client against a server in memory, and what both refuse."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import ReplayError
from shadesocks.crypto.aead import TAG_SIZE
from shadesocks.crypto.methods import METHODS
from shadesocks.crypto.replay_packets import PacketSalts
from shadesocks.wire.editions import make_packets
from shadesocks.wire.packet import PACKET_MAX

from .codecs import AEAD, SaltSet, key_of, packets_of, salt_of
from .talking import Client, Server, sealed, word_of

TARGETS = [Address("192.0.2.1", 53), Address("target.example", 443), Address("2001:db8::1", 5353)]
TARGET = TARGETS[1]


def pair(name: str) -> tuple[Client, Server]:
    """A client and a server, each with a memory of its own."""
    return Client(packets_of(name)), Server(packets_of(name))


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("name", AEAD)
def test_both_ways(name: str, target: Address) -> None:
    client, server = pair(name)
    for number in range(3):
        heard = server.hears(client.says(target, b"question %d" % number))
        assert (heard.target, heard.payload) == (target, b"question %d" % number)
        heard = client.hears(server.says(target, b"answer %d" % number))
        assert (heard.target, heard.payload) == (target, b"answer %d" % number)


@pytest.mark.parametrize("name", AEAD)
def test_a_packet_is_salt_message_and_tag(name: str) -> None:
    """Nothing is padded, not even a packet to a DNS port or one without payload."""
    client, server = pair(name)
    for target in TARGETS:
        for payload in (b"", b"payload"):
            packet = client.says(target, payload)
            plain = target.pack() + payload
            assert len(packet) == METHODS[name].salt_size + len(plain) + TAG_SIZE
            assert server.hears(packet).plain == plain


@pytest.mark.parametrize("name", AEAD)
def test_the_salt_is_what_was_drawn_and_every_packet_has_its_own(name: str) -> None:
    salts = [salt_of(name, letter) for letter in (b"a", b"b", b"c")]
    drawn = iter(salts)
    client = Client(packets_of(name, lambda size: next(drawn)[:size]))
    packets = [client.says(TARGET, b"same") for _ in salts]
    assert [packet[: METHODS[name].salt_size] for packet in packets] == salts
    assert len({packet[METHODS[name].salt_size :] for packet in packets}) == 3


@pytest.mark.parametrize("name", AEAD)
def test_sizes_at_the_edges(name: str) -> None:
    client, server = pair(name)
    most = PACKET_MAX - METHODS[name].salt_size - TAG_SIZE - len(TARGET.pack())
    for size in (0, 1, 0x3FFF, 0x4000, most):
        payload = b"p" * size
        packet = client.says(TARGET, payload)
        assert server.hears(packet).payload == payload
        assert client.hears(server.says(TARGET, payload)).payload == payload
    assert len(packet) == PACKET_MAX


@pytest.mark.parametrize("name", AEAD)
def test_every_truncation_is_refused_and_changes_nothing(name: str) -> None:
    client, server = pair(name)
    bare = METHODS[name].salt_size + TAG_SIZE
    request = client.says(TARGET, b"question")
    for size in range(len(request)):
        assert word_of(server.hears, request[:size]) == ("truncated_header" if size <= bare else "auth_failed"), size
    assert not server.talks
    assert server.hears(request).payload == b"question"
    answer = server.says(TARGET, b"answer")
    for size in range(len(answer)):
        assert word_of(client.hears, answer[:size]) == ("truncated_header" if size <= bare else "auth_failed"), size
    assert client.hears(answer).payload == b"answer"


@pytest.mark.parametrize("name", AEAD)
def test_every_flipped_bit_is_refused_and_changes_nothing(name: str) -> None:
    """A flip behind the salt burns the salt of nobody: the good packet still passes."""
    client, server = pair(name)
    request = client.says(TARGET, b"question")
    for bit in range(8 * len(request)):
        assert word_of(server.hears, flipped(request, bit)) == "auth_failed", bit
    assert server.hears(request).payload == b"question"
    answer = server.says(TARGET, b"answer")
    for bit in range(8 * len(answer)):
        assert word_of(client.hears, flipped(answer, bit)) == "auth_failed", bit
    assert client.hears(answer).payload == b"answer"


def flipped(packet: bytes, bit: int) -> bytes:
    """Return the packet with one bit changed."""
    spoiled = bytearray(packet)
    spoiled[bit // 8] ^= 1 << bit % 8
    return bytes(spoiled)


@pytest.mark.parametrize("name", AEAD)
def test_bytes_behind_a_packet_are_refused(name: str) -> None:
    client, server = pair(name)
    packet = client.says(TARGET, b"question")
    assert word_of(server.hears, packet + b"\0") == "auth_failed"
    assert word_of(server.hears, packet + packet) == "auth_failed"
    assert server.hears(packet).payload == b"question"


@pytest.mark.parametrize("name", AEAD)
def test_a_packet_is_good_once_in_any_order(name: str) -> None:
    client, server = pair(name)
    packets = [client.says(TARGET, b"%d" % number) for number in range(20)]
    order = [*range(10, 20), *reversed(range(10))]
    assert [server.hears(packets[number]).payload for number in order] == [b"%d" % number for number in order]
    for packet in packets:
        assert word_of(server.hears, packet) == "salt_reused"
    answer = server.says(TARGET, b"answer")
    client.hears(answer)
    assert word_of(client.hears, answer) == "salt_reused"


@pytest.mark.parametrize("name", AEAD)
def test_a_replay_is_refused_wherever_it_comes_from(name: str) -> None:
    client, server = pair(name)
    packet = client.says(TARGET, b"question")
    server.hears(packet, source="the client")
    with pytest.raises(ReplayError):
        server.hears(packet, source="somebody else")
    assert set(server.talks) == {"the client"}


@pytest.mark.parametrize("name", AEAD)
def test_what_one_said_and_gets_back_is_refused(name: str) -> None:
    """Both directions look the same: a server's answer would be a request to it, a client's request an answer."""
    client, server = pair(name)
    request = client.says(TARGET, b"question")
    server.hears(request)
    answer = server.says(TARGET, b"answer")
    assert word_of(server.hears, answer) == "salt_reused"
    assert word_of(client.hears, request) == "salt_reused"
    assert client.hears(answer).payload == b"answer"


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", AEAD)
def test_the_memory_of_a_process_does_all_of_that_too(name: str, shared: bool) -> None:
    """`PacketSalts` in the place of a set. Two sides in one process, a chain, share it and still hear each other."""
    salts = PacketSalts(), PacketSalts()
    client = Client(packets_of(name, insert=salts[0].insert))
    server = Server(packets_of(name, insert=salts[0 if shared else 1].insert))
    for number in range(200):
        request = client.says(TARGET, b"%d" % number)
        assert word_of(client.hears, request) == "salt_reused"
        assert server.hears(request).payload == b"%d" % number
        answer = server.says(TARGET, b"%d" % number)
        assert word_of(server.hears, request) == word_of(server.hears, answer) == "salt_reused"
        assert client.hears(answer).payload == b"%d" % number
        assert word_of(client.hears, request) == word_of(client.hears, answer) == "salt_reused"
    for store in salts:
        store.close()


@pytest.mark.parametrize("message", [b"", b"\x05" + bytes(10), b"\x03\0\0\x50", b"\x01\x7f\0\0\x01\0", b"\x03\xffname"])
@pytest.mark.parametrize("name", AEAD)
def test_a_salt_is_recorded_after_the_address_was_read(name: str, message: bytes) -> None:
    """Whoever has the key can still not fill the memory with packets that go nowhere."""
    known = SaltSet()
    server = Server(packets_of(name, insert=known.insert))
    packet = sealed(packets_of(name).join(), message, len(message), 0)
    assert word_of(server.hears, packet) in ("truncated_header", "bad_atyp", "empty_domain")
    assert not known.salts


@pytest.mark.parametrize("name", AEAD)
def test_another_key_is_refused(name: str) -> None:
    method = METHODS[name]
    other = make_packets(method, [bytes(byte ^ 1 for byte in key_of(name))], bytes, SaltSet().insert)
    assert word_of(Server(other).hears, Client(packets_of(name)).says(TARGET, b"question")) == "auth_failed"


@pytest.mark.parametrize("name", AEAD)
def test_a_client_is_its_address_and_no_session_is_kept(name: str) -> None:
    client, server = pair(name)
    for source in ("a", "b"):
        server.hears(client.says(TARGET, b"question"), source=source)
        assert server.last == source
    assert packets_of(name).idle_min == 0
