"""AEAD-2022 datagrams: a client against a server in memory, and what both refuse in each packet."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat
from typing import Final

import pytest

from shadesocks.core.address import Address
from shadesocks.crypto.methods import METHODS
from shadesocks.wire.aead2022 import PADDING_MAX
from shadesocks.wire.editions import make_packets
from shadesocks.wire.packet import HEADROOM, PACKET_MAX
from shadesocks.wire.shadow import Random

from .codecs import AEAD2022, SaltSet, key_of, packets_of
from .crafting import DOWN, UP, craft, down, up
from .talking import Client, Server, sealed, word_of

TARGETS: Final = [Address("192.0.2.1", 8080), Address("target.example", 443), Address("2001:db8::1", 5353)]
TARGET: Final = TARGETS[1]
DNS: Final = Address("192.0.2.53", 53)
NOW: Final = 1_700_000_000
MESSAGE: Final = TARGET.pack() + b"payload"
CLIENT_ID: Final = b"client-1"
SERVER_ID: Final = b"server-1"
FRONT: Final = {"aes-gcm": 16, "chacha20-poly1305": 24 + 16}
"""Bytes before the body: the separate header, and the nonce where there is one."""


def pair(name: str) -> tuple[Client, Server]:
    return Client(packets_of(name)), Server(packets_of(name))


def fixed(session_id: bytes, choice: int = 0) -> Random:
    """Chance that gives this session id, any nonce, and this choice of a size of padding."""
    return lambda size: {8: session_id, 24: b"n" * 24, 2: choice.to_bytes(2)}[size]


def known_client(name: str) -> Client:
    """A client whose session id a crafted answer can name."""
    return Client(packets_of(name, fixed(CLIENT_ID)))


@pytest.mark.parametrize("target", [*TARGETS, DNS], ids=str)
@pytest.mark.parametrize("name", AEAD2022)
def test_both_ways(name: str, target: Address) -> None:
    client, server = pair(name)
    for number in range(5):
        heard = server.hears(client.says(target, b"question %d" % number, NOW), NOW)
        assert (heard.target, heard.payload) == (target, b"question %d" % number)
        heard = client.hears(server.says(target, b"answer %d" % number, NOW), NOW)
        assert (heard.target, heard.payload) == (target, b"answer %d" % number)
    assert len(server.talks) == 1


@pytest.mark.parametrize("name", AEAD2022)
def test_packets_are_what_the_specification_says(name: str) -> None:
    """Byte for byte; ids count from 0 in each direction."""
    client = known_client(name)
    server = Server(packets_of(name, fixed(SERVER_ID)))
    for packet_id in range(3):
        request = client.says(TARGET, b"payload", NOW)
        assert request == craft(name, CLIENT_ID, packet_id, up(NOW, MESSAGE))
        server.hears(request, NOW)
        answer = server.says(TARGET, b"payload", NOW)
        assert answer == craft(name, SERVER_ID, packet_id, down(NOW, CLIENT_ID, MESSAGE))


@pytest.mark.parametrize("name", AEAD2022)
def test_sizes_at_the_edges(name: str) -> None:
    client, server = pair(name)
    most = PACKET_MAX - FRONT[METHODS[name].cipher] - 19 - 16 - len(TARGET.pack())
    for size in (0, 1, 899, 900, 901, most):
        payload = b"p" * size
        assert server.hears(client.says(TARGET, payload, NOW), NOW).payload == payload
        answer = server.says(TARGET, payload, NOW)
        assert client.hears(answer, NOW).payload == payload
    assert len(answer) == PACKET_MAX


@pytest.mark.parametrize("name", AEAD2022)
def test_every_truncation_is_refused_and_changes_nothing(name: str) -> None:
    client, server = pair(name)
    request = client.says(TARGET, b"question", NOW)
    for size in range(len(request)):
        assert word_of(server.hears, request[:size], NOW) in ("truncated_header", "auth_failed"), size
    assert not server.talks
    assert server.hears(request, NOW).payload == b"question"
    answer = server.says(TARGET, b"answer", NOW)
    for size in range(len(answer)):
        assert word_of(client.hears, answer[:size], NOW) in ("truncated_header", "auth_failed"), size
    assert client.hears(answer, NOW).payload == b"answer"


@pytest.mark.parametrize("name", AEAD2022)
def test_every_flipped_bit_is_refused_and_changes_nothing(name: str) -> None:
    """Of a first packet and of one in a known session; each may come whole later."""
    client, server = pair(name)
    for number in range(2):
        request = client.says(TARGET, b"question %d" % number, NOW)
        for bit in range(8 * len(request)):
            assert word_of(server.hears, flipped(request, bit), NOW) == "auth_failed", bit
        assert len(server.talks) == number
        server.hears(request, NOW)
        answer = server.says(TARGET, b"answer %d" % number, NOW)
        for bit in range(8 * len(answer)):
            assert word_of(client.hears, flipped(answer, bit), NOW) == "auth_failed", bit
        assert client.hears(answer, NOW).payload == b"answer %d" % number


def flipped(packet: bytes, bit: int) -> bytes:
    spoiled = bytearray(packet)
    spoiled[bit // 8] ^= 1 << bit % 8
    return bytes(spoiled)


@pytest.mark.parametrize("name", AEAD2022)
def test_bytes_behind_a_packet_are_refused(name: str) -> None:
    client, server = pair(name)
    request = client.says(TARGET, b"question", NOW)
    assert word_of(server.hears, request + b"\0", NOW) == "auth_failed"
    server.hears(request, NOW)
    answer = server.says(TARGET, b"answer", NOW)
    assert word_of(client.hears, answer + b"\0", NOW) == "auth_failed"
    client.hears(answer, NOW)


@pytest.mark.parametrize("name", AEAD2022)
def test_another_key_is_refused(name: str) -> None:
    other = make_packets(METHODS[name], [bytes(byte ^ 1 for byte in key_of(name))], fixed(CLIENT_ID), SaltSet().insert)
    request, answer = up(NOW, MESSAGE), down(NOW, CLIENT_ID, MESSAGE)
    assert word_of(Server(other).hears, craft(name, CLIENT_ID, 0, request), NOW) == "auth_failed"
    assert word_of(Client(other).hears, craft(name, SERVER_ID, 0, answer), NOW) == "auth_failed"


@pytest.mark.parametrize("name", AEAD2022)
def test_what_one_said_and_gets_back_is_refused_by_its_type(name: str) -> None:
    client, server = pair(name)
    request = client.says(TARGET, bytes(100), NOW)
    server.hears(request, NOW)
    answer = server.says(TARGET, bytes(100), NOW)
    assert word_of(server.hears, answer, NOW) == "bad_type"
    assert word_of(client.hears, request, NOW) == "bad_type"
    assert len(server.talks) == 1
    assert client.hears(answer, NOW).payload == bytes(100)


@pytest.mark.parametrize("kind", [1, 2, 127, 128, 255])
@pytest.mark.parametrize("name", AEAD2022)
def test_other_types_are_refused(name: str, kind: int) -> None:
    assert word_of(Server(packets_of(name)).hears, craft(name, CLIENT_ID, 0, up(NOW, MESSAGE, kind=kind)), NOW) == (
        "bad_type"
    )
    body = down(NOW, CLIENT_ID, MESSAGE, kind=kind if kind != DOWN else UP)
    assert word_of(known_client(name).hears, craft(name, SERVER_ID, 0, body), NOW) == "bad_type"


@pytest.mark.parametrize("name", AEAD2022)
@pytest.mark.parametrize(
    ("skew", "word"), [(-31, "bad_timestamp"), (-30, ""), (0, ""), (30, ""), (31, "bad_timestamp")]
)
def test_a_clock_may_differ_by_thirty_seconds(name: str, skew: int, word: str) -> None:
    client, server = pair(name)
    assert word_of(server.hears, client.says(TARGET, b"question", NOW), NOW + skew) == word
    server.hears(client.says(TARGET, b"question", NOW), NOW)
    assert word_of(client.hears, server.says(TARGET, b"answer", NOW), NOW + skew) == word


@pytest.mark.parametrize("stamp", [0, NOW + 2**32, 2**63, 2**63 + NOW, 2**64 - 1])
@pytest.mark.parametrize("name", AEAD2022)
def test_no_stamp_wraps(name: str, stamp: int) -> None:
    request = craft(name, CLIENT_ID, 0, up(stamp, MESSAGE))
    assert word_of(Server(packets_of(name)).hears, request, NOW) == "bad_timestamp"
    answer = craft(name, SERVER_ID, 0, down(stamp, CLIENT_ID, MESSAGE))
    assert word_of(known_client(name).hears, answer, NOW) == "bad_timestamp"


@pytest.mark.parametrize("padding", [b"", b"\0", b"anything", bytes(900), b"\xff" * 1200])
@pytest.mark.parametrize("name", AEAD2022)
def test_any_padding_that_fits_is_accepted(name: str, padding: bytes) -> None:
    request = craft(name, CLIENT_ID, 0, up(NOW, MESSAGE, padding))
    assert Server(packets_of(name)).hears(request, NOW).payload == b"payload"
    answer = craft(name, SERVER_ID, 0, down(NOW, CLIENT_ID, MESSAGE, padding))
    assert known_client(name).hears(answer, NOW).payload == b"payload"


@pytest.mark.parametrize("name", AEAD2022)
def test_every_padding_that_leaves_no_whole_address_is_refused(name: str) -> None:
    """The message is 0x01s, so that an address could begin at any place in it."""
    server, client, message = Server(packets_of(name)), known_client(name), b"\1" * 20
    for announced in range(22):
        for body, hears, session_id in (
            (up(NOW, message, announced=announced), server.hears, CLIENT_ID),
            (down(NOW, CLIENT_ID, message, announced=announced), client.hears, SERVER_ID),
        ):
            word = word_of(hears, craft(name, session_id, announced, body), NOW)
            wanted = "" if announced <= 13 else "truncated_header" if announced <= 20 else "padding_overrun"
            assert word == wanted, announced
    far = up(NOW, message, announced=0xFFFF)
    assert word_of(server.hears, craft(name, CLIENT_ID, 100, far), NOW) == "padding_overrun"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "truncated_header"),
        (b"\0", "truncated_header"),
        (up(NOW, b"")[:-1], "truncated_header"),
        (up(NOW, b""), "truncated_header"),
        (down(NOW, CLIENT_ID, b"")[:-1], "bad_type"),
    ],
)
@pytest.mark.parametrize("name", AEAD2022)
def test_a_body_without_a_whole_header_is_refused(name: str, body: bytes, word: str) -> None:
    assert word_of(Server(packets_of(name)).hears, craft(name, CLIENT_ID, 0, body), NOW) == word
    assert word_of(known_client(name).hears, craft(name, SERVER_ID, 0, body), NOW) == "truncated_header"


@pytest.mark.parametrize("address", [b"\x02\1\1\1\1\0\x50", b"\x03\0\0\x50", b"\x13\x01a\0\x50"])
@pytest.mark.parametrize("name", AEAD2022)
def test_a_bad_address_is_refused(name: str, address: bytes) -> None:
    words = ("bad_atyp", "empty_domain")
    assert word_of(Server(packets_of(name)).hears, craft(name, CLIENT_ID, 0, up(NOW, address)), NOW) in words
    body = down(NOW, CLIENT_ID, address)
    assert word_of(known_client(name).hears, craft(name, SERVER_ID, 0, body), NOW) in words


@pytest.mark.parametrize("name", AEAD2022)
def test_an_answer_to_another_session_is_refused(name: str) -> None:
    shadow = packets_of(name)
    ours, other, server = Client(shadow), Client(shadow), Server(shadow)
    server.hears(ours.says(TARGET, b"question", NOW), NOW)
    server.hears(other.says(TARGET, b"question", NOW), NOW)
    answer = server.says(TARGET, b"answer", NOW)
    assert word_of(ours.hears, answer, NOW) == "client_session_mismatch"
    assert other.hears(answer, NOW).payload == b"answer"


# Padding of our own.


@pytest.mark.parametrize("name", AEAD2022)
def test_only_names_and_empty_packets_are_padded(name: str) -> None:
    """To port 53, from port 53, or without payload; all else leaves as it is, and draws nothing for it."""

    def draw(size: int) -> bytes:
        assert size != 2, "a size of padding was drawn"
        return {8: CLIENT_ID, 24: b"n" * 24}[size]

    client, server = Client(packets_of(name, draw)), Server(packets_of(name))
    for target in (*TARGETS, Address("h", 0x3500), Address("h", 5300), Address("h", 65535)):
        packet = client.says(target, b"p", NOW)
        assert len(packet) == FRONT[METHODS[name].cipher] + 11 + len(target.pack()) + 1 + 16
        server.hears(packet, NOW)
        answer = server.says(target, b"p", NOW)
        assert len(answer) == FRONT[METHODS[name].cipher] + 19 + len(target.pack()) + 1 + 16
    for target, payload in ((DNS, b"p"), (Address("name.example", 53), b"p"), (TARGET, b"")):
        with pytest.raises(AssertionError, match="a size of padding was drawn"):
            client.says(target, payload, NOW)


@pytest.mark.parametrize(
    ("target", "size", "most"),
    [(TARGET, 0, 900), (DNS, 0, 900), (DNS, 1, 899), (DNS, 512, 388), (DNS, 899, 1), (DNS, 900, 0), (DNS, 1232, 0)],
)
@pytest.mark.parametrize("name", AEAD2022)
def test_padding_is_zeros_of_every_size_up_to_a_bound(name: str, target: Address, size: int, most: int) -> None:
    """Padding and payload together stay under 900 bytes. What stood in the buffer before does not leak."""
    made = set()
    for choice in chain(range(0, 901, 9), range(most - 3, most + 4), (65_535,)):
        if choice < 0:
            continue
        client = Client(packets_of(name, fixed(CLIENT_ID, choice)))
        server = Server(packets_of(name, fixed(SERVER_ID, choice)))
        heard = server.hears(client.says(target, b"p" * size, NOW), NOW)
        answer = client.hears(server.says(target, b"p" * size, NOW), NOW)
        for plain, header in ((heard.plain, 11), (answer.plain, 19)):
            padding = plain[header : len(plain) - len(target.pack()) - size]
            assert int.from_bytes(plain[header - 2 : header]) == len(padding) == choice % (most + 1)
            assert padding == bytes(len(padding))
            made.add(len(padding))
    assert 0 in made
    assert max(made) == most <= PADDING_MAX


@pytest.mark.parametrize("name", AEAD2022)
def test_a_message_at_the_very_end_of_its_headroom_is_padded_within(name: str) -> None:
    """The longest header and the longest padding fit before it; `sealed` gives it no byte more."""
    for side in (Client(packets_of(name, fixed(CLIENT_ID, 900))), _answering(name, fixed(SERVER_ID, 900))):
        talk = side.talk if isinstance(side, Client) else side.talks[side.last]
        source = bytearray(b"\xee" * HEADROOM + DNS.pack())
        out = bytearray(4096)
        talk.seal(memoryview(source), (HEADROOM, len(source), len(source)), memoryview(out), 0, NOW)
        assert source[: HEADROOM - 919] == b"\xee" * (HEADROOM - 919)
        assert source[HEADROOM - 900 : HEADROOM] == bytes(900)
        assert source[HEADROOM:] == DNS.pack()


def _answering(name: str, random: Random) -> Server:
    server = Server(packets_of(name, random))
    server.hears(craft(name, CLIENT_ID, 0, up(NOW, MESSAGE)), NOW)
    return server


@pytest.mark.parametrize("name", AEAD2022)
def test_the_session_id_of_a_server_is_not_the_client_s(name: str) -> None:
    """Even where chance repeats itself (SIP022 §3.2.4)."""
    drawn = chain(repeat(CLIENT_ID, 3), [SERVER_ID])
    server = _answering(name, lambda size: next(drawn) if size == 8 else b"n" * size)
    answer = server.says(TARGET, b"payload", NOW)
    assert answer == craft(name, SERVER_ID, 0, down(NOW, CLIENT_ID, MESSAGE))
    assert not list(drawn)


@pytest.mark.parametrize("name", AEAD2022)
def test_a_session_that_is_met_but_says_nothing_good_draws_nothing(name: str) -> None:
    """A stranger's packets cost no randomness."""

    def draw(size: int) -> bytes:
        raise AssertionError(f"{size} bytes were drawn")

    server = Server(packets_of(name, draw))
    refused: list[Callable[[], str]] = [
        lambda: word_of(server.hears, bytes(100), NOW),
        lambda: word_of(server.hears, craft(name, CLIENT_ID, 0, up(NOW - 31, MESSAGE)), NOW),
        lambda: word_of(server.hears, sealed(packets_of("none").join(), MESSAGE, len(MESSAGE), 0), NOW),
    ]
    assert all(refusal() for refusal in refused)
    assert not server.talks


@pytest.mark.parametrize("name", AEAD2022)
def test_sessions_are_remembered_for_a_minute_at_least(name: str) -> None:
    assert packets_of(name).idle_min == 60
