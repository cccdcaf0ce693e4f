"""AEAD datagrams of several users on one port."""

from __future__ import annotations

from collections.abc import Hashable
from os import urandom

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from shadesocks.crypto.methods import METHODS
from shadesocks.proxy.users.table import UserTable
from shadesocks.proxy.users.user import User
from shadesocks.wire import packet_aead_users
from shadesocks.wire.editions import make_packets, make_tried_packets
from shadesocks.wire.packet import PACKET_MAX, UnsettledError
from shadesocks.wire.packet_aead_users import AeadUsersHost

from .codecs import AEAD, SaltSet
from .keyrings import keyring_of, user_key
from .talking import Client, Heard, Server, sealed, word_of

TARGET = Address("target.example", 443)


def client(name: str, number: int) -> Client:
    return Client(make_packets(METHODS[name], [user_key(name, number)], urandom, SaltSet().insert))


def group_of(source: Hashable) -> bytes:
    """Of "here 1" and "here 2" the same."""
    return str(source).partition(" ")[0].encode()


class Patient(Server):
    """A server that waits for every search, as a relay does."""

    def __init__(self, name: str, count: int = 0, keyring: UserTable[User] | None = None) -> None:
        self.keyring = keyring or keyring_of(name, count)
        super().__init__(make_tried_packets(METHODS[name], self.keyring, urandom, SaltSet().insert, group_of))
        self.waited = 0

    def hears(self, packet: bytes, now: int = 0, source: Hashable = "here 1") -> Heard:
        try:
            return super().hears(packet, now, source)
        except UnsettledError as error:
            self.waited += 1
            search = error.search
            while not search.step():
                pass
            assert (search.packet, search.source) == (packet, source)
            if not search.settle():
                raise AuthenticationError from None
            return super().hears(packet, now, source)

    @property
    def user(self) -> str:
        """The name of who spoke last."""
        name: str = self.talks[self.last].user.name  # type: ignore[attr-defined]  # what these talks have
        return name


