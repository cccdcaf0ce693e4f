"""Method none: an address, then whatever follows."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.wire.plain import PlainShadow

from .hearing import ServerHearing, make_request, say
from .splits import all_splits

TARGET = Address("target.example", 443)


def test_a_request_is_heard_at_every_split() -> None:
    stream = make_request(PlainShadow(), TARGET, [b"first", b"more"], salt=b"")
    assert stream == TARGET.pack() + b"firstmore"
    for pieces in all_splits(stream):
        server = ServerHearing(PlainShadow())
        server.hears(pieces)
        assert (server.word, bytes(server.payload)) == ("", b"firstmore")
        assert server.request is not None
        assert (server.request.target, server.request.salt) == (TARGET, b"")


@pytest.mark.parametrize("head", [b"\x02", b"\x03\x00", b"\x03\x01\x00\x00\x50"])
def test_a_bad_address_is_refused(head: bytes) -> None:
    server = ServerHearing(PlainShadow())
    server.feed(head + bytes(20))
    assert server.word in ("bad_atyp", "empty_domain", "bad_domain")


def test_the_address_is_owed_until_it_is_written() -> None:
    sealer, opener = PlainShadow().open_stream(TARGET, lambda: 0, bytes)
    assert opener is None
    owed = [sealer.owes]
    assert say(sealer, [b""]) == TARGET.pack()
    owed.append(sealer.owes)
    assert owed == [True, False]
    assert say(sealer, [b"payload"]) == b"payload"
