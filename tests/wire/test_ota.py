"""One-time authentication of streams: chunks in any pieces, what is refused, and what was delivered before."""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import partial
from random import Random

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import AuthenticationError, LocalProtocolError
from shadesocks.net.pipe import READ_MAX, Scratch
from shadesocks.wire.ota import HASH_SIZE, PAYLOAD_MAX, OtaOpener
from shadesocks.wire.shadow import Quirks, read_max_of
from shadesocks.wire.stream import StreamOpener

from .codecs import SaltSet, key_of, salt_of, shadow_of
from .hearing import ServerHearing, make_request, make_response
from .splits import all_splits, bytewise, in_pieces
from .test_stream import seal

NAME = "aes-256-cfb"
NAMES = [NAME, "rc4-md5", "chacha20", "camellia-128-cfb8", "rc4", "table"]
TARGET = Address("target.example", 443)
TARGETS = [TARGET, Address("192.0.2.10", 8080), Address("2001:db8::10", 1)]
OTA = Quirks(one_time_auth=True)


def hash_of(key: bytes, data: bytes) -> bytes:
    """The rule once more."""
    return hmac.new(key, data, hashlib.sha1).digest()[:10]


def header(name: str, target: Address = TARGET) -> bytes:
    packed = target.pack()
    packed = bytes((packed[0] | 0x10,)) + packed[1:]
    return packed + hash_of(salt_of(name) + key_of(name), packed)


def chunk(name: str, number: int, data: bytes) -> bytes:
    return len(data).to_bytes(2) + hash_of(salt_of(name) + number.to_bytes(4), data) + data


