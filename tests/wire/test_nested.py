"""A stream within a stream, in any pieces and of any methods."""

from __future__ import annotations

import os

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import AuthenticationError
from shadesocks.wire.nested import NESTED_MOST, NestedOpener, NestedSealer, PlainAhead
from shadesocks.wire.shadow import READ_ANY, Opens, Seals, ShadowRequest, read_max_of
from tests.wire.codecs import AEAD, SEALED, STREAM, shadow_of
from tests.wire.hearing import Hearing, ServerHearing, say
from tests.wire.splits import bytewise, in_pieces

NOW = 1_700_000_000
OUTER, INNER = Address("inner.example", 8388), Address("target.example", 443)
ROOM = 1 << 18


def buffer() -> memoryview:
    return memoryview(bytearray(ROOM))


class Heard(Hearing):
    """Bytes as an opener hears them."""

    def __init__(self, opener: Opens) -> None:
        super().__init__()
        self._opener, self._open = opener, True

    def _take(self, piece: bytes) -> None:
        """With room for what the openers hold, which the relay's buffers have."""
        assert self._opener is not None
        source, out = memoryview(self._held + piece), buffer()
        used, made = self._opener.open(source, len(source), out)
        self.payload += out[:made]
        self._held = bytes(source[used:])


def begin(*methods: str) -> tuple[Seals, Opens]:
    """Begin a stream through servers of these methods, the nearest first."""
    sealer: Seals | None = None
    opener: Opens | None = None
    for method in methods:
        seals, opens = shadow_of(method).open_stream(INNER, lambda: NOW, os.urandom)
        assert opens is not None
        sealer = seals if sealer is None else NestedSealer(sealer, seals, buffer())
        opener = opens if opener is None else NestedOpener(opener, opens, buffer())
    assert sealer is not None
    assert opener is not None
    return sealer, opener


def serve(stream: bytes, *methods: str) -> tuple[list[ShadowRequest], bytes]:
    """What these servers make of a stream, each handing its payload to the next."""
    requests = []
    for method in methods:
        hearing = ServerHearing(shadow_of(method), NOW)
        hearing.hears([stream])
        assert hearing.word == ""
        assert hearing.request is not None
        requests.append(hearing.request)
        stream = bytes(hearing.payload)
    return requests, stream


def answer(requests: list[ShadowRequest], payloads: list[bytes]) -> bytes:
    """What comes back when the last server says this."""
    for request in reversed(requests):
        payloads = [say(request.sealer, payloads)]
    return payloads[0]


OLD = ("aes-256-cfb", "camellia-128-ctr", "rc4-md5-6", "salsa20-ctr", "table")
CHAINS = [
    *((SEALED[0], method) for method in (*SEALED, *STREAM)),
    *((method, SEALED[-1]) for method in (*SEALED, *STREAM)),
    *((one, other) for one in OLD for other in OLD),
    SEALED[:3],
    OLD[:3],
]


@pytest.mark.parametrize("chain", CHAINS, ids="+".join)
def test_there_and_back(chain: tuple[str, ...]) -> None:
    assert len(chain) <= NESTED_MOST
    sealer, opener = begin(*chain)
    assert (sealer.owes, opener.started) == (True, False)
    payloads = [b"first", os.urandom(40_000), b"x"]
    stream = say(sealer, payloads)
    requests, heard = serve(stream, *chain)
    assert heard == b"".join(payloads)
    heard_back = Heard(opener)
    heard_back.hears(in_pieces(answer(requests, payloads), 1))
    assert (heard_back.word, bytes(heard_back.payload)) == ("", b"".join(payloads))
    assert (sealer.owes, opener.started, opener.clean) == (False, True, True)


@pytest.mark.parametrize(
    "chain", [(SEALED[0], SEALED[-1]), (SEALED[-1], SEALED[0]), (SEALED[0], OLD[0]), OLD[1:3]], ids="+".join
)
@pytest.mark.parametrize("seed", range(10))
def test_any_pieces_of_both_layers(chain: tuple[str, str], seed: int) -> None:
    sealer, opener = begin(*chain)
    [outer, inner], _ = serve(say(sealer, [b"first"]), *chain)
    payload = os.urandom(3000)
    sealed = say(inner.sealer, [payload[:1000], payload[1000:]])
    heard = Heard(opener)
    heard.hears(in_pieces(say(outer.sealer, in_pieces(sealed, seed)), ~seed))
    assert (heard.word, bytes(heard.payload)) == ("", payload)


@pytest.mark.parametrize("cut", [1, 31, 32, 33, 50, 51, -1])
def test_an_end_inside_the_inner_stream_is_no_end(cut: int) -> None:
    """Though the outer one ends where it may: its server cut the other off."""
    chain = (AEAD[0], AEAD[0])
    sealer, opener = begin(*chain)
    [outer, inner], _ = serve(say(sealer, [b"first"]), *chain)
    sealed = say(inner.sealer, [b"hello"])
    heard = Heard(opener)
    heard.hears([say(outer.sealer, [sealed[:cut]])])
    salt = 16 if "128" in AEAD[0] else 32
    assert heard.word == ("" if cut == salt else "truncated")
    assert not heard.payload


def test_what_the_inner_server_did_not_seal_is_refused() -> None:
    chain = (AEAD[0], AEAD[0])
    sealer, opener = begin(*chain)
    [outer, _], _ = serve(say(sealer, [b"first"]), *chain)
    source = memoryview(say(outer.sealer, [os.urandom(200)]))
    with pytest.raises(AuthenticationError):
        opener.open(source, len(source), buffer())


def test_a_header_without_payload_is_one_of_both() -> None:
    chain = (SEALED[0], SEALED[-1])
    sealer, _ = begin(*chain)
    requests, heard = serve(say(sealer, [b""]), *chain)
    assert [request.target for request in requests] == [INNER, INNER]
    assert heard == b""
    assert not sealer.owes
    assert sealer.seal(buffer(), 0, buffer()) == 0


@pytest.mark.parametrize("method", [*SEALED, "aes-256-cfb", "chacha20"])
def test_bytes_that_are_open_already_come_first(method: str) -> None:
    sealer, opener = begin(method)
    requests, _ = serve(say(sealer, [b"first"]), method)
    stream = answer(requests, [b"an answer", b", and another"])
    ahead = PlainAhead(opener, 5)
    assert (ahead.started, ahead.clean) == (False, True)
    heard = Heard(ahead)
    heard.feed(b"ahead" + stream[:7])
    assert bytes(heard.payload) == b"ahead"
    heard.hears(bytewise(stream[7:]))
    assert (heard.word, bytes(heard.payload)) == ("", b"aheadan answer, and another")
    assert (ahead.started, ahead.clean) == (True, True)


@pytest.mark.parametrize(
    ("methods", "most"),
    [(("aes-256-gcm", "aes-256-cfb1"), 8192), (("camellia-128-cfb8", "chacha20"), 65536), (("rc4-md5",) * 2, READ_ANY)],
)
def test_one_slow_stream_makes_all_slow(methods: tuple[str, str], most: int) -> None:
    sealer, opener = begin(*methods)
    assert read_max_of(sealer) == read_max_of(opener) == read_max_of(PlainAhead(opener, 3)) == most
