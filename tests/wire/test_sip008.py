"""Documents of SIP008: what is wrong with one server costs that server only, and no error repeats a text."""

from __future__ import annotations

import json
import traceback
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.wire.sip008 import SERVERS_MAX, SIZE_MAX, TEXT_MAX, Document, Sip008Error, parse_document, parse_object

SECRET = "mVt5-kd93Qpz_0Lr2xWc"
SERVER: dict[str, Any] = {
    "id": "27b8a625-4f4b-4428-9f0f-8a2317db7c79",
    "remarks": "one",
    "server": "h.example",
    "server_port": 8388,
    "password": SECRET,
    "method": "aes-256-gcm",
}


def document(*servers: object, **keys: object) -> str:
    return json.dumps({"version": 1, "servers": list(servers), **keys})


def refusal(text: str) -> Sip008Error:
    with pytest.raises(Sip008Error) as caught:
        parse_document(text)
    return caught.value


def test_one_bad_server_costs_no_other() -> None:
    read = parse_document(document({**SERVER, "server_port": "8388"}, SERVER, {**SERVER, "method": "rot13"}, 7))
    assert [server.remarks for server in read.servers] == ["one"]
    assert [(out.index, out.error.code) for out in read.left_out] == [(n, "bad_server") for n in (0, 2, 3)]
    assert "server_port" in str(read.left_out[0].error)
    assert "method" in str(read.left_out[1].error)


@pytest.mark.parametrize("key", ["id", "remarks"])
def test_a_server_without_a_name_is_one(key: str) -> None:
    server = {name: value for name, value in SERVER.items() if name != key}
    assert getattr(parse_document(document(server)).servers[0], key) == ""


@pytest.mark.parametrize("key", ["server", "server_port", "password", "method"])
@pytest.mark.parametrize("value", [..., None, 1.5, True, [], {}, "x" * (TEXT_MAX + 1), "\ud800"])
def test_what_is_needed_to_reach_a_server_is_checked(key: str, value: object) -> None:
    server = {**SERVER, key: value}
    if value is ...:
        del server[key]
    read = parse_document(document(server))
    assert read.servers == ()
    assert key in str(read.left_out[0].error)


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"server": ""}, "server"),
        ({"server": "x" * 256}, "server"),
        ({"server": "a b.example"}, "server"),
        ({"method": "2022-blake3-aes-128-gcm"}, "password"),
        ({"method": "2022-blake3-aes-128-gcm", "password": ""}, "password"),
    ],
)
def test_a_host_is_one_and_a_key_fits_its_method(keys: dict[str, str], word: str) -> None:
    read = parse_document(document({**SERVER, **keys}, SERVER))
    assert len(read.servers) == 1
    assert word in str(read.left_out[0].error)


@pytest.mark.parametrize("port", [0, -1, 65536, 1 << 70])
def test_ports_are_those_there_are(port: int) -> None:
    assert parse_document(document({**SERVER, "server_port": port})).servers == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_json"),
        ("[]", "bad_json"),
        ('"text"', "bad_json"),
        ('{"version": 1, "servers": [],}', "bad_json"),
        ('{"version": 1, "version": 1, "servers": []}', "bad_json"),
        ('{"version": 1, "servers": [], "x": NaN}', "bad_json"),
        ('{"version": 1, "servers": []} {}', "bad_json"),
        ("[" * 100_000, "bad_json"),
        ('{"a":' * 100_000, "bad_json"),
        ('{"version": 1, "x": ' + "9" * 5000 + "}", "bad_json"),
        ('{"version": true, "servers": []}', "bad_version"),
        ('{"version": 1.0, "servers": []}', "bad_version"),
        (document(bytes_used=-1), "usage"),
        (document(bytes_used=True), "usage"),
        (document(bytes_used=1 << 63), "usage"),
        (document(bytes_used=1, bytes_remaining="2"), "usage"),
    ],
)
def test_what_is_no_document(text: str, code: str) -> None:
    assert refusal(text).code == code


def test_sizes_are_limited() -> None:
    assert refusal(" " * SIZE_MAX + "{}").code == "bad_json"
    assert len(parse_document(document(*[SERVER] * SERVERS_MAX)).servers) == SERVERS_MAX
    assert str(SERVERS_MAX) in str(refusal(document(*[SERVER] * (SERVERS_MAX + 1))))


def test_traffic() -> None:
    assert parse_document(document(bytes_used=0, bytes_remaining=None)) == Document((), (), 0, None)
    assert parse_document(document(bytes_used=5, bytes_remaining=7)) == Document((), (), 5, 7)


def test_no_error_and_no_repr_shows_a_secret() -> None:
    broken = document({**SERVER, "plugin": "obfs-local", "plugin_opts": SECRET})
    assert SECRET not in repr(parse_document(broken))
    for text in (broken[:-1], document({**SERVER, "method": SECRET}), f'{{"version": 1, "servers": "{SECRET}"}}'):
        try:
            read = parse_document(text)
        except Sip008Error:
            told = traceback.format_exc()
        else:
            told = "".join(str(out.error) for out in read.left_out)
        assert told
        assert SECRET not in told.replace(text, "")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_any_value_is_read_or_refused(value: object) -> None:
    keys = {"version": 1, "servers": value, "bytes_used": value}
    try:
        read = parse_document(json.dumps(keys))
    except Sip008Error:
        return
    assert len(read.servers) + len(read.left_out) == len(value)  # type: ignore[arg-type]


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(Sip008Error):
        assert isinstance(parse_object(text), dict)
