"""Stream ciphers over TCP: every method at every split, what a server refuses, and the habits of old peers."""

from __future__ import annotations

import os
from functools import cache, partial
from random import Random

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import AuthenticationError
from shadesocks.crypto.methods import METHODS
from shadesocks.crypto.replay_stream import StreamSalts
from shadesocks.crypto.stream import CIPHERS, StreamKey
from shadesocks.net.pipe import READ_MAX, Scratch
from shadesocks.wire.shadow import READ_ANY, Quirks, read_max_of

from .codecs import STREAM, key_of, salt_of, shadow_of
from .hearing import ClientHearing, ServerHearing, make_request, make_response, say
from .splits import all_splits, in_pieces

TARGET = Address("target.example", 443)
TARGETS = [TARGET, Address("192.0.2.10", 8080), Address("2001:db8::10", 1)]
WITH_IV = [name for name in STREAM if METHODS[name].salt_size]
SOME = ["aes-256-cfb", "camellia-128-ctr", "rc4-md5-6", "chacha20", "table"]
SLOW = ("cfb1", "camellia-128-cfb8", "camellia-192-cfb8", "camellia-256-cfb8")
REFUSING = Quirks(refuse_repeats=True)


@cache
def cipher_of(name: str) -> StreamKey:
    return CIPHERS[METHODS[name].cipher](key_of(name))


def seal(name: str, iv: bytes, plain: bytes) -> bytes:
    """Return IV and sealed bytes, whatever they are."""
    out = bytearray(len(plain))
    cipher_of(name).seal(iv)(plain, memoryview(out))
    return iv + bytes(out)


@pytest.mark.parametrize("name", STREAM)
def test_a_request_is_heard_at_every_split(name: str) -> None:
    stream = make_request(shadow_of(name), TARGET, [b"first", b"more"], salt=salt_of(name))
    assert stream == seal(name, salt_of(name), TARGET.pack() + b"firstmore")
    for pieces in all_splits(stream):
        server = ServerHearing(shadow_of(name))
        server.hears(pieces)
        assert (server.word, bytes(server.payload)) == ("", b"firstmore")
        assert server.request is not None
        assert (server.request.target, server.request.salt) == (TARGET, b"")


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("name", SOME)
def test_every_kind_of_address(name: str, target: Address) -> None:
    for pieces in all_splits(make_request(shadow_of(name), target, [b"first"], salt=salt_of(name))):
        server = ServerHearing(shadow_of(name))
        server.hears(pieces)
        assert server.request is not None
        assert (server.request.target, bytes(server.payload)) == (target, b"first")


@pytest.mark.parametrize("name", STREAM)
def test_an_answer_is_heard_at_every_split(name: str) -> None:
    stream = make_response(shadow_of(name), [b"answer", b"and more"], salt=salt_of(name), request_salt=salt_of(name))
    assert stream == seal(name, salt_of(name), b"answerand more")
    for pieces in all_splits(stream):
        client = ClientHearing(shadow_of(name), salt_of(name))
        client.hears(pieces)
        assert (client.word, bytes(client.payload)) == ("", b"answerand more")


@pytest.mark.parametrize("name", [name for name in STREAM if not name.endswith(SLOW)])
def test_large_payloads_in_random_pieces(name: str) -> None:
    payload = Random(name).randbytes(100_000)  # noqa: S311 - data
    stream = make_request(shadow_of(name), TARGET, [payload, b"", payload[:70_001]], salt=salt_of(name))
    for seed in range(3):
        server = ServerHearing(shadow_of(name))
        server.hears(in_pieces(stream, seed))
        assert server.word == ""
        assert server.payload == payload + payload[:70_001]


@pytest.mark.parametrize("name", WITH_IV)
def test_both_directions_and_every_stream_have_an_iv_of_their_own(name: str) -> None:
    """A server that answered with the client's IV gave the key stream away (shadowsocks-go, to 2019)."""
    size, ivs = METHODS[name].salt_size, set()
    for _ in range(20):
        sealer, _ = shadow_of(name).open_stream(TARGET, int, os.urandom)
        request = say(sealer, [b"?"])
        server = ServerHearing(shadow_of(name), random=os.urandom)
        server.feed(request)
        assert server.request is not None
        answer = say(server.request.sealer, [b"!"])
        ivs |= {request[:size], answer[:size]}
    assert len(ivs) == 40


