"""What a server in front of others passes on; the exact bytes are in the vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from shadesocks.crypto.methods import METHODS
from shadesocks.crypto.subkeys_2022 import key_hash
from shadesocks.wire.editions import make_packets, make_shadow
from shadesocks.wire.reader import Reader
from shadesocks.wire.relayed import FollowingByIdentity, RelayedShadow, RelayHost, RelayTalk

from .hearing import ANYWHERE, ServerHearing, make_request
from .splits import all_splits
from .talking import Client, Server

NAME: Final = "2022-blake3-aes-128-gcm"
METHOD: Final = METHODS[NAME]
TARGET: Final = Address("target.example", 443)
NOW: Final = 1_700_000_000
FRONT, NEXT, USER = (letter * METHOD.key_size for letter in (b"f", b"n", b"u"))
SALT: Final = b"s" * METHOD.salt_size


@dataclass(frozen=True)
class Place:
    keys: tuple[bytes, ...]
    address: Address = ANYWHERE


FOLLOWING: Final[FollowingByIdentity] = {key_hash(NEXT): Place((NEXT,))}.get


def stream(*keys: bytes) -> bytes:
    return make_request(make_shadow(METHOD, keys), TARGET, [b"hello", b"again"], salt=SALT, now=NOW)


def passed(pieces: list[bytes]) -> tuple[Address, list[bytes]]:
    """Where a stream goes, and what goes there: the first write, and the rest."""
    shadow = RelayedShadow(METHOD, FRONT, FOLLOWING)
    reader = Reader(shadow.read_request(lambda _salt: False, lambda: NOW, bytes))
    left = list(pieces)
    while True:
        request = reader.feed(left.pop(0))
        if request is not None:
            assert (request.opener, request.sealer, request.salt) == (None, None, b"")
            return request.target, [bytes(request.first), reader.rest + b"".join(left)]


def test_a_stream_for_the_next_server_itself() -> None:
    for pieces in all_splits(stream(FRONT, NEXT)):
        to, passed_on = passed(pieces)
        assert to == ANYWHERE
        hearing = ServerHearing(make_shadow(METHOD, [NEXT]), NOW, strict_first_read=True)
        hearing.hears(passed_on)
        assert (hearing.word, bytes(hearing.payload)) == ("", b"helloagain")


def test_a_stream_for_a_user_of_the_next_server() -> None:
    _, passed_on = passed([stream(FRONT, NEXT, USER)])
    following = make_shadow(METHOD, [NEXT], users={key_hash(USER): Place((USER,))}.get)
    hearing = ServerHearing(following, NOW)
    hearing.hears(passed_on)
    assert (hearing.word, bytes(hearing.payload)) == ("", b"helloagain")


@pytest.mark.parametrize("keys", [(FRONT,), (NEXT,), (FRONT, USER), (NEXT, NEXT), (USER, NEXT)])
def test_a_stream_for_nobody(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(AuthenticationError) as caught:
        passed([stream(*keys)])
    assert caught.value.code == "unknown_user"


def test_it_begins_no_stream() -> None:
    with pytest.raises(LocalProtocolError):
        RelayedShadow(METHOD, FRONT, FOLLOWING).open_stream(TARGET, lambda: NOW, bytes)


def packets(*keys: bytes) -> Client:
    return Client(make_packets(METHOD, keys, bytes, lambda _salt: True))


def through(host: RelayHost, packet: bytes, source: str = "client") -> tuple[RelayTalk, bytes]:
    out = memoryview(bytearray(len(packet)))
    talk = host.meet(host.identify(memoryview(packet), source, out, 0))
    start, payload, end = talk.open(memoryview(packet), out, 0, NOW)
    assert start == payload
    return talk, bytes(out[start:end])


def test_datagrams_there_and_back() -> None:
    client, host = packets(FRONT, NEXT), RelayHost(FRONT, FOLLOWING)
    server = Server(make_packets(METHOD, [NEXT], lambda size: b"c" * size, lambda _salt: True))
    packet = client.says(TARGET, b"question", NOW)
    talk, forwarded = through(host, packet)
    assert len(forwarded) == len(packet) - 16
    assert server.hears(forwarded, NOW).payload == b"question"
    answer = server.says(TARGET, b"answer", NOW)
    out = memoryview(bytearray(len(answer) + 9))
    end = talk.seal(memoryview(answer), (0, 0, len(answer)), out, 9, NOW)
    assert client.hears(bytes(out[9:end]), NOW).payload == b"answer"


def test_a_session_is_where_it_came_from() -> None:
    """Nobody is authenticated here: a copy from elsewhere must not divert the answers."""
    host, packet = RelayHost(FRONT, FOLLOWING), memoryview(packets(FRONT, NEXT).says(TARGET, b"x", NOW))
    here, there = (host.identify(packet, source, memoryview(b""), 0) for source in ("here", "there"))
    assert here != there
    assert here == host.identify(packet, "here", memoryview(b""), 0)


def test_datagrams_for_nobody() -> None:
    host = RelayHost(FRONT, FOLLOWING)
    for client in (packets(FRONT), packets(NEXT), packets(FRONT, USER), packets(USER, NEXT)):
        packet = memoryview(client.says(TARGET, b"x" * 50, NOW))
        with pytest.raises(AuthenticationError):
            host.identify(packet, "client", memoryview(b""), 0)


def test_datagrams_too_short() -> None:
    host = RelayHost(FRONT, FOLLOWING)
    for size in range(59):
        with pytest.raises(RemoteProtocolError) as caught:
            host.identify(memoryview(bytes(size)), "client", memoryview(b""), 0)
        assert caught.value.code == "truncated_header"
