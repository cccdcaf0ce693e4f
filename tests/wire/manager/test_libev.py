"""The dialect of shadowsocks-libev."""

from __future__ import annotations

from shadesocks.wire.manager.answers import pack_answer, pack_list
from shadesocks.wire.manager.command import PortRow
from shadesocks.wire.manager.libev import LIBEV


def test_its_words() -> None:
    answers = {name: pack_answer(LIBEV, name) for name in ("ok", "bad", "method", "mode", "refused", "taken")}
    assert answers == {"ok": b"ok", "taken": b"port is not available"} | dict.fromkeys(
        ("bad", "method", "mode", "refused"), b"err"
    )


def test_a_list_has_a_line_for_each_port() -> None:
    [text] = pack_list(LIBEV, [PortRow(8001, "p", "m"), PortRow(8002, "q", "n", (("a", "b"),))])
    assert text == (
        b'[\n\t{"server_port":"8001","password":"p","method":"m"},\n\t{"server_port":"8002","password":"q","method":"n"}\n]'
    )
    assert pack_list(LIBEV, []) == [b"[\n]"]