@pytest.mark.parametrize("name", STREAM)
def test_a_header_goes_alone_when_it_must(name: str) -> None:
    sealer, opener = shadow_of(name).open_stream(TARGET, int, bytes)
    assert opener is not None
    owed = [sealer.owes]
    assert (opener.started, opener.clean) == (False, True)
    alone = say(sealer, [b""])
    assert len(alone) == METHODS[name].salt_size + len(TARGET.pack())
    assert [*owed, sealer.owes] == [True, False]
    assert say(sealer, [b""]) == b""
    server = ServerHearing(shadow_of(name))
    server.feed(alone)
    assert server.request is not None
    assert server.request.target == TARGET
    assert server.request.sealer is not None
    assert not server.request.sealer.owes


@pytest.mark.parametrize("name", WITH_IV)
def test_an_iv_is_held_until_it_is_whole(name: str) -> None:
    _, opener = shadow_of(name).open_stream(TARGET, int, bytes)
    assert opener is not None
    answer, out = memoryview(seal(name, salt_of(name), b"answer")), memoryview(bytearray(100))
    size = METHODS[name].salt_size
    assert opener.open(answer, size - 1, out) == (0, 0)
    started = [opener.started]
    assert opener.open(answer, size, out) == (size, 0)
    assert [*started, opener.started] == [False, True]
    assert opener.open(answer[size:], 6, out) == (6, 6)
    assert bytes(out[:6]) == b"answer"


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"\0", "bad_atyp"),
        (b"\x02", "bad_atyp"),
        (b"\x07", "bad_atyp"),
        (b"\x21", "bad_atyp"),
        (b"\x83", "bad_atyp"),
        (b"\x12", "bad_atyp"),
        (b"\x03\0", "empty_domain"),
        (b"\x03\x03a\0b", "bad_domain"),
        (b"\x03\x03a\nb", "bad_domain"),
        (b"\x03\x02\xff\xfe", "bad_domain"),
    ],
)
def test_what_is_no_address_is_refused(name: str, head: bytes, word: str) -> None:
    for pieces in all_splits(seal(name, salt_of(name), head + bytes(30))):
        server = ServerHearing(shadow_of(name))
        server.hears(pieces)
        assert server.word == word
        assert server.payload == b""


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_an_end_inside_the_header_is_a_truncation(name: str, target: Address) -> None:
    stream = make_request(shadow_of(name), target, [b""], salt=salt_of(name))
    for end in range(len(stream)):
        server = ServerHearing(shadow_of(name))
        server.hears([stream[:end]])
        assert server.word == "truncated"


@pytest.mark.parametrize("name", [*SOME, "rc4"])
def test_repeats_are_taken_unless_they_are_to_be_refused(name: str) -> None:
    """Procurator's clients send one IV for ever."""
    stream = make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name))
    for quirks in (Quirks(), REFUSING):
        salts = StreamSalts()
        begin = partial(ServerHearing, shadow_of(name, quirks), known=salts.known, insert=salts.insert)
        words = []
        for _ in range(3):
            server = begin()
            server.hears([stream])
            words.append(server.word)
            assert bytes(server.payload) == (b"" if server.word else b"first")
        refused = quirks.refuse_repeats and METHODS[name].salt_size
        assert words == (["", "salt_reused", "salt_reused"] if refused else ["", "", ""])
        salts.close()


@pytest.mark.parametrize("name", WITH_IV)
def test_an_answer_of_ours_is_no_request_where_repeats_are_refused(name: str) -> None:
    salts = StreamSalts()
    begin = partial(ServerHearing, shadow_of(name, REFUSING), known=salts.known, insert=salts.insert)
    server = begin(random=lambda size: salts.fresh(size, os.urandom))
    server.feed(make_request(shadow_of(name), TARGET, [b"?"], salt=salt_of(name)))
    assert server.request is not None
    answer = say(server.request.sealer, [TARGET.pack() + b"a request, by its looks"])
    again = begin()
    again.feed(answer)
    assert again.word == "salt_reused"
    salts.close()


