"""The dialect of shadowsocks-go."""

from __future__ import annotations

from shadesocks.wire.manager.answers import pack_answer, pack_stat
from shadesocks.wire.manager.command import parse_command
from shadesocks.wire.manager.go import GO


def test_its_words() -> None:
    answers = {name: pack_answer(GO, name) for name in ("ok", "pong", "bad", "method", "mode", "refused", "taken")}
    assert answers == {"ok": b"ok", "pong": b"pong"} | dict.fromkeys(
        ("bad", "method", "mode", "refused", "taken"), b"err"
    )


def test_whoever_pinged_may_stop() -> None:
    assert parse_command(b"ping-stop\n", GO).name == "ping-stop"


def test_all_ports_in_one_datagram() -> None:
    assert [len(group) for _, group in pack_stat(GO, dict.fromkeys(range(1, 152), 1))] == [151]
