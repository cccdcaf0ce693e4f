"""Streams from anybody, and from somebody with the key: refused alike, however they are cut."""

from __future__ import annotations

from functools import partial
from struct import pack
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.address import Address
from shadesocks.crypto.keys import parse_keys
from shadesocks.crypto.methods import Edition, Method, find_method
from shadesocks.crypto.stream import CIPHERS
from shadesocks.crypto.subkeys import subkey_sha1
from shadesocks.crypto.subkeys_2022 import subkey_blake3
from shadesocks.wire.chunks import Sealer
from shadesocks.wire.editions import make_shadow
from shadesocks.wire.shadow import NO_QUIRKS, Quirks
from tests.fuzz.test_parsers import ADDRESS, SEED, is_declared
from tests.wire.hearing import ClientHearing, Hearing, ServerHearing, make_request, make_response, say
from tests.wire.splits import bytewise, in_pieces

if TYPE_CHECKING:
    from shadesocks.wire.shadow import Shadow

NOW: Final = 1_700_000_000
AEAD: Final = find_method("chacha20-ietf-poly1305")
AEAD_2022: Final = find_method("2022-blake3-aes-128-gcm")
STREAM: Final = find_method("chacha20")
METHODS: Final = (AEAD, AEAD_2022, STREAM, find_method("camellia-128-cfb1"), find_method("none"))
OTA: Final = Quirks(one_time_auth=True)
KEY_TEXT: Final = "AAECAwQFBgcICQoLDA0ODw=="
"""A key of 16 bytes for 2022, and a password like any other for AEAD."""
TARGET: Final = Address("target.example", 443)

PAYLOADS: Final = st.lists(st.binary(max_size=60), max_size=4)
DAMAGE: Final = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "insert", "drop", "repeat"]), st.floats(0, 1), st.binary(min_size=1)),
    min_size=1,
    max_size=3,
)


def shadow_of(method: Method, quirks: Quirks = NO_QUIRKS) -> Shadow:
    return make_shadow(method, parse_keys(method, KEY_TEXT), quirks)


def salt_of(method: Method, fill: int = 1) -> bytes:
    return bytes([fill]) * method.salt_size


def hears_alike(begin: partial[ServerHearing] | partial[ClientHearing], stream: bytes, seed: int) -> Hearing:
    """However the stream is cut, it is refused for the same reason, or gives the same payload.

    A refusal may cost good chunks of the same read; so what one way of cutting forwards begins what another does.
    """
    longest = begin()
    longest.hears(bytewise(stream))
    for pieces in ([stream], in_pieces(stream, seed)):
        hearing = begin()
        hearing.hears(pieces)
        assert hearing.word == longest.word
        if hearing.word:
            assert bytes(longest.payload).startswith(hearing.payload)
        else:
            assert hearing.payload == longest.payload
    assert not longest.word or is_declared(longest.word)
    return longest


def damaged(stream: bytes, damage: list[tuple[str, float, bytes]]) -> bytes:
    """Flip, cut, insert, drop or repeat bytes at some places."""
    data = bytearray(stream)
    for what, where, filler in damage:
        at = int(where * len(data))
        if what == "flip" and at < len(data):
            data[at] ^= filler[0] or 1
        elif what == "cut":
            del data[at:]
        elif what == "insert":
            data[at:at] = filler
        elif what == "drop":
            del data[at : at + len(filler)]
        elif what == "repeat":
            data[at:at] = data[max(0, at - len(filler)) : at]
    return bytes(data)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@given(stream=st.binary(max_size=200), seed=SEED)
def test_noise(method: Method, stream: bytes, seed: int) -> None:
    server = hears_alike(partial(ServerHearing, shadow_of(method), NOW), stream, seed)
    if method.edition is Edition.STREAM:  # by chance it may be anything
        client = hears_alike(partial(ClientHearing, shadow_of(method), salt_of(method), NOW), stream, seed)
        assert client.word == ("truncated" if 0 < len(stream) < method.salt_size else "")
        assert len(client.payload) == max(0, len(stream) - method.salt_size)
    elif method.key_size:
        assert server.word in ("auth_failed", "truncated")
        assert not server.payload
        client = hears_alike(partial(ClientHearing, shadow_of(method), salt_of(method), NOW), stream, seed)
        # A salt alone is a whole answer without payload.
        assert client.word in ("auth_failed", "truncated") or len(stream) in (0, method.salt_size)
        assert not client.payload


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@given(payloads=PAYLOADS, seed=SEED)
def test_good_streams(method: Method, payloads: list[bytes], seed: int) -> None:
    shadow, whole = shadow_of(method), b"".join(payloads)
    request = make_request(shadow, TARGET, payloads or [b""], salt=salt_of(method), now=NOW)
    server = hears_alike(partial(ServerHearing, shadow, NOW), request, seed)
    assert (server.word, bytes(server.payload)) == ("", whole)
    answer = make_response(shadow, payloads, salt=salt_of(method, 2), request_salt=salt_of(method), now=NOW)
    client = hears_alike(partial(ClientHearing, shadow, salt_of(method), NOW), answer, seed)
    assert (client.word, bytes(client.payload)) == ("", whole)


