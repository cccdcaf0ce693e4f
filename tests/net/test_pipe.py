"""The four pipes: which one joins two ends, and the buffers they share."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import AuthenticationError
from shadesocks.crypto.methods import find_method
from shadesocks.net.end import End
from shadesocks.net.pipe import PIPES, READ_MAX, Scratch
from shadesocks.wire.chunks import OVERHEAD, sealed_size
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


@pytest.mark.parametrize("name", SEALED)
def test_the_largest_read_fits_the_buffers_behind_the_largest_chunk_that_can_be_held(name: str) -> None:
    """1 MiB of chunks behind all but one byte of another, opened, and sealed again behind the start of a stream."""
    scratch = Scratch()
    source = random.Random(name)  # noqa: S311 - data
    method = find_method(name)
    held = OVERHEAD + method.max_payload - 1
    server = ServerHearing(shadow_of(name), NOW)
    size = READ_MAX + held
    payload = source.randbytes(size)
    request = make_request(shadow_of(name), TARGET, [b"first", payload], salt=salt_of(name), now=NOW)
    cut = request[-sealed_size(method, size) :]
    server.feed(request[: -len(cut)])
    assert server.request is not None
    onward = shadow_of(name).open_stream(Address("n" * 255, 1), lambda: NOW, lambda size: b"t" * size)[0]
    with ends(opener=server.request.opener, sealer=onward) as (left, right):
        out = pass_on(left, right, scratch, cut[:size])
    again = ServerHearing(shadow_of(name), NOW)
    again.feed(out)
    assert len(again.payload) == left.moved >= size - 2 * method.max_payload - OVERHEAD * size // method.max_payload
    assert payload.startswith(again.payload)


@pytest.mark.parametrize("name", SEALED)
def test_a_bad_tag_leaves_nothing_to_send(name: str) -> None:
    """What the buffer holds then is plaintext that nobody vouches for: no slice of it is handed out."""
    scratch = Scratch()
    good = make_request(shadow_of(name), TARGET, [b"first", b"one", b"two"], salt=salt_of(name), now=NOW)
    server = ServerHearing(shadow_of(name), NOW)
    server.feed(good[: -2 * (OVERHEAD + 3)])
    assert server.request is not None
    rest = bytearray(good[-2 * (OVERHEAD + 3) :])
    rest[-1] ^= 1
    with ends(opener=server.request.opener) as (source, sink):
        with pytest.raises(AuthenticationError):
            pass_on(source, sink, scratch, bytes(rest))
        assert source.moved == 0
        assert source.held == b""
