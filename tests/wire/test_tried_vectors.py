"""The vectors of AEAD, as a port of 1, 10 and 100 users hears them: as one with the one key does."""

from __future__ import annotations

from functools import partial
from os import urandom

import pytest

from shadesocks.core.reasons import reason
from shadesocks.proxy.users.table import UserTable
from shadesocks.proxy.users.user import User
from shadesocks.wire.editions import make_packets, make_tried_shadow
from tests.vectors.checks.streams import hears_request, make, payloads_of, refuses
from tests.vectors.runner import HERE, load
from tests.vectors.vector import Unsupported, Vector

from .codecs import SaltSet
from .hearing import ServerHearing
from .talking import Server, word_of
from .test_packet_aead_users import Patient


def is_supported(vector: Vector) -> bool:
    try:
        return vector.method is not None
    except Unsupported:
        return False


VECTORS = [vector for vector in load(HERE / "aead.json") if is_supported(vector)]
counts = pytest.mark.parametrize("count", [1, 10, 100])


def of_kind(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", [vector for vector in VECTORS if vector.kind == kind], ids=repr)


def keyring(vector: Vector, count: int) -> UserTable[User]:
    """The vector's key, behind those of others."""
    keys = [urandom(vector.method.key_size) for _ in range(count - 1)]
    return UserTable(User(f"user {at}", (key,)) for at, key in enumerate([*keys, vector.data("key_hex")]))


@counts
@of_kind("tcp_request")
def test_streams(vector: Vector, count: int) -> None:
    shadow = make_tried_shadow(vector.method, keyring(vector, count))
    hears_request(vector, vector.data("stream_hex"), partial(ServerHearing, shadow))


@counts
@of_kind("tcp_request_error")
def test_streams_that_are_refused(vector: Vector, count: int) -> None:
    shadow = make_tried_shadow(vector.method, keyring(vector, count))
    chunks = vector.datas("chunks_hex")
    payloads = payloads_of(chunks, vector.target.pack() if "target" in vector else b"")
    word = refuses(vector, partial(ServerHearing, shadow), payloads)
    assert reason(word) == reason(refuses(vector, partial(ServerHearing, make(vector)), payloads))


@counts
@of_kind("udp_request")
def test_datagrams(vector: Vector, count: int) -> None:
    server = Patient(vector.method.name, keyring=keyring(vector, count))
    heard = server.hears(vector.data("packet_hex"))
    assert (heard.target, heard.payload) == (vector.target, vector.data("payload_hex"))
    assert heard.plain == vector.data("plaintext_hex")
    assert server.user == f"user {count - 1}"
    assert word_of(server.hears, vector.data("packet_hex")) == "salt_reused"


@counts
@of_kind("udp_packet_error")
def test_datagrams_that_are_refused(vector: Vector, count: int) -> None:
    server = Patient(vector.method.name, keyring=keyring(vector, count))
    one = Server(make_packets(vector.method, [vector.data("key_hex")], urandom, SaltSet().insert))
    words = [word_of(each.hears, vector.data("packet_hex")) for each in (server, one)]
    assert reason(words[0]) == reason(words[1])
    assert not server.talks