def spoiled(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_request_is_what_the_rule_says(name: str, target: Address) -> None:
    """The hash of the header covers nothing behind it, even when payload leaves in the same write."""
    stream = make_request(shadow_of(name, OTA), target, [b"first", b"", b"more"], salt=salt_of(name))
    plain = header(name, target) + chunk(name, 0, b"first") + chunk(name, 1, b"more")
    assert stream == seal(name, salt_of(name), plain)
    for payloads in ([b""], [b"", b"first", b"more"]):
        made = make_request(shadow_of(name, OTA), target, payloads, salt=salt_of(name))
        assert stream.startswith(made)


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_request_is_heard_at_every_split(name: str, required: bool) -> None:
    stream = make_request(shadow_of(name, OTA), TARGET, [b"first", b"more"], salt=salt_of(name))
    for pieces in [*all_splits(stream), *(in_pieces(stream, seed) for seed in range(20))]:
        server = ServerHearing(shadow_of(name, Quirks(one_time_auth=required)))
        server.hears(pieces)
        assert (server.word, bytes(server.payload)) == ("", b"firstmore")
        assert server.request is not None
        assert server.request.target == TARGET


def test_large_payloads_leave_in_chunks_that_old_servers_know() -> None:
    payload = Random(1).randbytes(100_000)  # noqa: S311 - data
    stream = make_request(shadow_of(NAME, OTA), TARGET, [payload], salt=salt_of(NAME))
    parts = [payload[at : at + PAYLOAD_MAX] for at in range(0, len(payload), PAYLOAD_MAX)]
    plain = header(NAME) + b"".join(chunk(NAME, number, part) for number, part in enumerate(parts))
    assert stream == seal(NAME, salt_of(NAME), plain)
    for seed in range(3):
        server = ServerHearing(shadow_of(NAME))
        server.hears(in_pieces(stream, seed))
        assert server.word == ""
        assert server.payload == payload


@pytest.mark.parametrize("size", [0, 1, 0xFFFF])
def test_chunks_of_any_size_are_taken(size: int) -> None:
    data = bytes(size)
    plain = header(NAME) + chunk(NAME, 0, data) + chunk(NAME, 1, b"more")
    for seed in range(3):
        server = ServerHearing(shadow_of(NAME))
        server.hears(in_pieces(seal(NAME, salt_of(NAME), plain), seed))
        assert server.word == ""
        assert server.payload == data + b"more"


def test_chunks_that_became_whole_are_delivered_before_the_next_read() -> None:
    """A read that ended inside a chunk's header lost those before it in old Python."""
    good = header(NAME) + chunk(NAME, 0, b"first") + chunk(NAME, 1, b"second")
    last = chunk(NAME, 2, b"third")
    for cut in range(1, len(last)):
        stream = seal(NAME, salt_of(NAME), good + last)
        server = ServerHearing(shadow_of(NAME))
        server.feed(stream[: len(stream) - len(last) + cut])
        assert bytes(server.payload) == b"firstsecond"
        server.hears([stream[len(stream) - len(last) + cut :]])
        assert (server.word, bytes(server.payload)) == ("", b"firstsecondthird")


@pytest.mark.parametrize("at", range(HASH_SIZE))
def test_a_bad_hash_of_the_header_is_refused(at: int) -> None:
    plain = spoiled(header(NAME), len(TARGET.pack()) + at) + chunk(NAME, 0, b"first")
    for pieces in all_splits(seal(NAME, salt_of(NAME), plain)):
        server = ServerHearing(shadow_of(NAME))
        server.hears(pieces)
        assert (server.word, bytes(server.payload)) == ("ota_header_hmac", b"")


@pytest.mark.parametrize("at", range(2, 17))
def test_a_bad_chunk_ends_the_stream(at: int) -> None:
    """What came whole before it may have gone on; nothing of it and nothing behind it does."""
    plain = header(NAME) + chunk(NAME, 0, b"first") + spoiled(chunk(NAME, 1, b"wrong"), at) + chunk(NAME, 2, b"third")
    stream = seal(NAME, salt_of(NAME), plain)
    for pieces in ([stream], bytewise(stream), in_pieces(stream, at)):
        server = ServerHearing(shadow_of(NAME))
        server.hears(pieces)
        assert server.word == "ota_chunk_hmac"
        assert bytes(server.payload) in (b"", b"first")
    server = ServerHearing(shadow_of(NAME))
    server.hears(bytewise(stream))
    assert bytes(server.payload) == b"first"


@pytest.mark.parametrize("number", [1, 256])
def test_a_chunk_out_of_order_is_refused(number: int) -> None:
    server = ServerHearing(shadow_of(NAME))
    server.hears([seal(NAME, salt_of(NAME), header(NAME) + chunk(NAME, number, b"first"))])
    assert (server.word, bytes(server.payload)) == ("ota_chunk_hmac", b"")


def test_the_number_of_a_chunk_fills_four_bytes() -> None:
    opener = OtaOpener(StreamOpener.begun(lambda data, out: out.__setitem__(slice(0, len(data)), data)), b"iv")
    opener._number = (1 << 32) - 1
    data = b"".join(
        b"\0\1" + hash_of(b"iv" + number.to_bytes(4), letter) + letter
        for number, letter in ((0xFFFFFFFF, b"a"), (0, b"b"), (1, b"c"))
    )
    out = memoryview(bytearray(100))
    assert opener.open(memoryview(data), len(data), out) == (len(data), 3)
    assert bytes(out[:3]) == b"abc"


def test_an_end_inside_a_chunk_is_no_end() -> None:
    stream = make_request(shadow_of(NAME, OTA), TARGET, [b"first", b"more"], salt=salt_of(NAME))
    start = len(salt_of(NAME)) + len(header(NAME))
    ends = {start, start + 12 + 5, start + 12 + 5 + 12 + 4}
    for end in range(len(stream) + 1):
        server = ServerHearing(shadow_of(NAME))
        server.hears([stream[:end]])
        assert server.word == ("" if end in ends else "truncated")


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_request_without_it_where_it_is_wanted(target: Address) -> None:
    stream = make_request(shadow_of(NAME), target, [b"first"], salt=salt_of(NAME))
    for pieces in all_splits(stream):
        server = ServerHearing(shadow_of(NAME, OTA))
        server.hears(pieces)
        assert (server.word, bytes(server.payload)) == ("ota_required", b"")


@pytest.mark.parametrize("name", NAMES)
def test_answers_never_have_it(name: str) -> None:
    quirks = [OTA, Quirks()]
    made = [
        make_response(shadow_of(name, one), [b"answer"], salt=salt_of(name), request_salt=salt_of(name))
        for one in quirks
    ]
    assert made == [seal(name, salt_of(name), b"answer")] * 2


def test_the_client_that_sends_it_owes_a_header_as_any_does() -> None:
    sealer, opener = shadow_of(NAME, OTA).open_stream(TARGET, int, os.urandom)
    assert opener is not None
    assert (sealer.owes, opener.started) == (True, False)
    out = memoryview(bytearray(1000))
    assert sealer.seal(out, 0, out) == 16 + len(header(NAME))
    assert not sealer.owes
    assert sealer.seal(out, 0, out) == 0


def test_a_target_that_has_no_form_is_ours_to_refuse() -> None:
    with pytest.raises(LocalProtocolError):
        shadow_of(NAME, OTA).open_stream(Address("x" * 256, 1), int, bytes)


def test_the_largest_read_behind_the_largest_chunk_fits_the_relays_buffers() -> None:
    scratch = Scratch()
    payload = Random(2).randbytes(READ_MAX)  # noqa: S311 - data
    sealer, _ = shadow_of(NAME, OTA).open_stream(Address("n" * 255, 1), int, lambda _size: salt_of(NAME))
    scratch.inward[:READ_MAX] = payload
    made = sealer.seal(scratch.inward, READ_MAX, scratch.outward)
    assert made < READ_MAX + 2000

    parts = [payload[at : at + 0xFFFF] for at in range(0, len(payload), 0xFFFF)]
    plain = b"".join(chunk(NAME, number, part) for number, part in enumerate(parts))
    stream = seal(NAME, salt_of(NAME), header(NAME) + plain)
    server = ServerHearing(shadow_of(NAME))
    held = 0xFFFF + 11
    server.feed(stream[: -len(plain) + held])
    assert server.request is not None
    opener = server.request.opener
    assert opener is not None
    assert not opener.clean
    rest = stream[-len(plain) + held :]
    scratch.inward[: len(rest)] = rest
    used, made = opener.open(scratch.inward, len(rest), scratch.outward)
    assert (used, made) == (len(rest), len(payload))
    assert scratch.outward[:made] == payload
    assert opener.clean


def test_the_error_is_one_of_authentication() -> None:
    opener = OtaOpener(StreamOpener.begun(lambda data, out: out.__setitem__(slice(0, len(data)), data)), b"iv")
    assert (opener.started, opener.clean) == (True, True)
    with pytest.raises(AuthenticationError):
        opener.open(memoryview(bytes(12)), 12, memoryview(bytearray(12)))


def test_required_or_not_a_replay_is_a_replay() -> None:
    seen = SaltSet()
    quirks = Quirks(one_time_auth=True, refuse_repeats=True)
    stream = make_request(shadow_of(NAME, OTA), TARGET, [b"first"], salt=salt_of(NAME))
    begin = partial(ServerHearing, shadow_of(NAME, quirks), insert=lambda salt, _stamp: seen.insert(salt))
    words = []
    for _ in range(2):
        server = begin()
        server.hears([stream])
        words.append(server.word)
    assert words == ["", "salt_reused"]


def test_little_is_read_at_once_where_chunks_may_be_empty() -> None:
    """A whole read of 1 MiB may hold 87,381 of 12 bytes: one client held all others for a second."""
    assert read_max_of(OtaOpener(StreamOpener(lambda _iv: lambda data, out: None, 0), b"")) == 65536
    slow = StreamOpener(lambda _iv: lambda data, out: None, 0, read_max=8192)
    assert read_max_of(OtaOpener(slow, b"")) == 8192
    sealer, _ = shadow_of("aes-256-cfb1", Quirks(one_time_auth=True)).open_stream(
        Address("192.0.2.1", 80), lambda: 0, os.urandom
    )
    assert read_max_of(sealer) == 8192
