"""AEAD-2022 headers: time stamps, types, padding, and the salt that an answer names."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import ReplayError
from shadesocks.crypto.methods import METHODS
from shadesocks.wire.aead2022 import PADDING_MAX, SKEW_MAX, Aead2022Shadow, check_stamp, default_padding

from .codecs import AEAD2022, salt_of, shadow_of
from .hearing import ClientHearing, ServerHearing, make_request, make_response, say

TARGET = Address("192.0.2.1", 443)
NOW = 1_700_000_000


@pytest.mark.parametrize("name", AEAD2022)
@pytest.mark.parametrize(("skew", "word"), [(-31, "bad_timestamp"), (-30, ""), (30, ""), (31, "bad_timestamp")])
def test_a_clock_may_differ_by_thirty_seconds(name: str, skew: int, word: str) -> None:
    """SIP022 §3.1.3: exactly 30 s are accepted, both ways and in both directions."""
    request = make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name), now=NOW)
    server = ServerHearing(shadow_of(name), NOW + skew)
    server.hears([request])
    assert server.word == word
    answer = make_response(shadow_of(name), [b"x"], salt=salt_of(name), request_salt=salt_of(name, b"r"), now=NOW)
    client = ClientHearing(shadow_of(name), salt_of(name, b"r"), NOW + skew)
    client.hears([answer])
    assert client.word == word


@pytest.mark.parametrize("stamp", [0, 2**63, 2**64 - 1])
@pytest.mark.parametrize("now", [-1, 0, NOW, 2**63])
def test_no_stamp_wraps(stamp: int, now: int) -> None:
    if abs(stamp - now) > SKEW_MAX:
        with pytest.raises(ReplayError):
            check_stamp(stamp, now)
    else:
        check_stamp(stamp, now)


@pytest.mark.parametrize("name", AEAD2022)
def test_an_answer_to_another_request_is_refused(name: str) -> None:
    answer = make_response(shadow_of(name), [b"x"], salt=salt_of(name), request_salt=salt_of(name, b"r"), now=NOW)
    client = ClientHearing(shadow_of(name), salt_of(name, b"q"), NOW)
    client.hears([answer])
    assert client.word == "request_salt_mismatch"
    assert not client.payload


@pytest.mark.parametrize("name", AEAD2022)
def test_a_request_sent_to_a_client_and_an_answer_to_a_server_are_refused(name: str) -> None:
    request = make_request(shadow_of(name), TARGET, [bytes(100)], salt=salt_of(name), now=NOW)
    client = ClientHearing(shadow_of(name), salt_of(name, b"r"), NOW)
    client.hears([request])
    assert client.word
    answer = make_response(shadow_of(name), [b"x"], salt=salt_of(name), request_salt=salt_of(name, b"r"), now=NOW)
    server = ServerHearing(shadow_of(name), NOW)
    server.hears([answer])
    assert server.word
    assert server.request is None


@pytest.mark.parametrize("name", AEAD2022)
def test_a_request_without_payload_is_padded(name: str) -> None:
    """It must carry one of the two, and its size must vary."""
    sizes = set()
    for seed in range(60):
        sealer, _ = shadow_of(name).open_stream(TARGET, lambda: NOW, bytes([seed * 4]).__mul__)
        stream = say(sealer, [b""])
        sizes.add(len(stream))
        server = ServerHearing(shadow_of(name), NOW)
        server.hears([stream])
        assert (server.word, bytes(server.payload)) == ("", b"")
    assert len(sizes) > 20
    assert max(sizes) - min(sizes) < PADDING_MAX


def test_padding_is_one_to_nine_hundred_bytes() -> None:
    made = set()
    for at in range(0x10000):
        drawn = at.to_bytes(2)
        made.add(len(default_padding(0, {2: drawn}.__getitem__)))
    assert made == set(range(1, PADDING_MAX + 1))
    assert default_padding(1, bytes) == b""


@pytest.mark.parametrize("name", AEAD2022)
def test_neither_payload_nor_padding_is_refused(name: str) -> None:
    method = METHODS[name]
    bare = Aead2022Shadow(method, b"k" * method.key_size, padding=lambda _size, _random: b"")
    server = ServerHearing(shadow_of(name), NOW)
    server.hears([make_request(bare, TARGET, [b""], salt=salt_of(name), now=NOW)])
    assert server.word == "no_payload_no_padding"


@pytest.mark.parametrize("name", AEAD2022)
def test_the_letter_of_the_specification_wants_one_first_read(name: str) -> None:
    stream = make_request(shadow_of(name), TARGET, [b"first"], salt=salt_of(name), now=NOW)
    size = shadow_of(name).first_read_size
    for first, word in ((size - 1, "short_first_read"), (size, ""), (len(stream), "")):
        server = ServerHearing(shadow_of(name), NOW, strict_first_read=True)
        server.hears([stream[:first], stream[first:]])
        assert server.word == word
