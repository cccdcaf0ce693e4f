"""AEAD-2022 datagrams over time: packet ids, sessions side by side, servers that start anew."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random as Shuffle
from typing import Final

import pytest

from shadesocks.core.address import Address
from shadesocks.crypto.aead import Keyed
from shadesocks.crypto.window import WINDOW_SIZE

from .codecs import AEAD2022, packets_of
from .crafting import craft, down, up
from .talking import Client, Heard, Server, word_of

TARGET: Final = Address("target.example", 443)
NOW: Final = 1_700_000_000
MESSAGE: Final = TARGET.pack() + b"payload"
CLIENT_ID: Final = b"client-1"
LAST: Final = 2**64 - 1
"""The highest packet id there is."""

Say = Callable[..., bytes]
"""(packet id, how the body differs) -> a packet of one session."""


def up_side(name: str) -> tuple[Callable[[bytes, int], Heard], Say]:
    """A server, and what says packets of one session to it."""
    return Server(packets_of(name)).hears, lambda packet_id, stamp=NOW, message=MESSAGE, **changes: craft(
        name, CLIENT_ID, packet_id, up(stamp, message, **changes)
    )


def down_side(name: str) -> tuple[Callable[[bytes, int], Heard], Say]:
    """A client, and what says packets of one server session to it."""
    client = Client(packets_of(name, lambda size: CLIENT_ID[:size].ljust(size, b"\0")))
    return client.hears, lambda packet_id, stamp=NOW, message=MESSAGE, client_id=CLIENT_ID, **changes: craft(
        name, b"server-1", packet_id, down(stamp, client_id, message, **changes)
    )


sides = pytest.mark.parametrize("side", [up_side, down_side])
methods = pytest.mark.parametrize("name", AEAD2022)
Side = Callable[[str], tuple[Callable[[bytes, int], Heard], Say]]


@sides
@methods
def test_a_packet_is_good_once_in_any_order(name: str, side: Side) -> None:
    hears, say = side(name)
    order = list(range(300))
    Shuffle(1).shuffle(order)  # noqa: S311 - a test's choice, not a secret
    for packet_id in order:
        assert word_of(hears, say(packet_id), NOW) == ""
        assert word_of(hears, say(packet_id), NOW) == "packet_id_seen"
    assert {word_of(hears, say(packet_id), NOW) for packet_id in order} == {"packet_id_seen"}


@sides
@methods
def test_another_packet_with_a_seen_id_is_refused(name: str, side: Side) -> None:
    """It is the id that is judged, not the bytes."""
    hears, say = side(name)
    hears(say(7), NOW)
    assert word_of(hears, say(7, message=TARGET.pack() + b"other"), NOW) == "packet_id_seen"
    assert word_of(hears, say(7, stamp=NOW + 1), NOW) == "packet_id_seen"


@sides
@methods
def test_ids_far_ahead_and_far_behind(name: str, side: Side) -> None:
    hears, say = side(name)
    for packet_id, word in (
        (0, ""),
        (20_000, ""),
        (20_000 - WINDOW_SIZE, ""),
        (20_000 - WINDOW_SIZE - 1, "packet_id_seen"),
        (1, "packet_id_seen"),
        (2**63, ""),
        (20_001, "packet_id_seen"),
        (LAST, ""),
        (LAST, "packet_id_seen"),
        (LAST - 1, ""),
        (LAST - WINDOW_SIZE, ""),
        (LAST - WINDOW_SIZE - 1, "packet_id_seen"),
        (0, "packet_id_seen"),
    ):
        assert word_of(hears, say(packet_id), NOW) == word, packet_id


@sides
@methods
@pytest.mark.parametrize("first", [0, 1, WINDOW_SIZE, LAST])
def test_a_session_may_begin_with_any_id(name: str, side: Side, first: int) -> None:
    """shadowsocks-rust counts from 1, others from 0; what came before may be lost."""
    hears, say = side(name)
    hears(say(first), NOW)
    assert word_of(hears, say(first), NOW) == "packet_id_seen"
    if first:
        assert word_of(hears, say(first - 1), NOW) == ""


def _cut(packet: bytes) -> bytes:
    return packet[:-1]


def _spoiled(packet: bytes) -> bytes:
    return packet[:-1] + bytes((packet[-1] ^ 1,))


BAD: Final[dict[str, tuple[str, Callable[[Say, int], bytes]]]] = {
    "tag": ("auth_failed", lambda say, packet_id: _spoiled(say(packet_id))),
    "cut": ("auth_failed", lambda say, packet_id: _cut(say(packet_id))),
    "type": ("bad_type", lambda say, packet_id: say(packet_id, kind=9)),
    "old": ("bad_timestamp", lambda say, packet_id: say(packet_id, stamp=NOW - 31)),
    "new": ("bad_timestamp", lambda say, packet_id: say(packet_id, stamp=NOW + 31)),
    "padding": ("padding_overrun", lambda say, packet_id: say(packet_id, announced=999)),
    "address": ("bad_atyp", lambda say, packet_id: say(packet_id, message=b"\x07" + bytes(30))),
    "half an address": ("truncated_header", lambda say, packet_id: say(packet_id, message=TARGET.pack()[:-1])),
}


@sides
@methods
@pytest.mark.parametrize("how", BAD)
@pytest.mark.parametrize("known", [False, True])
def test_a_refused_packet_moves_no_window(name: str, side: Side, how: str, known: bool) -> None:
    """Neither forward, nor is its own id spent (SIP022 §3.2.4), in a session that is known or not yet."""
    hears, say = side(name)
    word, bad = BAD[how]
    if known:
        hears(say(1), NOW)
    for packet_id in (5, 10_000, LAST):
        assert word_of(hears, bad(say, packet_id), NOW) == word
    for packet_id in (0, 5, 10_000, LAST):
        assert word_of(hears, say(packet_id), NOW) == "", packet_id


@methods
def test_an_answer_to_another_session_moves_no_window(name: str) -> None:
    hears, say = down_side(name)
    assert word_of(hears, say(LAST, client_id=b"client-2"), NOW) == "client_session_mismatch"
    assert word_of(hears, say(0), NOW) == ""
    assert word_of(hears, say(LAST), NOW) == ""


@methods
def test_sessions_side_by_side(name: str) -> None:
    """Each has its own window and its own keys, though one shadow serves them all, clients and server."""
    shadow = packets_of(name)
    clients, server = [Client(shadow) for _ in range(5)], Server(shadow)
    for number in range(4):
        questions = [client.says(TARGET, b"%d" % number, NOW) for client in clients]
        for at, question in enumerate(questions):
            assert server.hears(question, NOW).payload == b"%d" % number
            answer = server.says(TARGET, b"to %d" % at, NOW)
            assert clients[at].hears(answer, NOW).payload == b"to %d" % at
            assert word_of(clients[at - 1].hears, answer, NOW) == "client_session_mismatch"
            assert word_of(clients[at].hears, answer, NOW) == "packet_id_seen"
    assert len(server.talks) == 5


@methods
def test_more_sessions_than_live_contexts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session whose cipher context was given up makes a new one."""
    monkeypatch.setattr("shadesocks.crypto.aead.CONTEXTS_MAX", 2)
    monkeypatch.setattr(Keyed, "_ring", deque())
    test_sessions_side_by_side(name)


