"""The manager protocol: what is read, what is refused, and what long answers look like."""

from __future__ import annotations

import json

import pytest

from shadesocks.core.errors import RemoteProtocolError
from shadesocks.wire.manager import (
    DIALECTS,
    PIECE_MAX,
    PortRow,
    Request,
    pack_answer,
    pack_list,
    pack_stat,
    parse_request,
    split_request,
)

ADD = b'add: {"server_port": 8001, "password": "pw", "timeout": 60}'


@pytest.mark.parametrize("before", ["", " ", "\n"])
@pytest.mark.parametrize("between", [":", ": ", " :\t", ":\n"])
@pytest.mark.parametrize("after", ["", "\n", "\0", " \r\n\0\0"])
def test_what_stands_around_counts_for_nothing(before: str, between: str, after: str) -> None:
    text = f'{before}remove{between}{{"server_port": "8001"}}{after}'
    assert parse_request(text.encode()) == Request("remove", 8001)


def test_an_add_keeps_every_other_key_in_its_order() -> None:
    request = parse_request(b'add: {"method": "m", "password": "p:{}", "x": {"y": [1]}, "server_port": 1, "a": null}')
    assert (request.port, request.password) == (1, "p:{}")
    assert list(request.options.items()) == [("method", "m"), ("x", {"y": [1]}), ("a", None)]


def test_libev_reads_up_to_the_first_key_that_it_does_not_know() -> None:
    data = b'add: {"server_port": 1, "password": "p", "mode": "tcp_only", "nope": 1, "method": "m"}'
    assert parse_request(data, DIALECTS["libev"]).options == {"mode": "tcp_only"}
    assert parse_request(data, DIALECTS["rust"]).options["method"] == "m"


@pytest.mark.parametrize("end", range(len(ADD) - 1))
def test_what_was_cut_is_refused(end: int) -> None:
    """Old programs cut at 300 or 1,506 bytes, and did what was left."""
    with pytest.raises(RemoteProtocolError):
        parse_request(ADD[:end])


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"add: \xff",
        b"ADD: {}",
        b'add: {"server_port": true, "password": "p"}',
        b'add: {"server_port": -1, "password": "p"}',
        b'add: {"server_port": "8001x", "password": "p"}',
        b'add: {"server_port": "\xd9\xa1", "password": "p"}',
        b'add: {"server_port": [8001], "password": "p"}',
        b'add: {"server_port": 8001, "password": null}',
        b'add: {"server_port": 8001, "password": "p", "timeout": NaN}',
        b'add: {"server_port": 8001, "password": "p", "timeout": -Infinity}',
        b'add: {"server_port": 8001, "password": "p", "timeout": ' + b"9" * 5000 + b"}",
        b"add: " + b"[" * 60_000,
        b"add: " + b'{"a":' * 10_000,
        b'stat: {"8001": 1.5}',
        b'stat: {"8001": -1}',
        b'stat: {"8001": true}',
        b'stat: {"x": 1}',
        b"stat: []",
        b"remove",
    ],
)
@pytest.mark.parametrize("dialect", [None, *DIALECTS])
def test_what_is_no_request_is_refused(data: bytes, dialect: str | None) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_request(data, None if dialect is None else DIALECTS[dialect])
    assert caught.value.code in {"usage", "bad_json", "bad_port"}


def test_commands_of_one_dialect() -> None:
    assert parse_request(b"ping-stop", DIALECTS["go"]).command == "ping-stop"
    for name in ("python", "libev", "rust"):
        with pytest.raises(RemoteProtocolError):
            parse_request(b"ping-stop", DIALECTS[name])
    assert parse_request(b"ping:", DIALECTS["python"]).command == "ping"
    with pytest.raises(RemoteProtocolError):
        parse_request(b"ping:", DIALECTS["rust"])


def test_split() -> None:
    assert split_request(b"ping\0") == ("ping", None)
    assert split_request(b" add : {:} ") == ("add", "{:}")
    assert split_request(b"") == ("", None)


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
    assert pack_answer(DIALECTS["rust"], "method", method='a"\n{}' + "x" * 100) == (
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
        assert dict(parse_request(message).stat) == {str(port): size for port, size in group.items()}
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
        answer = pack_answer(DIALECTS[name], outcome, method="\ud800", why="\udc80")
        assert answer is None or answer.decode()
    [row] = pack_list(DIALECTS[name], [PortRow(1, "\ud800", "x")])
    assert json.loads(row)[0]["password"] == "\ud800"
