"""Commands as datagrams: what is read, and what is refused with the one error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.errors import RemoteProtocolError
from shadesocks.wire.manager import DIALECTS
from shadesocks.wire.manager.command import EVERY_COMMAND, Command, parse_command, split_command
from shadesocks.wire.manager.dialect import Dialect

ADD = b'add: {"server_port": 8001, "password": "pw", "timeout": 60}'


@pytest.mark.parametrize("before", ["", " ", "\n"])
@pytest.mark.parametrize("between", [":", ": ", " :\t", ":\n"])
@pytest.mark.parametrize("after", ["", "\n", "\0", " \r\n\0\0"])
def test_what_stands_around_counts_for_nothing(before: str, between: str, after: str) -> None:
    text = f'{before}remove{between}{{"server_port": "8001"}}{after}'
    assert parse_command(text.encode()) == Command("remove", 8001)


def test_an_add_keeps_every_other_key_in_its_order() -> None:
    command = parse_command(b'add: {"method": "m", "password": "p:{}", "x": {"y": [1]}, "server_port": 1, "a": null}')
    assert (command.port, command.password) == (1, "p:{}")
    assert list(command.options.items()) == [("method", "m"), ("x", {"y": [1]}), ("a", None)]
    assert parse_command(b"add: " + json.dumps(command.members).encode()) == command


def test_libev_reads_up_to_the_first_key_that_it_does_not_know() -> None:
    data = b'add: {"server_port": 1, "password": "p", "mode": "tcp_only", "nope": 1, "method": "m"}'
    assert parse_command(data, DIALECTS["libev"]).options == {"mode": "tcp_only"}
    assert parse_command(data, DIALECTS["rust"]).options["method"] == "m"


@pytest.mark.parametrize("end", range(len(ADD) - 1))
def test_what_was_cut_is_refused(end: int) -> None:
    """Old programs cut at 300 or 1,506 bytes, and did what was left."""
    with pytest.raises(RemoteProtocolError):
        parse_command(ADD[:end])


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
        parse_command(data, None if dialect is None else DIALECTS[dialect])
    assert caught.value.code in {"usage", "bad_json", "bad_port"}


def test_commands_of_one_dialect() -> None:
    assert parse_command(b"ping-stop", DIALECTS["go"]).name == "ping-stop"
    for name in ("python", "libev", "rust"):
        with pytest.raises(RemoteProtocolError):
            parse_command(b"ping-stop", DIALECTS[name])
    assert parse_command(b"ping:", DIALECTS["python"]).name == "ping"
    with pytest.raises(RemoteProtocolError):
        parse_command(b"ping:", DIALECTS["rust"])


def test_split() -> None:
    assert split_command(b"ping\0") == ("ping", None)
    assert split_command(b" add : {:} ") == ("add", "{:}")
    assert split_command(b"") == ("", None)


def test_a_port_in_quotes_is_none_for_rust() -> None:
    data = b'remove: {"server_port": "8001"}'
    for name in ("python", "go", "libev"):
        assert parse_command(data, DIALECTS[name]).port == 8001
    with pytest.raises(RemoteProtocolError):
        parse_command(data, DIALECTS["rust"])


@pytest.mark.parametrize(
    ("method", "read"),
    [
        ("aes-256-cfb-auth", {"method": "aes-256-cfb", "one_time_auth": True}),
        ("AES-256-CFB-AUTH", {"method": "AES-256-CFB", "one_time_auth": True}),
        ("aes-256-cfb", {"method": "aes-256-cfb"}),
        (5, {"method": 5}),
    ],
)
def test_gos_methods_may_ask_for_one_time_authentication(method: object, read: dict[str, object]) -> None:
    data = f"add: {json.dumps({'server_port': 1, 'password': 'p', 'method': method})}".encode()
    assert parse_command(data, DIALECTS["go"]).options == read
    assert parse_command(data, DIALECTS["python"]).options == {"method": method}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), 1 << 64) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ADDS = st.fixed_dictionaries(
    {"server_port": st.integers(1, 65535) | st.integers(1, 65535).map(str), "password": st.text()},
    optional={"method": st.text(), "mode": st.text(), "plugin": JSON, "users": JSON, "timeout": JSON},
)
GOOD = st.one_of(
    st.sampled_from(sorted(EVERY_COMMAND)).map(str.encode),
    ADDS.map(lambda keys: b"add: " + json.dumps(keys).encode()),
    st.integers(1, 65535).map(lambda port: b'remove: {"server_port": %d}' % port),
    st.dictionaries(st.integers(1, 65535).map(str), st.integers(0, 1 << 64), max_size=4).map(
        lambda sizes: b"stat: " + json.dumps(sizes).encode()
    ),
)
SOME = st.sampled_from([None, *DIALECTS.values()])


def is_read(data: bytes, dialect: Dialect | None) -> bool:
    """Read a datagram; nothing but the one error may come of it."""
    try:
        command = parse_command(data, dialect)
    except RemoteProtocolError:
        return False
    assert command.name in EVERY_COMMAND
    assert command.port is None or 0 < command.port < 65536
    return True


@given(st.binary(max_size=200), SOME)
def test_whatever_comes_is_read_or_refused(data: bytes, dialect: Dialect | None) -> None:
    is_read(data, dialect)


@given(GOOD, SOME, st.data())
def test_whatever_is_left_of_a_command_is_read_or_refused(
    data: bytes, dialect: Dialect | None, draw: st.DataObject
) -> None:
    """Cut at any place, with any byte in any other's place, with any piece twice or missing."""
    is_read(data, dialect)
    at, to = sorted(draw.draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
    for changed in (data[:at], data[at:], data[:at] + data[to:], data[:to] + data[at:]):
        is_read(changed, dialect)
    is_read(data[:at] + draw.draw(st.binary(min_size=1, max_size=3)) + data[at + 1 :], dialect)


@given(ADDS, st.sampled_from(sorted(DIALECTS)))
def test_what_an_add_says_is_what_is_read(keys: dict[str, object], name: str) -> None:
    dialect = DIALECTS[name]
    first = {name: keys[name] for name in ("server_port", "password")}  # libev stops at keys that it does not know
    data = b"add: " + json.dumps(first | keys).encode()
    if dialect.has_number_ports and isinstance(keys["server_port"], str):
        assert not is_read(data, dialect)
        return
    read = parse_command(data, dialect)
    assert (read.name, read.port, read.password) == ("add", int(str(keys["server_port"])), keys["password"])
