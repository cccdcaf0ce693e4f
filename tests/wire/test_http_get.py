"""A page: what is asked, and the status of the answer in every split."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import RemoteProtocolError
from shadesocks.core.page import Page, parse_page
from shadesocks.wire.http_get import ask
from shadesocks.wire.reader import Reader
from tests.wire.splits import all_splits


def test_what_is_asked() -> None:
    said = bytearray()
    Reader(ask(said.extend, parse_page("http://example.com:8080/x?y")))
    assert said == b"GET /x?y HTTP/1.1\r\nHost: example.com:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"HTTP/1.1 204 No Content\r\n\r\n", 204), (b"HTTP/1.0 200\n\n", 200), (b"HTTP/1.1 503 ", 503)],
)
def test_the_status_in_every_split(answer: bytes, status: int) -> None:
    for pieces in all_splits(answer):
        reader = Reader(ask(bytearray().extend, Page(Address("x", 80), "x", "/")))
        assert next(found for piece in pieces if (found := reader.feed(memoryview(piece))) is not None) == status


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9", b"HTTP/2.0 200 OK", b"HTTP/1.1 999 no", b"<html><body>"])
def test_what_is_no_http(answer: bytes) -> None:
    reader = Reader(ask(bytearray().extend, Page(Address("x", 80), "x", "/")))
    with pytest.raises(RemoteProtocolError) as refused:
        reader.feed(answer)
    assert refused.value.code == "bad_answer"
