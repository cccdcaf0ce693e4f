"""AEAD-2022 datagrams of several users: whose a session is, and what each may do to the others (nothing)."""

from __future__ import annotations

import pytest

from shadesocks.crypto.methods import METHODS
from shadesocks.crypto.subkeys_2022 import key_hash
from shadesocks.wire.editions import make_packets

from .talking import Client, Server, word_of
from .test_identity import AES, NOW, TARGET, User, key, packets, users


@pytest.mark.parametrize("name", AES)
def test_datagrams_of_two_users_with_one_session_id(name: str) -> None:
    """Each has a session of its own: neither uses up the other's ids, nor hears what is for the other."""
    host = Server(packets(name, "i", "ab"))
    talking = {letter: Client(packets(name, f"i{letter}")) for letter in "ab"}
    for letter, one in talking.items():
        heard = host.hears(one.says(TARGET, letter.encode(), NOW), NOW)
        assert (heard.target, heard.payload) == (TARGET, letter.encode())
        assert isinstance(host.last, bytes)
        assert host.last == key_hash(key(name, letter)) + (1).to_bytes(8)
        assert host.talks[host.last].user == User(letter, (key(name, letter),))  # type: ignore[attr-defined]
        answer = host.says(TARGET, b"for " + letter.encode(), NOW)
        other = talking["b" if letter == "a" else "a"]
        assert word_of(other.hears, answer, NOW) == "auth_failed"
        assert one.hears(answer, NOW).payload == b"for " + letter.encode()
    assert len(host.talks) == 2


@pytest.mark.parametrize("name", AES)
@pytest.mark.parametrize("chain", ["ic", "ja", "i", "a", "ija"])
def test_datagrams_of_nobody(name: str, chain: str) -> None:
    host = Server(packets(name, "i", "ab"))
    assert word_of(host.hears, Client(packets(name, chain)).says(TARGET, b"x" * 99, NOW), NOW) == "unknown_user"
    assert not host.talks


@pytest.mark.parametrize("name", AES)
def test_datagrams_cut_at_every_length(name: str) -> None:
    host = Server(packets(name, "i", "ab"))
    good = Client(packets(name, "ia")).says(TARGET, b"payload", NOW)
    for size in range(len(good)):
        assert word_of(host.hears, good[:size], NOW) in ("truncated_header", "auth_failed")
    assert not host.talks
    assert host.hears(good, NOW).payload == b"payload"
    assert word_of(host.hears, good, NOW) == "packet_id_seen"


def test_several_processes_tell_sessions_of_users_apart() -> None:
    """What they share of a session has eight bytes: of two users with one id they are not the same."""
    name = AES[0]
    claimed: list[bytes] = []

    def claim(session: bytes, _window: object, _packet_id: int, _now: int) -> bool:
        claimed.append(session)
        return True

    host = Server(
        make_packets(METHODS[name], [key(name, "i")], bytes, lambda _salt: True, claim=claim, users=users(name))
    )
    for letter in "ab":
        host.hears(Client(packets(name, f"i{letter}")).says(TARGET, b"x", NOW), NOW)
    assert len({*claimed}) == len(claimed) == 2
    assert all(len(session) == 8 for session in claimed)
