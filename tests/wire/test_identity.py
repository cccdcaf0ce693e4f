"""Identity headers: who is found, who is not, and what each of several users may do to the others (nothing)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.address import Address
from shadesocks.crypto.keys import IDENTITIES_MOST
from shadesocks.crypto.methods import METHODS
from shadesocks.crypto.subkeys_2022 import key_hash
from shadesocks.wire.editions import make_packets, make_shadow
from shadesocks.wire.identity import (
    ByIdentity,
    PacketDoor,
    PacketIdentities,
    StreamIdentities,
    key_of,
    stream_tag,
)
from shadesocks.wire.packet import HEADROOM, OVERHEAD_MAX, PacketShadow
from shadesocks.wire.shadow import Shadow

from .hearing import ClientHearing, ServerHearing, make_request, say
from .splits import all_splits
from .talking import Client

TARGET: Final = Address("target.example", 443)
NOW: Final = 1_700_000_000
AES: Final = ("2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm")


@dataclass(frozen=True)
class User:
    name: str
    keys: tuple[bytes, ...]


def key(name: str, letter: str) -> bytes:
    return letter.encode() * METHODS[name].key_size


def users(name: str, letters: str = "ab") -> ByIdentity:
    return {key_hash(user.keys[0]): user for user in (User(letter, (key(name, letter),)) for letter in letters)}.get


def server(name: str, letters: str = "ab") -> Shadow:
    return make_shadow(METHODS[name], [key(name, "i")], users=users(name, letters))


def client(name: str, chain: str) -> Shadow:
    return make_shadow(METHODS[name], [key(name, letter) for letter in chain])


def request(name: str, chain: str, salt: bytes = b"s") -> bytes:
    return make_request(client(name, chain), TARGET, [b"hello", b"again"], salt=salt * METHODS[name].salt_size, now=NOW)


def packets(name: str, chain: str, letters: str | None = None) -> PacketShadow:
    keys = [key(name, letter) for letter in chain]
    known = None if letters is None else users(name, letters)
    return make_packets(METHODS[name], keys, partial(_count, iter(range(1, 1000))), lambda _salt: True, users=known)


def _count(numbers: object, size: int) -> bytes:
    return next(numbers).to_bytes(size)  # type: ignore[call-overload, no-any-return]  # an iterator of numbers


def test_which_methods_have_them() -> None:
    assert tuple(name for name, method in METHODS.items() if method.has_identities) == AES


@pytest.mark.parametrize("name", AES)
@pytest.mark.parametrize("letter", ["a", "b"])
def test_a_stream_names_its_user(name: str, letter: str) -> None:
    stream = request(name, f"i{letter}")
    for pieces in all_splits(stream[:120]):
        hearing = ServerHearing(server(name), NOW)
        hearing.hears([*pieces, stream[120:]])
        assert (hearing.word, bytes(hearing.payload)) == ("", b"helloagain")
        assert hearing.request is not None
        assert hearing.request.user == User(letter, (key(name, letter),))


@pytest.mark.parametrize("name", AES)
def test_an_answer_is_for_its_user_alone(name: str) -> None:
    hearing = ServerHearing(server(name), NOW)
    hearing.hears([request(name, "ia")])
    assert hearing.request is not None
    answer = say(hearing.request.sealer, [b"answer"])
    for chain, word, payload in (("ia", "", b"answer"), ("ib", "auth_failed", b""), ("i", "auth_failed", b"")):
        listening = ClientHearing(client(name, chain), b"s" * METHODS[name].salt_size, NOW)
        listening.hears([answer])
        assert (listening.word, bytes(listening.payload)) == (word, payload), chain


@pytest.mark.parametrize("name", AES)
@pytest.mark.parametrize(
    ("chain", "word"),
    [
        ("ic", "unknown_user"),
        ("ja", "unknown_user"),
        ("i", "unknown_user"),
        ("a", "unknown_user"),
        ("ija", "unknown_user"),
    ],
)
def test_who_is_nobody(name: str, chain: str, word: str) -> None:
    """An unknown user, another server's, the server's own key, the user's alone, a chain that is too long."""
    hearing = ServerHearing(server(name), NOW)
    hearing.hears([request(name, chain)])
    assert (hearing.word, bytes(hearing.payload), hearing.request) == ("unknown_user", b"", None)