@pytest.mark.parametrize("method", METHODS[:2], ids=lambda method: method.name)
@given(payloads=PAYLOADS, damage=DAMAGE, seed=SEED)
def test_damaged_streams_give_the_beginning_of_what_was_sent(
    method: Method, payloads: list[bytes], damage: list[tuple[str, float, bytes]], seed: int
) -> None:
    shadow, whole = shadow_of(method), b"".join(payloads)
    request = damaged(make_request(shadow, TARGET, payloads or [b""], salt=salt_of(method), now=NOW), damage)
    server = hears_alike(partial(ServerHearing, shadow, NOW), request, seed)
    assert whole.startswith(server.payload)
    answer = make_response(shadow, payloads, salt=salt_of(method, 2), request_salt=salt_of(method), now=NOW)
    client = hears_alike(partial(ClientHearing, shadow, salt_of(method), NOW), damaged(answer, damage), seed)
    assert whole.startswith(client.payload)


@given(chunks=st.lists(st.one_of(st.binary(max_size=40), ADDRESS), max_size=5), seed=SEED)
def test_aead_with_the_key_and_any_plaintext(chunks: list[bytes], seed: int) -> None:
    salt = salt_of(AEAD)
    (key,) = parse_keys(AEAD, KEY_TEXT)

    def start(sealer: Sealer, source: memoryview, size: int, out: memoryview) -> tuple[int, int]:
        sealer.rekey(subkey_sha1(key, salt))
        out[: len(salt)] = salt
        return 0, len(salt)

    stream = say(Sealer(AEAD, start, owes=True), chunks)
    server = hears_alike(partial(ServerHearing, shadow_of(AEAD), NOW), stream, seed)
    assert server.word in ("", "truncated", "bad_atyp", "empty_domain", "bad_domain")
    if not server.word:
        assert b"".join(chunks).endswith(server.payload)


def sealed(plain: bytes) -> bytes:
    """A stream of that plaintext."""
    (key,) = parse_keys(STREAM, KEY_TEXT)
    out = bytearray(len(plain))
    CIPHERS[STREAM.cipher](key).seal(salt_of(STREAM))(plain, memoryview(out))
    return salt_of(STREAM) + bytes(out)


@pytest.mark.parametrize("quirks", [NO_QUIRKS, OTA])
@given(plain=st.one_of(st.binary(max_size=40), ADDRESS), more=st.binary(max_size=40), seed=SEED)
def test_a_stream_cipher_with_the_key_and_any_plaintext(plain: bytes, more: bytes, seed: int, quirks: Quirks) -> None:
    server = hears_alike(partial(ServerHearing, shadow_of(STREAM, quirks), NOW), sealed(plain + more), seed)
    if server.word == "":
        assert quirks is NO_QUIRKS
        assert server.request  # type: ignore[attr-defined]  # of a server
        assert (plain + more).endswith(server.payload)


@given(payloads=PAYLOADS, seed=SEED)
def test_one_time_auth(payloads: list[bytes], seed: int) -> None:
    request = make_request(shadow_of(STREAM, OTA), TARGET, payloads or [b""], salt=salt_of(STREAM))
    for quirks in (OTA, NO_QUIRKS):
        server = hears_alike(partial(ServerHearing, shadow_of(STREAM, quirks), NOW), request, seed)
        assert (server.word, bytes(server.payload)) == ("", b"".join(payloads))


@given(payloads=PAYLOADS, damage=DAMAGE, seed=SEED)
def test_one_time_auth_of_damaged_streams(
    payloads: list[bytes], damage: list[tuple[str, float, bytes]], seed: int
) -> None:
    """Where it is wanted: a stream that lost its flag is one without it to a server that takes both."""
    request = make_request(shadow_of(STREAM, OTA), TARGET, payloads or [b""], salt=salt_of(STREAM))
    server = hears_alike(partial(ServerHearing, shadow_of(STREAM, OTA), NOW), damaged(request, damage), seed)
    assert b"".join(payloads).startswith(server.payload)


VARIABLE: Final = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda size, filler: TARGET.pack() + pack(">H", size) + filler,
        st.one_of(st.integers(0, 20), st.just(0xFFFF)),
        st.binary(max_size=20),
    ),
    st.builds(lambda address, filler: address + b"\0\x01\0" + filler, ADDRESS, st.binary(max_size=20)),
)


@given(
    kind=st.one_of(st.just(0), st.integers(0, 255)),
    stamp=st.one_of(st.integers(NOW - 35, NOW + 35), st.integers(0, 2**64 - 1)),
    announced=st.one_of(st.none(), st.integers(0, 0xFFFF)),
    variable=VARIABLE,
    chunks=PAYLOADS,
    seed=SEED,
)
def test_aead_2022_with_the_key_and_any_header(
    kind: int, stamp: int, announced: int | None, variable: bytes, chunks: list[bytes], seed: int
) -> None:
    salt = salt_of(AEAD_2022)
    (key,) = parse_keys(AEAD_2022, KEY_TEXT)

    def start(sealer: Sealer, source: memoryview, size: int, out: memoryview) -> tuple[int, int]:
        sealer.rekey(subkey_blake3(key, salt))
        out[: len(salt)] = salt
        fixed = pack(">BQH", kind, stamp, len(variable) if announced is None else announced)
        end = sealer.put(fixed, out, len(salt))
        return 0, sealer.put(variable, out, end)

    stream = say(Sealer(AEAD_2022, start, owes=True), [b"", *chunks])
    server = hears_alike(partial(ServerHearing, shadow_of(AEAD_2022), NOW), stream, seed)
    if kind:
        assert server.word == "bad_type"
    elif abs(stamp - NOW) > 30:
        assert server.word == "bad_timestamp"
    elif announced not in (None, len(variable)):
        assert server.word in ("auth_failed", "truncated")
    elif not server.word:
        assert (variable + b"".join(chunks)).endswith(server.payload)
