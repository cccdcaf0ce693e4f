"""The dialect of Python shadowsocks."""

from __future__ import annotations

from shadesocks.wire.manager.answers import pack_answer, pack_list, pack_stat
from shadesocks.wire.manager.command import PortRow
from shadesocks.wire.manager.python import PYTHON


def test_its_words() -> None:
    answers = {name: pack_answer(PYTHON, name) for name in ("ok", "pong", "bad", "method", "mode", "refused", "taken")}
    assert {name: answer for name, answer in answers.items() if answer} == {
        "ok": b"ok",
        "pong": b"pong",
        "taken": b"err",
    }


def test_a_list_that_it_had_not() -> None:
    [text] = pack_list(PYTHON, [PortRow(8001, "p", "m")])
    assert text == b'[{"server_port":8001,"password":"p","method":"m"}]'


def test_fifty_ports_in_a_datagram() -> None:
    assert [len(group) for _, group in pack_stat(PYTHON, dict.fromkeys(range(1, 152), 1))] == [50, 50, 50, 1]
    assert pack_stat(PYTHON, {8001: 11370})[0][0] == b'stat: {"8001":11370}'
