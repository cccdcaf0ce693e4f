"""The dialect of shadowsocks-rust."""

from __future__ import annotations

from shadesocks.wire.manager.answers import pack_answer, pack_list
from shadesocks.wire.manager.command import PortRow
from shadesocks.wire.manager.rust import RUST


def test_its_words() -> None:
    assert pack_answer(RUST, "ok") == b"ok\n"
    assert pack_answer(RUST, "bad") is None
    assert pack_answer(RUST, "method", word="nope") == b'unrecognized method "nope"\n'
    assert pack_answer(RUST, "mode", word="nope") == b'unrecognized mode "nope"\n'
    assert pack_answer(RUST, "refused") == b"invalid server\n"
    assert pack_answer(RUST, "taken", why="it is in use") == b"it is in use\n"


def test_a_list_names_users_and_no_methods() -> None:
    [text] = pack_list(RUST, [PortRow(1, "p", "m"), PortRow(2, "q", "n", (("alice", "k"),))])
    assert text == (
        b'[{"server_port":1,"password":"p"},'
        b'{"server_port":2,"password":"q","users":[{"name":"alice","password":"k"}]}]\n'
    )
