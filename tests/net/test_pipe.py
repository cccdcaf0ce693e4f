"""The four pipes: which one joins two ends, and the buffers they share."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shadesocks.core.address import Address
from shadesocks.net.end import End
from shadesocks.net.pipe import PIPES, READ_MAX, Scratch
from tests.wire.codecs import SEALED, salt_of, shadow_of
from tests.wire.hearing import ServerHearing, make_request

TARGET = Address("target.example", 1)
NOW = 1_700_000_000


@contextmanager
def ends(*, opener: object = None, sealer: object = None) -> Iterator[tuple[End, End]]:
    """A source and a sink that move nothing themselves."""
    left, right = socket.socketpair()
    with left, right:
        yield End(left, opener=opener), End(right, sealer=sealer)  # type: ignore[arg-type]  # whatever the test gives


def pass_on(source: End, sink: End, scratch: Scratch, data: bytes) -> bytes:
    """Pass bytes through the pipe of two ends."""
    scratch.inward[: len(data)] = data
    return bytes(PIPES[source.opener is not None, sink.sealer is not None](source, sink, scratch, len(data)))


def test_plain_to_plain_copies_nothing() -> None:
    scratch = Scratch()
    with ends() as (source, sink):
        assert pass_on(source, sink, scratch, b"payload") == b"payload"
        assert source.moved == 7


@pytest.mark.parametrize("name", SEALED)
def test_seal_and_open_and_reseal(name: str) -> None:
    scratch = Scratch()
    sealer, _ = shadow_of(name).open_stream(TARGET, lambda: NOW, lambda size: b"s" * size)
    with ends(sealer=sealer) as (source, sink):
        sealed = pass_on(source, sink, scratch, b"first") + pass_on(source, sink, scratch, b"more")
        assert source.moved == 9
    server = ServerHearing(shadow_of(name), NOW)
    server.feed(sealed)
    assert bytes(server.payload) == b"firstmore"

    tail = make_request(shadow_of(name), TARGET, [b"first", b"more"], salt=salt_of(name), now=NOW)
    for onward in (None, shadow_of(name).open_stream(TARGET, lambda: NOW, lambda size: b"t" * size)[0]):
        server = ServerHearing(shadow_of(name), NOW)
        server.feed(make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name), now=NOW))
        assert server.request is not None
        rest = tail[-(4 + 34) :]
        with ends(opener=server.request.opener, sealer=onward) as (source, sink):
            assert pass_on(source, sink, scratch, rest[:20]) == b""
            assert source.held == rest[18:20]
            out = pass_on(source, sink, scratch, source.held + rest[20:])
            assert source.moved == 4
            if onward is None:
                assert out == b"more"
            else:
                again = ServerHearing(shadow_of(name), NOW)
                again.feed(out)
                assert bytes(again.payload) == b"more"


def test_the_third_buffer_is_made_when_it_is_needed() -> None:
    scratch = Scratch()
    assert scratch._middle is None
    assert scratch.middle is scratch.middle
    assert len(scratch.inward) > READ_MAX
    assert len(scratch.outward) > len(scratch.inward)