@pytest.mark.parametrize("name", [*SOME, "rc4"])
def test_an_answer_with_the_iv_of_the_request(name: str) -> None:
    """Old Go servers send such; with `refuse_repeats` it is our own stream come back."""
    answer = seal(name, salt_of(name), b"answer")
    for quirks in (Quirks(), REFUSING):
        client = ClientHearing(shadow_of(name, quirks), salt_of(name))
        client.hears([answer])
        if quirks.refuse_repeats and METHODS[name].salt_size:
            assert (client.word, bytes(client.payload)) == ("auth_failed", b"")
        else:
            assert (client.word, bytes(client.payload)) == ("", b"answer")
    other = ClientHearing(shadow_of(name, REFUSING), salt_of(name, b"o"))
    other.hears([answer])
    assert (other.word, bytes(other.payload)) == ("", b"answer")


def test_a_refused_answer_is_known_as_such() -> None:
    _, opener = shadow_of("aes-256-cfb", REFUSING).open_stream(TARGET, int, bytes)
    assert opener is not None
    with pytest.raises(AuthenticationError):
        opener.open(memoryview(bytes(20)), 20, memoryview(bytearray(20)))
    assert not opener.started


@pytest.mark.parametrize("target", [*TARGETS, Address("0.0.0.0", 0), Address("255.255.255.255", 65535)], ids=str)
def test_ipv4_as_a_name(target: Address) -> None:
    """Procurator's server loses a byte behind an IPv4 address; what a name spells is still that address to others."""
    name = "aes-256-cfb"
    stream = make_request(shadow_of(name, Quirks(names_only=True)), target, [b"first"], salt=salt_of(name))
    packed = b"\x03" + bytes((len(target.host),)) + target.host.encode() + target.port.to_bytes(2)
    plain = target.pack() if ":" in target.host else packed
    assert stream == seal(name, salt_of(name), plain + b"first")
    server = ServerHearing(shadow_of(name))
    server.hears([stream])
    assert server.request is not None
    assert server.request.target == target


@pytest.mark.parametrize("name", ["aes-256-ctr", "chacha20", "rc4-md5", "table"])
def test_the_largest_read_goes_through_the_relays_buffers(name: str) -> None:
    scratch = Scratch()
    payload = Random(name).randbytes(READ_MAX)  # noqa: S311 - data
    sealer, _ = shadow_of(name).open_stream(Address("n" * 255, 1), int, bytes)
    scratch.inward[:READ_MAX] = payload
    made = sealer.seal(scratch.inward, READ_MAX, scratch.outward)
    server = ServerHearing(shadow_of(name))
    server.hears([bytes(scratch.outward[:made])])
    assert server.word == ""
    assert server.payload == payload


def test_another_key_shows_as_no_address_at_most() -> None:
    """The first byte is all there is: 6 of 256 pass it."""
    stream = [make_request(shadow_of("aes-128-cfb"), TARGET, [b"first"], salt=bytes((n,)) * 16) for n in range(64)]
    refused = 0
    for one in stream:
        server = ServerHearing(shadow_of("camellia-128-cfb"))
        server.feed(one)
        refused += server.word == "bad_atyp"
    assert refused > 50


@pytest.mark.parametrize("name", STREAM)
def test_only_slow_ciphers_say_how_much_they_take_at_once(name: str) -> None:
    """CFB1 needs 7 s to seal 1 MiB, CFB8 on single blocks 0.9 s; no other one 0.2 s (docs/adr/0015)."""
    sealer, opener = shadow_of(name).open_stream(Address("192.0.2.1", 80), lambda: 0, os.urandom)
    answer = ServerHearing(shadow_of(name), 0)
    answer.hears([make_request(shadow_of(name), Address("192.0.2.1", 80), [b""], salt=salt_of(name), now=0)])
    assert answer.request is not None
    least = 8192 if "cfb1" in name.split("-") else 65536 if name.startswith("camellia") and "cfb8" in name else READ_ANY
    for codec in (sealer, opener, answer.request.sealer, answer.request.opener):
        assert codec is not None
        assert read_max_of(codec) == least
