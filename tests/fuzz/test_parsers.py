"""Texts and bytes from anybody, thrown at the parsers that need no key: only declared errors come back."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import TYPE_CHECKING, Final

from hypothesis import example, given
from hypothesis import strategies as st

from shadesocks.core.address import Address, parse_address
from shadesocks.core.errors import RemoteProtocolError
from shadesocks.core.reasons import reason
from shadesocks.wire import socks5
from shadesocks.wire.control import (
    ControlError,
    Lines,
    pack_error,
    pack_request,
    pack_result,
    parse_answer,
    parse_request,
)
from shadesocks.wire.reader import Reader
from shadesocks.wire.uri import UriError, format_link, parse_link
from tests.wire.splits import bytewise, in_pieces

if TYPE_CHECKING:
    from collections.abc import Callable

    from shadesocks.wire.shadow import Parser

USERS: Final = {"alice": "secret"}

# Bytes that get past the first checks more often than any bytes do.
ADDRESS: Final = st.one_of(
    st.binary(max_size=24),
    st.builds(lambda kind, rest: bytes((kind,)) + rest, st.sampled_from([1, 3, 4]), st.binary(max_size=24)),
    st.builds(lambda name: b"\x03" + bytes((len(name),)) + name + b"\0\x50", st.binary(max_size=255)),
)
GREETING: Final = st.one_of(
    st.binary(max_size=10), st.builds(lambda methods: bytes((5, len(methods))) + methods, st.binary(max_size=255))
)
LOGIN: Final = st.one_of(
    st.binary(max_size=10),
    st.just(socks5.pack_login("alice", "secret")),
    st.builds(
        lambda user, password: b"\x01" + bytes((len(user),)) + user + bytes((len(password),)) + password,
        st.binary(max_size=255),
        st.binary(max_size=255),
    ),
)
REQUEST: Final = st.one_of(
    st.binary(max_size=10),
    st.builds(lambda command, address: bytes((5, command, 0)) + address, st.integers(0, 255), ADDRESS),
)
SEED: Final = st.integers(0, 2**32)


def is_declared(word: str) -> bool:
    """True for a word of the tables: an unknown one would be counted as an error of our own."""
    return reason(word).word != "internal"


Heard = tuple[str, object, bytes, bytes]
"""Word of the refusal, result, what was said, what was left."""


def hear(parser: Callable[[socks5.Send], Parser[object]], pieces: list[bytes]) -> Heard:
    """Drive one side of a SOCKS talk until its end or the end of the bytes."""
    said = bytearray()
    reader = Reader(parser(said.extend))
    for at, piece in enumerate(pieces):
        try:
            result = reader.feed(piece)
        except RemoteProtocolError as error:
            return error.code, None, bytes(said), b""
        if result is not None:
            return "", result, bytes(said), reader.rest + b"".join(pieces[at + 1 :])
    return "", None, bytes(said), b""


def hears_the_same(parser: Callable[[socks5.Send], Parser[object]], data: bytes, seed: int) -> Heard:
    """Whole, byte by byte and in random pieces, a talk is the same."""
    whole = hear(parser, [data])
    assert hear(parser, bytewise(data)) == whole
    assert hear(parser, in_pieces(data, seed)) == whole
    assert not whole[0] or is_declared(whole[0])
    return whole


@given(ADDRESS)
def test_address(data: bytes) -> None:
    try:
        address, size = parse_address(data)
    except RemoteProtocolError as error:
        assert is_declared(error.code)  # noqa: PT017 - one of two ends
    else:
        assert parse_address(data[:size]) == (address, size)


@given(GREETING, LOGIN, REQUEST, st.binary(max_size=20), SEED)
@example(b"\x05\x01\x00", b"", b"\x05\x01\x00\x01\0\0\0\0\0\0", b"GET", 0)
def test_socks5_server(greeting: bytes, login: bytes, request: bytes, payload: bytes, seed: int) -> None:
    for users, talk in ((None, greeting + request + payload), (USERS, greeting + login + request + payload)):
        word, command, said, _ = hears_the_same(partial(socks5.serve, users=users), talk, seed)
        assert not (word and command)
        if word and said:  # the last thing said is a refusal
            assert said[-1:] == b"\xff" or (said[-10] == 5 and said[-9] != 0)
        if command is not None:
            assert isinstance(command, socks5.Command)
            assert command.code == socks5.CONNECT


@given(st.binary(max_size=40), st.sampled_from([None, ("alice", "secret")]), SEED)
@example(b"\x05\x02\x01\x00\x05\x00\x00\x01\0\0\0\0\0\0rest", ("alice", "secret"), 0)
@example(b"\x05\x00\x05\xfe\x00\x01\0\0\0\0\0\0", None, 0)
def test_socks5_client(answer: bytes, login: tuple[str, str] | None, seed: int) -> None:
    hears_the_same(partial(socks5.ask, target=Address("h", 1), login=login), answer, seed)


LINK_TEXT: Final = st.text(st.sampled_from("aA0:@/?#%[].;=&+-_~é☃\0 \ud800"), max_size=30)
USERINFO: Final = st.one_of(
    LINK_TEXT,
    st.builds("{}:{}".format, st.sampled_from(["aes-256-gcm", "none", "2022-blake3-aes-128-gcm"]), LINK_TEXT),
    st.binary(max_size=30).map(lambda data: base64.b64encode(b"aes-256-gcm:" + data).decode()),
    st.binary(max_size=30).map(lambda data: base64.b64encode(b"aes-256-gcm:" + data + b"@h:1").decode()),
)
PLACE: Final = st.one_of(LINK_TEXT, st.sampled_from(["h:1", "[::1]:443", "192.0.2.1:65535", "é:1"]))


@given(st.one_of(st.text(max_size=60), st.builds("ss://{}@{}{}".format, USERINFO, PLACE, LINK_TEXT)))
def test_link(text: str) -> None:
    try:
        link = parse_link(text)
    except UriError as error:
        assert error.code.startswith("bad_")  # noqa: PT017 - one of two ends
        return
    written = format_link(link)
    assert written.isascii()
    again = parse_link(written)
    assert format_link(again) == written
    assert (again.method, again.password, again.port) == (link.method, link.password, link.port)


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
CONTROL_LINE: Final = st.one_of(
    st.binary(max_size=40),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"v": st.just(1) | JSON, "do": st.text(max_size=8)}, optional={"id": JSON, "with": JSON}).map(
        lambda members: json.dumps(members).encode()
    ),
)
CONTROL_CODES: Final = {"syntax", "version"}


@given(CONTROL_LINE)
@example(b'{"v":1,"do":"x","id":"\\ud800"}')
@example(b'{"v":1,"do":"x","with":{"a":1e999}}')
def test_control_request(line: bytes) -> None:
    try:
        request = parse_request(line)
    except ControlError as error:
        assert error.code in CONTROL_CODES  # noqa: PT017 - one of two ends
        answer = pack_error(error)
        assert b'"ok":false' in answer
    else:
        assert request.id is None or type(request.id) in (str, int)
        again = parse_request(pack_request(request))
        assert (again.do, again.id, repr(again.args)) == (request.do, request.id, repr(request.args))
        answer = pack_result(request.id, {})
        assert parse_answer(answer) == {}
    assert answer.endswith(b"\n")
    assert answer.count(b"\n") == 1


@given(CONTROL_LINE)
def test_control_answer(line: bytes) -> None:
    try:
        parse_answer(line)
    except ControlError as error:
        assert isinstance(error.code, str)  # noqa: PT017 - one of two ends


@given(st.lists(st.binary(max_size=20), max_size=6), st.integers(1, 40), SEED)
def test_control_lines(texts: list[bytes], most: int, seed: int) -> None:
    """Whole, byte by byte and in random pieces, the lines are the same, and so is the end."""
    data = b"\n".join(texts)

    def cut(pieces: list[bytes]) -> tuple[list[bytes], str]:
        lines, found = Lines(most), list[bytes]()
        try:
            for piece in pieces:
                found.extend(lines.feed(piece))
        except ControlError as error:
            return found, error.code
        return found, ""

    whole = cut([data])
    assert all(len(line) < most for line in whole[0])
    for pieces in (bytewise(data), in_pieces(data, seed)):
        found, code = cut(pieces)
        assert code == whole[1]
        assert found[: len(whole[0])] == whole[0]