@pytest.mark.parametrize("name", AES)
def test_one_users_tag_does_not_go_with_anothers_key(name: str) -> None:
    salt = b"s" * METHODS[name].salt_size
    good, other = request(name, "ia"), request(name, "ib")
    forged = salt + good[len(salt) : len(salt) + 16] + other[len(salt) + 16 :]
    hearing = ServerHearing(server(name), NOW)
    hearing.hears([forged])
    assert (hearing.word, hearing.request) == ("auth_failed", None)


@pytest.mark.parametrize("name", AES)
def test_nobody_costs_as_many_bytes_as_a_wrong_key(name: str) -> None:
    """A refusal comes with the same byte, so that a server which closes at once tells nothing by when it does."""
    salt = b"s" * METHODS[name].salt_size
    good, other, nobody = (request(name, chain) for chain in ("ia", "ib", "ic"))
    forged = good[: len(salt) + 16] + other[len(salt) + 16 :]
    ends = []
    for stream in (nobody, forged):
        hearing = ServerHearing(server(name), NOW)
        at = 0
        while not hearing.word:
            hearing.feed(stream[at : at + 1])
            at += 1
        ends.append(at)
    assert ends == [server(name).first_read_size] * 2


@pytest.mark.parametrize("name", AES)
def test_no_user_at_all_demands_a_header_too(name: str) -> None:
    for chain in ("i", "ia"):
        hearing = ServerHearing(server(name, ""), NOW)
        hearing.hears([request(name, chain)])
        assert hearing.word == "unknown_user"


@pytest.mark.parametrize("name", AES)
def test_a_first_read_has_the_header_in_it(name: str) -> None:
    stream, least = request(name, "ia"), server(name).first_read_size
    assert least == client(name, "ia").first_read_size + 16
    for size, word in ((least, ""), (least - 1, "short_first_read")):
        hearing = ServerHearing(server(name), NOW, strict_first_read=True)
        hearing.hears([stream[:size], stream[size:]])
        assert hearing.word == word


@given(st.binary(min_size=16, max_size=16), st.integers(min_value=1, max_value=IDENTITIES_MOST))
def test_what_is_packed_is_read(separate: bytes, count: int) -> None:
    """Every header of a chain, one server after the other; of streams and of datagrams."""
    keys = [bytes([number]) * 32 for number in range(count + 1)]
    front = PacketIdentities(keys).front(separate)
    assert len(front) == PacketIdentities(keys).size == 16 * (count + 1)
    headers = StreamIdentities(keys).headers(b"s" * 32)
    assert len(headers) == StreamIdentities(keys).size == 16 * count
    for number in range(count):
        here, following = keys[number], keys[number + 1]
        at = 16 * number
        assert stream_tag(here, b"s" * 32, memoryview(headers)[at : at + 16]) == key_hash(following)
        mine = PacketIdentities([here, here]).front(separate)[:16] + front[at + 16 : at + 32]
        assert PacketDoor(here).read(memoryview(mine)) == (separate, key_hash(following))


def test_the_longest_chain_has_room() -> None:
    name = AES[1]
    chain = [bytes([number]) * 32 for number in range(IDENTITIES_MOST + 1)]
    shadow = make_packets(METHODS[name], chain, bytes, lambda _salt: True)
    assert len(Client(shadow).says(TARGET, b"x", NOW)) < OVERHEAD_MAX
    assert 16 * (IDENTITIES_MOST + 1) + HEADROOM - 100 < OVERHEAD_MAX


@pytest.mark.parametrize("name", AES)
def test_each_key_of_one_user_lets_him_in(name: str) -> None:
    keys = tuple(key(name, letter) for letter in "ab")
    anna = User("anna", keys)
    table = {key_hash(each): anna for each in keys}.get
    for each in keys:
        client = make_shadow(METHODS[name], [key(name, "s"), each])
        hearing = ServerHearing(make_shadow(METHODS[name], [key(name, "s")], users=table), NOW)
        hearing.hears([make_request(client, TARGET, [b"hello"], salt=b"s" * METHODS[name].salt_size, now=NOW)])
        assert hearing.word == ""
        assert hearing.request is not None
        assert hearing.request.user is anna
    assert key_of(anna, key_hash(keys[1])) == keys[1]
    assert key_of(anna, key_hash(b"of nobody")) == keys[0]
