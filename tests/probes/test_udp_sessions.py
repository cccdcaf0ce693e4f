"""Sessions of AEAD-2022 at our server: who may move them, what their window takes, and that a restart ends none."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import pytest

from tests.echo import echo, sink
from tests.interop.streams import LIMIT, pack_address
from tests.peers import AEAD2022

from .craft_udp import ID_MAX, new_session
from .udp_field import Client, Post, came, quiet, serve

SAMPLE: Final = ("2022-blake3-aes-128-gcm", "2022-blake3-chacha20-poly1305")
BEYOND: Final = 1 << 20
"""Ids further behind than any program's window reaches; ours and shadowsocks-rust's is 8,128."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    methods = AEAD2022 if metafunc.config.getoption("--whole") else SAMPLE
    if "udp_post" in metafunc.fixturenames:
        metafunc.parametrize("udp_post", methods, indirect=True, scope="module")
    else:
        metafunc.parametrize("method", methods)


def test_a_newer_datagram_moves_the_replies(udp_post: Post) -> None:
    """The client changed its address; what it said before, or says with an old clock, moves nothing back."""
    with (
        sink() as target,
        echo() as aside,
        Client(udp_post) as other,
        Client(udp_post) as client,
        Client(udp_post, session=client.session, first_id=2 * BEYOND) as mobile,
    ):
        first = client.send(target.address, b"first")
        _, source = target.next()
        mobile.send(target.address, b"moved")
        assert target.next() == (b"moved", source), "the session was not kept"
        client.say(first)  # a replay
        client.send(target.address, b"behind the window")
        client.next_id = 3 * BEYOND
        client.send(target.address, b"stale", shift=-40)
        client.say(client.crafter.seal(b"\x01" + bytes(40), client.session, client.next_id))
        assert came(other, aside) == []
        for word in (b"one", b"two"):
            target.sock.sendto(word, source)
            assert mobile.hear().payload == word
        assert quiet(client.sock)
        client.send(target.address, b"moved back")
        assert target.next() == (b"moved back", source), "something reached the target before"
        target.sock.sendto(b"three", source)
        assert client.hear().payload == b"three"
        assert quiet(mobile.sock)


def test_the_window(udp_post: Post) -> None:
    """Far ahead is taken, and what was skipped may still come, once; far behind is not."""
    with echo() as target, Client(udp_post) as client:

        def say(packet_id: int) -> None:
            word = str(packet_id).encode()
            client.say(client.crafter.request(pack_address(*target.address), word, client.session, packet_id))

        high = 1 << 40
        for packet_id in (5, 4, 0, high, high - 1, high - 100):
            say(packet_id)
            assert client.hear().payload == str(packet_id).encode()
        for packet_id in (5, 4, 0, 1, 6, high, high - 1, high - 100, high - BEYOND):
            say(packet_id)
        client.next_id = high + 1
        assert came(client, target) == [b"%d" % number for number in (5, 4, 0, high, high - 1, high - 100)]


def test_the_last_id(udp_post: Post) -> None:
    """The counter's end is an id like others; nothing comes after it, and other sessions go on."""
    with echo() as target, Client(udp_post, first_id=ID_MAX - 1) as client, Client(udp_post) as other:
        assert client.ask(target.address, b"last but one").payload == b"last but one"
        assert client.ask(target.address, b"last").payload == b"last"
        for packet_id in (0, 1, ID_MAX - 1, ID_MAX):
            client.say(client.crafter.request(pack_address(*target.address), b"after", client.session, packet_id))
        assert came(other, target) == [b"last but one", b"last"]
        assert quiet(client.sock)


def test_sessions_are_told_apart_by_id_alone(udp_post: Post) -> None:
    """Two sessions of one address have two sources, two windows, and replies of their own."""
    with sink() as target, Client(udp_post) as client:
        one, two = client.session, new_session()
        sources = []
        for session in (one, two):
            client.session, client.next_id = session, 0
            client.send(target.address, session)
            data, source = target.next()
            assert data == session
            sources.append(source)
        assert sources[0] != sources[1]
        seen = set()
        for session, source in zip((one, two), sources, strict=True):
            client.session = session
            target.sock.sendto(session, source)
            said = client.hear()
            assert said.payload == session
            seen.add(said.session)
        assert len(seen) == 2, "two sessions were answered under one id"


def test_reply_ids_count(udp_post: Post) -> None:
    """Each reply has a new id, of one session for all of them."""
    with echo() as target, Client(udp_post) as client:
        said = [client.ask(target.address, b"again") for _ in range(20)]
        assert len({each.session for each in said}) == 1
        ids = [each.packet_id for each in said]
        assert ids == list(range(ids[0], ids[0] + 20))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_session_goes_on_after_a_restart(number: signal.Signals, method: str, tmp_path: Path) -> None:
    """The client's session as before, the server's a new one."""
    with echo() as target:
        with serve(method, tmp_path) as post, Client(post) as client:
            before = client.ask(target.address, b"before")
            session, next_id, port = client.session, client.next_id, post.program.port
            post.program.signal(number)
            post.program.wait(LIMIT)
        with serve(method, tmp_path, port=port) as post, Client(post, session=session, first_id=next_id) as client:
            after = client.ask(target.address, b"after")
            assert after.payload == b"after"
            assert after.client_session == before.client_session == session
            assert after.session != before.session
