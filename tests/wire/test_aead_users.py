"""AEAD streams of several users on one port: who is found, at every split, and that nobody else learns anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.address import Address
from shadesocks.core.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError, ReplayError
from shadesocks.crypto.aead import TAG_SIZE
from shadesocks.crypto.methods import METHODS
from shadesocks.crypto.subkeys import subkey_sha1
from shadesocks.wire.aead_users import AeadUsersShadow
from shadesocks.wire.chunks import SIZE_SIZE, Sealer
from shadesocks.wire.editions import make_shadow, make_tried_shadow
from shadesocks.wire.reader import Reader
from tests.fuzz.test_streams import DAMAGE, damaged

from .codecs import AEAD, AEAD2022, salt_of
from .hearing import ClientHearing, ServerHearing, make_request, say
from .keyrings import client_shadow, keyring_of, user_key
from .splits import all_splits, in_pieces

TARGET = Address("target.example", 443)


def request(name: str, number: int, payloads: tuple[bytes, ...] = (b"first", b"more")) -> bytes:
    return make_request(client_shadow(name, number), TARGET, payloads, salt=salt_of(name))


@pytest.mark.parametrize("name", AEAD)
@pytest.mark.parametrize(("count", "number"), [(1, 0), (10, 0), (10, 9), (100, 57)])
def test_each_is_found_at_every_split(name: str, count: int, number: int) -> None:
    keyring = keyring_of(name, count)
    stream = request(name, number)
    splits = all_splits(stream) if count < 100 else [in_pieces(stream, seed) for seed in range(5)]
    for pieces in splits:
        server = ServerHearing(make_tried_shadow(METHODS[name], keyring))
        server.hears(pieces)
        assert (server.word, bytes(server.payload)) == ("", b"firstmore")
        assert server.request is not None
        assert server.request.target == TARGET
        assert server.request.salt == salt_of(name)
        assert server.request.user is keyring.holder(user_key(name, number))


@pytest.mark.parametrize("name", AEAD)
def test_the_answer_is_for_its_user_alone(name: str) -> None:
    server = ServerHearing(make_tried_shadow(METHODS[name], keyring_of(name, 3)), random=lambda size: b"a" * size)
    server.feed(request(name, 1))
    assert server.request is not None
    answer = say(server.request.sealer, [b"answer"])
    for number, word, payload in ((1, "", b"answer"), (0, "auth_failed", b""), (7, "auth_failed", b"")):
        client = ClientHearing(client_shadow(name, number), salt_of(name))
        client.hears([answer])
        assert (client.word, bytes(client.payload)) == (word, payload)


def ends(name: str, shadow: object, stream: bytes) -> list[tuple[int, str]]:
    """After how many bytes a stream is refused, and why; at every split in two."""
    found = []
    for at in range(1, len(stream) + 1):
        hearing = ServerHearing(shadow)  # type: ignore[arg-type]
        hearing.feed(stream[:at])
        if hearing.word:
            found.append((at, hearing.word))
            break
    return found


@pytest.mark.parametrize("name", AEAD)
def test_who_has_no_key_is_refused_at_the_same_byte_as_with_one_key(name: str) -> None:
    """Wrong from the salt on, in the size, in the payload, a size too large, an address that is none."""
    method = METHODS[name]
    one, many = make_shadow(method, [user_key(name, 0)]), make_tried_shadow(method, keyring_of(name, 40))
    good = request(name, 0)
    streams = [bytes(200), request(name, 99), good[: method.salt_size + SIZE_SIZE] + bytes(100)]
    places = (0, method.salt_size, method.salt_size + 2, method.salt_size + SIZE_SIZE + TAG_SIZE)
    streams += [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in places]
    streams.append(good[: method.salt_size] + say(sealer_of(name), [b"\7" * 30]))
    for stream in streams:
        with_one = ends(name, one, stream)
        with_many = ends(name, many, stream)
        assert [at for at, _ in with_many] == [at for at, _ in with_one]
        assert with_one


def sealer_of(name: str) -> Sealer:
    """What seals chunks under the key of user 0 and the fixed salt, without an address."""

    def start(sealer: Sealer, _source: memoryview, _size: int, _out: memoryview) -> tuple[int, int]:
        sealer.rekey(subkey_sha1(user_key(name, 0), salt_of(name)))
        return 0, 0

    return Sealer(METHODS[name], start, owes=False)


@pytest.mark.parametrize("name", AEAD)
def test_a_known_salt_is_refused_before_any_key_is_tried(name: str) -> None:
    shadow = AeadUsersShadow(METHODS[name], None)  # type: ignore[arg-type]  # who asks it fails
    reader = Reader(shadow.seek(lambda _salt: True))
    with pytest.raises(ReplayError):
        reader.feed(salt_of(name))


@pytest.mark.parametrize("name", AEAD)
def test_no_more_is_read_before_the_search_than_what_is_tried(name: str) -> None:
    stream = request(name, 0)
    shadow = AeadUsersShadow(METHODS[name], keyring_of(name, 1))
    size = METHODS[name].salt_size + SIZE_SIZE
    assert Reader(shadow.seek(lambda _salt: False)).feed(stream[: size - 1]) is None
    sought = Reader(shadow.seek(lambda _salt: False)).feed(stream[:size])
    assert sought is not None
    assert sought.salt + sought.sealed == stream[:size]


def test_who_was_found_is_tried_first_the_next_time() -> None:
    name = AEAD[0]
    keyring = keyring_of(name, 50)
    server = ServerHearing(make_tried_shadow(METHODS[name], keyring))
    server.hears([request(name, 33)])
    assert next(keyring.candidates(b"anywhere")) == user_key(name, 33)


def test_a_user_who_was_taken_away_during_the_search_is_nobody() -> None:
    name = AEAD[0]
    keyring = keyring_of(name, 5)
    shadow = AeadUsersShadow(METHODS[name], keyring)
    sought = Reader(shadow.seek(lambda _salt: False)).feed(request(name, 4))
    assert sought is not None
    search = shadow.search(sought, b"")
    assert search.step()
    assert search.key == user_key(name, 4)
    keyring.set([])
    with pytest.raises(AuthenticationError):
        Reader(shadow.go_on(sought, search, lambda: 0, bytes))


def test_which_methods_have_it() -> None:
    keyring = keyring_of(AEAD[0], 1)
    for name, method in METHODS.items():
        if name in AEAD:
            assert isinstance(make_tried_shadow(method, keyring), AeadUsersShadow)
        else:
            with pytest.raises(LocalProtocolError):
                make_tried_shadow(method, keyring)
    assert not any(METHODS[name].is_tried for name in AEAD2022)


def test_it_is_a_server() -> None:
    shadow = make_tried_shadow(METHODS[AEAD[0]], keyring_of(AEAD[0], 1))
    with pytest.raises(LocalProtocolError):
        shadow.open_stream(TARGET, lambda: 0, bytes)


def test_nobody_is_found_in_an_empty_table() -> None:
    name = AEAD[0]
    server = ServerHearing(make_tried_shadow(METHODS[name], keyring_of(name, 0)))
    with pytest.raises(RemoteProtocolError):
        server._take(request(name, 0))


@given(payloads=st.lists(st.binary(max_size=60), max_size=3), damage=DAMAGE, seed=st.integers(0, 1000))
def test_whatever_comes_is_heard_as_with_one_key(
    payloads: list[bytes], damage: list[tuple[str, float, bytes]], seed: int
) -> None:
    name = AEAD[0]
    stream = damaged(make_request(client_shadow(name, 20), TARGET, payloads, salt=salt_of(name)), damage)
    heard = []
    for shadow in (client_shadow(name, 20), make_tried_shadow(METHODS[name], keyring_of(name, 40))):
        hearing = ServerHearing(shadow)
        hearing.hears(in_pieces(stream, seed))
        word = "auth_failed" if hearing.word == "unknown_user" else hearing.word
        target = None if hearing.request is None else hearing.request.target
        heard.append((word, target, bytes(hearing.payload)))
    assert heard[0] == heard[1]
