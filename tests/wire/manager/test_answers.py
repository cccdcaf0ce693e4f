"""What a manager says, and what a server says to one: exact bytes, and what long answers look like."""

from __future__ import annotations

import json

import pytest

from shadesocks.wire.manager import DIALECTS
from shadesocks.wire.manager.answers import PIECE_MAX, pack_answer, pack_list, pack_report, pack_stat
from shadesocks.wire.manager.command import PortRow, parse_command


def test_answers() -> None:
    answers = {
        name: [pack_answer(dialect, outcome) for outcome in ("ok", "bad", "refused")]
        for name, dialect in DIALECTS.items()
    }
    assert answers == {
        "python": [b"ok", None, None],
        "go": [b"ok", b"err", b"err"],
        "libev": [b"ok", b"err", b"err"],
        "rust": [b"ok\n", None, b"invalid server\n"],
    }
    assert pack_answer(DIALECTS["rust"], "taken", why="no {room}") == b"no {room}\n"
    assert pack_answer(DIALECTS["rust"], "method", word='a"\n{}' + "x" * 100) == (
        b'unrecognized method "a\\"\\n{}' + b"x" * 59 + b'"\n'
    )


ROWS = [PortRow(port, 'p"\u00fc' + "x" * 100, "aes-256-gcm") for port in range(1, 2001)]


@pytest.mark.parametrize("name", DIALECTS)
def test_a_long_list_comes_in_pieces_that_make_it_up(name: str) -> None:
    pieces = pack_list(DIALECTS[name], ROWS)
    assert len(pieces) > 2
    assert max(map(len, pieces)) <= PIECE_MAX + 2
    rows = json.loads(b"".join(pieces))
    assert [int(row["server_port"]) for row in rows] == list(range(1, 2001))
    assert {row["password"] for row in rows} == {ROWS[0].password}
    assert pack_list(DIALECTS[name], []) == [b"[\n]" if name == "libev" else b"[]" + DIALECTS[name].end.encode()]


@pytest.mark.parametrize(("name", "count"), [("python", 40), ("go", 1), ("libev", 1), ("rust", 1)])
def test_statistics_in_messages_that_are_whole(name: str, count: int) -> None:
    sizes = dict.fromkeys(range(1, 2001), 1 << 63)
    messages = pack_stat(DIALECTS[name], sizes)
    assert len(messages) == count
    told: dict[int, int] = {}
    for message, group in messages:
        assert len(message) <= PIECE_MAX
        assert dict(parse_command(message).stat) == {str(port): size for port, size in group.items()}
        told |= group
    assert told == sizes


def test_statistics_of_every_port_fit_in_datagrams() -> None:
    sizes = dict.fromkeys(range(1, 65536), 1 << 64)
    messages = pack_stat(DIALECTS["libev"], sizes)
    assert max(len(message) for message, _ in messages) <= PIECE_MAX
    assert sum(len(group) for _, group in messages) == len(sizes)


@pytest.mark.parametrize("name", DIALECTS)
def test_half_a_surrogate_pair_can_be_answered(name: str) -> None:
    """JSON can say it, UTF-8 cannot: the command was not answered, and logged with its traceback."""
    for outcome in ("method", "taken"):
        answer = pack_answer(DIALECTS[name], outcome, word="\ud800", why="\udc80")
        assert answer is None or answer.decode()
    [row] = pack_list(DIALECTS[name], [PortRow(1, "\ud800", "x")])
    assert json.loads(row)[0]["password"] == "\ud800"


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("libev", [b'stat: {"1":5}\0', b'stat: {"2":0}\0']),
        ("rust", [b'stat: {"1":5}\n', b'stat: {"2":0}\n']),
        ("python", [b'stat: {"1":5}\n', b'stat: {"2":0}\n']),
        ("go", [b'stat: {"1":5}\n', b'stat: {"2":0}\n']),
    ],
)
def test_what_a_server_tells_its_manager(name: str, messages: list[bytes]) -> None:
    """ss-manager takes in the last port of a datagram only, so each port has its own."""
    told = pack_report(DIALECTS[name], {1: 5, 2: 0})
    assert [message for message, _ in told] == messages
    assert [group for _, group in told] == [{1: 5}, {2: 0}]
    assert pack_report(DIALECTS[name], {}) == []
