"""HTTP CONNECT: what is asked, in every split of what is answered."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.address import Address
from shadesocks.core.errors import LocalProtocolError, RemoteProtocolError
from shadesocks.core.reasons import REASONS
from shadesocks.wire import http_connect
from shadesocks.wire.reader import Reader
from tests.wire.splits import all_splits, in_pieces

TARGET = Address("example.com", 443)
OK = b"HTTP/1.1 200 Connection established\r\n\r\n"
PAYLOAD = b"\r\n\r\nSSH-2.0-first\n\n"


def hear(pieces: list[bytes]) -> tuple[int | None, bytes]:
    """Ask, and hear this; return the status and what is behind it."""
    reader = Reader(http_connect.ask(bytearray().extend, TARGET))
    status = None
    behind = b""
    for piece in pieces:
        if status is not None:
            behind += piece
            continue
        scratch = bytearray(piece)
        status = reader.feed(memoryview(scratch))
        scratch[:] = bytes(len(scratch))
    return status, reader.rest + behind


@pytest.mark.parametrize(
    "head",
    [
        OK,
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 200 \r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 299 Fine\nVia: lines without CR\n\n",
        b"HTTP/1.1 200 OK\r\nX-Folded: one\r\n two\r\n\tthree\r\nX-Empty:\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \r\r\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
    ],
)
def test_a_success_in_every_split(head: bytes) -> None:
    for pieces in all_splits(head + PAYLOAD):
        status, rest = hear(pieces)
        assert status is not None
        assert 200 <= status < 300
        assert rest == PAYLOAD


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (301, "bad_hop"),
        (400, "denied"),
        (401, "bad_login"),
        (403, "denied"),
        (404, "host_unreachable"),
        (405, "bad_command"),
        (407, "bad_login"),
        (500, "host_unreachable"),
        (501, "bad_command"),
        (502, "host_unreachable"),
        (503, "host_unreachable"),
        (504, "dial_timeout"),
        (101, "bad_hop"),
    ],
)
def test_a_refusal_in_every_split(status: int, word: str) -> None:
    assert word in REASONS
    for pieces in all_splits(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\nno" % status):
        with pytest.raises(RemoteProtocolError) as refused:
            hear(pieces)
        assert refused.value.code == word
        assert str(status) in str(refused.value) or status == 101


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2",
        b"\x05\x00",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 600 What\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.x 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * http_connect.HEAD_MAX + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
    ],
)
def test_nonsense(answer: bytes) -> None:
    for pieces in ([answer], [answer[at : at + 1] for at in range(len(answer))]):
        with pytest.raises(RemoteProtocolError) as refused:
            hear(pieces)
        assert refused.value.code == "bad_hop"


@given(
    st.one_of(st.binary(max_size=60), st.builds(b"HTTP/1.1 %b\r\n%b".__mod__, st.tuples(st.binary(), st.binary()))),
    st.integers(0, 2**32),
)
def test_any_bytes_are_an_answer_or_a_declared_word(data: bytes, seed: int) -> None:
    def outcome(pieces: list[bytes]) -> object:
        try:
            return hear(pieces)
        except RemoteProtocolError as error:
            return error.code

    found = outcome([data])
    assert found == outcome(in_pieces(data, seed))
    assert not isinstance(found, str) or found in REASONS


def test_another_protocol_is_noticed_at_its_first_bytes() -> None:
    """And not when its time is over."""
    with pytest.raises(RemoteProtocolError):
        hear([b"22"])


def test_an_answer_that_ends_early_is_none() -> None:
    assert hear([OK[:-1]])[0] is None


@pytest.mark.parametrize(
    ("target", "authority"),
    [
        (TARGET, b"example.com:443"),
        (Address("192.0.2.1", 80), b"192.0.2.1:80"),
        (Address("2001:db8::1", 8080), b"[2001:db8::1]:8080"),
        (Address("bücher.example", 1), b"xn--bcher-kva.example:1"),
    ],
)
def test_what_is_asked(target: Address, authority: bytes) -> None:
    assert http_connect.pack_request(target) == (
        b"CONNECT " + authority + b" HTTP/1.1\r\nHost: " + authority + b"\r\n\r\n"
    )


def test_a_login_goes_along() -> None:
    request = http_connect.pack_request(TARGET, ("ålice", "with: colon"))
    line = next(line for line in request.split(b"\r\n") if line.startswith(b"Proxy-Authorization: Basic "))
    assert base64.b64decode(line.rpartition(b" ")[2]).decode() == "ålice:with: colon"


@pytest.mark.parametrize("login", [("a:b", "c"), ("a\r\nX: y", "c"), ("a", "b\0"), ("a", "\x7f")])
def test_a_login_without_a_form(login: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError) as refused:
        http_connect.pack_request(TARGET, login)
    assert refused.value.code == "bad_login"


@pytest.mark.parametrize("host", ["evil:80", "a/b", "a@b", "a?b", "a#b", "[a]", "a b", "a\r\nX: y", "", "x" * 256])
def test_a_name_cannot_become_another_request(host: str) -> None:
    with pytest.raises(LocalProtocolError) as refused:
        http_connect.pack_request(Address(host, 80))
    assert refused.value.code == "bad_domain"