@pytest.mark.parametrize("name", AEAD)
@pytest.mark.parametrize("count", [1, 10, 100])
def test_both_ways(name: str, count: int) -> None:
    server = Patient(name, count)
    for number in (0, count - 1, count // 2):
        one = client(name, number)
        source = f"here {number}"
        for payload in (b"question", b"q" * 1300):
            heard = server.hears(one.says(TARGET, payload), source=source)
            assert (heard.target, heard.payload) == (TARGET, payload)
            assert server.user == f"user {number}"
            heard = one.hears(server.says(TARGET, b"answer"))
            assert (heard.target, heard.payload) == (TARGET, b"answer")


@pytest.mark.parametrize("name", AEAD)
def test_who_is_known_at_an_address_is_searched_for_once(name: str) -> None:
    server = Patient(name, 100)
    one = client(name, 80)
    for _ in range(5):
        server.hears(one.says(TARGET, b"question"))
    assert server.waited == 1
    server.hears(one.says(TARGET, b"question"), source="here 2")
    assert server.waited == 1, "another port of the same address"
    server.hears(one.says(TARGET, b"question"), source="there 1")
    assert server.waited == 2


@pytest.mark.parametrize("name", AEAD)
def test_two_users_behind_one_address_have_a_session_each(name: str) -> None:
    server = Patient(name, 100)
    clients = {number: client(name, number) for number in (3, 90)}
    for _ in range(3):
        for number, one in clients.items():
            heard = server.hears(one.says(TARGET, b"from %d" % number))
            assert heard.payload == b"from %d" % number
            assert server.user == f"user {number}"
            answer = server.says(TARGET, b"to %d" % number)
            assert one.hears(answer).payload == b"to %d" % number
            other = clients[93 - number]
            assert word_of(other.hears, answer) == "auth_failed"
    assert len(server.talks) == 2
    assert server.waited == 2, "once each"


@pytest.mark.parametrize("name", AEAD)
def test_what_is_nobodys_creates_nothing(name: str) -> None:
    server = Patient(name, 40)
    good = client(name, 7).says(TARGET, b"question")
    assert word_of(server.hears, client(name, 99).says(TARGET, b"question")) == "auth_failed"
    bare = METHODS[name].salt_size + 16
    for size in (0, 1, bare, bare + 1, len(good) - 1):
        assert word_of(server.hears, good[:size]) == ("truncated_header" if size <= bare else "auth_failed")
    for at in range(0, len(good), 7):
        spoiled = bytearray(good)
        spoiled[at] ^= 1
        assert word_of(server.hears, bytes(spoiled)) == "auth_failed"
    assert word_of(server.hears, urandom(PACKET_MAX)) == "auth_failed"
    assert not server.talks
    assert server.hears(good).payload == b"question"


@pytest.mark.parametrize("name", AEAD)
def test_a_replay_is_refused_and_makes_nobody_known(name: str) -> None:
    server = Patient(name, 100)
    packet = client(name, 50).says(TARGET, b"question")
    server.hears(packet)
    assert word_of(server.hears, packet) == "salt_reused"
    with pytest.raises(RemoteProtocolError):
        server.hears(packet, source="elsewhere 1")
    host = server.host
    assert isinstance(host, AeadUsersHost)
    assert set(host._known) == {"here 1"}
    server.keyring.used(user_key(name, 2), b"elsewhere")
    assert [*server.keyring.candidates(b"elsewhere")][:2] == [user_key(name, 2), user_key(name, 50)]


@pytest.mark.parametrize("name", AEAD)
@pytest.mark.parametrize("message", [b"", b"\x05" + bytes(300), b"\x03\0\0\x50", b"\x01\x7f\0\0"])
def test_a_message_without_an_address_creates_nothing(name: str, message: bytes) -> None:
    server = Patient(name, 3)
    packet = sealed(client(name, 0).talk, message, len(message), 0)
    assert word_of(server.hears, packet) in ("truncated_header", "bad_atyp", "empty_domain", "auth_failed")
    assert not server.talks


@pytest.mark.parametrize("name", AEAD[:2])
def test_who_is_taken_away_is_heard_no_more_and_who_comes_is_heard(name: str) -> None:
    server = Patient(name, 3)
    one, other = client(name, 0), client(name, 40)
    server.hears(one.says(TARGET, b"question"))
    server.keyring.set([User("late", (user_key(name, 40),))])
    assert word_of(server.hears, one.says(TARGET, b"question")) == "auth_failed"
    server.hears(other.says(TARGET, b"question"), source="there 1")
    assert server.user == "late"


def test_a_packet_whose_user_is_taken_away_during_its_search() -> None:
    name = AEAD[0]
    server = Patient(name, 100)
    packet = client(name, 99).says(TARGET, b"question")
    with pytest.raises(UnsettledError) as caught:
        Server.hears(server, packet)
    assert caught.value.code == "auth_failed", "for whoever cannot wait"
    search = caught.value.search
    while not search.step():
        pass
    assert search.settle()
    server.keyring.set([])
    assert word_of(server.hears, packet) == "auth_failed"


def test_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_aead_users, "KNOWN_MOST", 4)
    name = AEAD[0]
    server = Patient(name, 3)
    one = client(name, 1)
    for number in range(10):
        server.hears(one.says(TARGET, b"question"), source=f"here {number}")
    host = server.host
    assert isinstance(host, AeadUsersHost)
    assert list(host._known) == [f"here {number}" for number in range(6, 10)]


def test_which_methods_have_it() -> None:
    name = AEAD[0]
    with pytest.raises(LocalProtocolError):
        make_tried_packets(METHODS["none"], keyring_of(name, 1), urandom, SaltSet().insert, group_of)
    packets = make_tried_packets(METHODS[name], keyring_of(name, 1), urandom, SaltSet().insert, group_of)
    assert packets.idle_min == 0
    with pytest.raises(LocalProtocolError):
        packets.join()