@methods
def test_a_session_is_its_id_wherever_it_comes_from(name: str) -> None:
    client, server = Client(packets_of(name)), Server(packets_of(name))
    for source in ("here", "there"):
        server.hears(client.says(TARGET, b"question", NOW), NOW, source=source)
    assert len(server.talks) == 1
    replayed = client.says(TARGET, b"question", NOW)
    server.hears(replayed, NOW, source="here")
    assert word_of(lambda packet, now: server.hears(packet, now, source="a thief"), replayed, NOW) == "packet_id_seen"


class Servers:
    """One after the other behind the same address, and the client that talks to them."""

    def __init__(self, name: str) -> None:
        self.client = Client(packets_of(name))
        self._name = name
        self._servers: dict[str, Server] = {}

    def says(self, which: str, now: int) -> bytes:
        """An answer of the server of that name, which is started when it is first asked."""
        server = self._servers.setdefault(which, Server(packets_of(self._name)))
        server.hears(self.client.says(TARGET, b"question", now), now)
        return server.says(TARGET, which.encode(), now)

    def word(self, which: str, now: int) -> str:
        """What the client makes of that answer; a good one says who it is from."""
        packet = self.says(which, now)
        word = word_of(self.client.hears, packet, now)
        assert not word or word_of(self.client.hears, packet, now) == word
        return word


