"""AEAD streams: a client against a server in memory, at every split, and what both refuse."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.crypto.methods import METHODS
from shadesocks.wire.chunks import OVERHEAD

from .codecs import AEAD, SEALED, salt_of, shadow_of
from .hearing import ClientHearing, ServerHearing, make_request, make_response, say
from .splits import all_splits, random_splits

TARGET = Address("target.example", 443)
NOW = 1_700_000_000


@pytest.mark.parametrize("name", SEALED)
def test_a_request_is_heard_at_every_split(name: str) -> None:
    stream = make_request(shadow_of(name), TARGET, [b"first", b"more"], salt=salt_of(name), now=NOW)
    for pieces in all_splits(stream):
        server = ServerHearing(shadow_of(name), NOW)
        server.hears(pieces)
        assert (server.word, bytes(server.payload)) == ("", b"firstmore")
        assert server.request is not None
        assert server.request.target == TARGET


@pytest.mark.parametrize("name", SEALED)
def test_an_answer_is_heard_at_every_split(name: str) -> None:
    request_salt = salt_of(name, b"r")
    stream = make_response(
        shadow_of(name), [b"answer", b"and more"], salt=salt_of(name), request_salt=request_salt, now=NOW
    )
    for pieces in all_splits(stream):
        client = ClientHearing(shadow_of(name), request_salt, NOW)
        client.hears(pieces)
        assert (client.word, bytes(client.payload)) == ("", b"answerand more")


@pytest.mark.parametrize("name", SEALED)
def test_large_payloads_in_random_pieces(name: str) -> None:
    payload = bytes(range(256)) * 600
    stream = make_request(shadow_of(name), TARGET, [payload, payload], salt=salt_of(name), now=NOW)
    for pieces in random_splits(stream, 5):
        server = ServerHearing(shadow_of(name), NOW)
        server.hears(pieces)
        assert (server.word, bytes(server.payload)) == ("", payload * 2)


@pytest.mark.parametrize("name", SEALED)
def test_a_flip_of_any_byte_delivers_nothing_of_its_chunk(name: str) -> None:
    stream = make_request(shadow_of(name), TARGET, [b"first", b"second"], salt=salt_of(name), now=NOW)
    for at in range(len(stream)):
        spoiled = bytearray(stream)
        spoiled[at] ^= 0x80
        server = ServerHearing(shadow_of(name), NOW)
        server.hears([bytes(spoiled)])
        assert server.word == "auth_failed", at
        assert bytes(server.payload) in (b"", b"first")


@pytest.mark.parametrize("name", SEALED)
def test_every_truncation_is_a_truncation(name: str) -> None:
    stream = make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name), now=NOW)
    for size in range(len(stream)):
        server = ServerHearing(shadow_of(name), NOW)
        server.hears([stream[:size]])
        assert server.word == "truncated", size


@pytest.mark.parametrize("name", AEAD)
def test_the_first_chunk_carries_address_and_payload(name: str) -> None:
    """One write: salt, one chunk, and in it the address with as much payload as fits."""
    method = METHODS[name]
    address = TARGET.pack()
    stream = make_request(shadow_of(name), TARGET, [b"p"], salt=salt_of(name))
    assert len(stream) == method.salt_size + OVERHEAD + len(address) + 1
    full = make_request(shadow_of(name), TARGET, [bytes(method.max_payload)], salt=salt_of(name))
    assert len(full) == method.salt_size + 2 * OVERHEAD + len(address) + method.max_payload


@pytest.mark.parametrize("name", AEAD)
def test_a_stream_sent_back_to_its_client_is_refused(name: str) -> None:
    """Our own salt in an answer is a reflection."""
    salt = salt_of(name)
    client = ClientHearing(shadow_of(name), salt)
    client.feed(make_request(shadow_of(name), TARGET, [b"first"], salt=salt))
    assert client.word == "auth_failed"
    assert not client.payload


@pytest.mark.parametrize("name", SEALED)
def test_a_known_salt_is_refused_before_anything_else(name: str) -> None:
    stream = make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name), now=NOW)
    server = ServerHearing(shadow_of(name), NOW, known=salt_of(name).__eq__)
    server.hears([stream])
    assert server.word == "salt_reused"


@pytest.mark.parametrize("name", SEALED)
def test_only_a_client_owes_its_header(name: str) -> None:
    """A server without payload to send says nothing at all; a client's header must go out."""
    sealer, opener = shadow_of(name).open_stream(TARGET, lambda: NOW, lambda size: b"s" * size)
    owed = [sealer.owes]
    assert opener is not None
    assert not opener.started
    stream = say(sealer, [b""])
    owed.append(sealer.owes)
    assert owed == [True, False]
    server = ServerHearing(shadow_of(name), NOW)
    server.hears([stream])
    assert server.request is not None
    assert server.request.sealer is not None
    assert not server.request.sealer.owes
    assert bytes(server.payload) == b""