@methods
def test_a_server_that_starts_anew_is_heard(name: str) -> None:
    servers = Servers(name)
    late = [servers.says("first", NOW) for _ in range(3)]
    assert servers.word("first", NOW) == ""
    assert servers.word("second", NOW) == ""
    assert servers.word("second", NOW) == ""
    assert servers.client.hears(late[0], NOW).payload == b"first", "what was still on its way"
    assert word_of(servers.client.hears, late[0], NOW) == "packet_id_seen"
    assert servers.client.hears(late[2], NOW).payload == b"first"


@methods
def test_a_third_server_is_refused_for_a_minute(name: str) -> None:
    servers = Servers(name)
    words = [servers.word("first", NOW), servers.word("second", NOW), servers.word("third", NOW)]
    assert words == ["", "", "third_server_session"]
    assert servers.word("third", NOW + 59) == "third_server_session"
    assert servers.word("second", NOW + 59) == "", "the current one is heard all the while"
    assert servers.word("third", NOW + 60) == ""
    assert servers.word("second", NOW + 60) == "", "it is the old one now"
    assert servers.word("first", NOW + 60) == "third_server_session", "it is forgotten"
    assert servers.word("fourth", NOW + 119) == "third_server_session"
    assert servers.word("fourth", NOW + 120) == ""


@methods
def test_the_old_server_is_kept_while_it_is_heard(name: str) -> None:
    servers = Servers(name)
    servers.word("first", NOW)
    servers.word("second", NOW)
    for after in range(30, 300, 30):
        assert servers.word("first", NOW + after) == ""
        assert servers.word("third", NOW + after + 29) == "third_server_session"
    assert servers.word("third", NOW + 270 + 60) == ""


@methods
def test_what_is_refused_makes_no_server_known(name: str) -> None:
    """Nor does it keep one: else whoever replays could hold a client to a server that is gone."""
    hears, _ = down_side(name)

    def say(session_id: bytes, packet_id: int, stamp: int, client_id: bytes = CLIENT_ID) -> bytes:
        return craft(name, session_id, packet_id, down(stamp, client_id, MESSAGE))

    for number in range(20):
        session_id = b"forged%02d" % number
        assert word_of(hears, _spoiled(say(session_id, 0, NOW)), NOW) == "auth_failed"
        assert word_of(hears, say(session_id, 0, NOW - 31), NOW) == "bad_timestamp"
        assert word_of(hears, say(session_id, 0, NOW, b"client-2"), NOW) == "client_session_mismatch"
    assert word_of(hears, say(b"server-1", 0, NOW), NOW) == ""
    assert word_of(hears, say(b"server-2", 0, NOW), NOW) == ""
    for after in range(60):  # the first one's packets, again and too late
        assert word_of(hears, say(b"server-1", 0, NOW), NOW + after) == "packet_id_seen"
        assert word_of(hears, say(b"server-1", 1, NOW - 31), NOW + after) == "bad_timestamp"
    assert word_of(hears, say(b"server-3", 0, NOW + 60), NOW + 60) == ""
