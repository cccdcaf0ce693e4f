"""What the checks of all TCP streams have in common; keys, with those of datagrams."""

from __future__ import annotations

from hashlib import sha256, shake_256
from typing import TYPE_CHECKING

from shadesocks.crypto.keys import parse_keys
from shadesocks.crypto.methods import Edition
from shadesocks.crypto.subkeys import subkey_sha1
from shadesocks.crypto.subkeys_2022 import subkey_blake3
from shadesocks.wire.editions import make_shadow
from tests.vectors.vector import Vector, holds, same
from tests.wire.splits import all_splits, bytewise, random_splits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from shadesocks.crypto.methods import Method
    from shadesocks.wire.shadow import Shadow
    from tests.wire.hearing import Hearing, ServerHearing

EVERY_SPLIT_MAX = 400
"""Bytes up to which a stream is cut at every place; longer ones are cut at random."""
BYTEWISE_MAX = 20_000


_SUBKEYS = {Edition.AEAD: subkey_sha1, Edition.AEAD2022: subkey_blake3}


def make(vector: Vector) -> Shadow:
    """The vector's method with the key of its password."""
    return make_shadow(*keys_of(vector))


def keys_of(vector: Vector) -> tuple[Method, tuple[bytes, ...]]:
    """The vector's method and the key of its password; the keys it names on the way are compared."""
    method = vector.method
    keys = parse_keys(method, vector.text("password"))
    if "key_hex" in vector:
        same(b"".join(keys), vector.data("key_hex"), "key")
    if "psk_hex" in vector:
        same([key.hex() for key in keys], vector.fields["psk_hex"], "keys")
    if "subkey_hex" in vector:
        subkey = _SUBKEYS[method.edition](keys[-1], vector.data("salt_hex"))
        same(subkey, vector.data("subkey_hex"), "subkey")
    return method, keys


def splits(stream: bytes) -> Iterator[list[bytes]]:
    """The ways in which a stream is delivered."""
    if len(stream) <= EVERY_SPLIT_MAX:
        yield from all_splits(stream)
        return
    yield [stream]
    if len(stream) <= BYTEWISE_MAX:
        yield bytewise(stream)
    yield from random_splits(stream, 4)


def hears_request(vector: Vector, stream: bytes, begin: Callable[[], ServerHearing]) -> None:
    """A server hears target and payload, however the stream is cut."""
    for pieces in splits(stream):
        server = begin()
        server.hears(pieces)
        heard(vector, server)


def heard(vector: Vector, server: ServerHearing) -> None:
    """The server refused nothing, and knows target and payload."""
    same(server.word, "", "refusal")
    same(server.request and server.request.target, vector.target, "target")
    same(server.payload, vector.data("payload_hex"), "payload")


def hears_payload(payload: bytes, stream: bytes, begin: Callable[[], Hearing]) -> None:
    """A client hears that payload, however the stream is cut."""
    for pieces in splits(stream):
        client = begin()
        client.hears(pieces)
        same(client.word, "", "refusal")
        same(client.payload, payload, "payload")


def refuses(vector: Vector, begin: Callable[[], Hearing], delivered: list[bytes]) -> str:
    """A stream is refused, and no more than `payload_before_error_hex` was forwarded: whole chunks of it.

    Args:
        delivered: the payload of each chunk, which says where chunks end.
    """
    stream = vector.data("stream_hex")
    word = ""
    for pieces in ([stream], bytewise(stream), *random_splits(stream, 2)):
        hearing = begin()
        hearing.hears(pieces)
        if not hearing.word and "payload_if_accepted_hex" in vector:
            same(hearing.payload, vector.data("payload_if_accepted_hex"), "payload, since it was accepted")
            continue
        holds(bool(hearing.word), "accepted")
        _forwards_whole_chunks(hearing, vector.data("payload_before_error_hex"), delivered)
        holds(word in ("", hearing.word), f"{word} or {hearing.word}, by how the stream was cut")
        word = hearing.word
    return word or "accepted"


def _forwards_whole_chunks(hearing: Hearing, most: bytes, delivered: list[bytes]) -> None:
    got = bytes(hearing.payload)
    holds(most.startswith(got), f"forwarded {len(got)} bytes that are no part of the {len(most)} allowed ones")
    ends, size = {0, len(most)}, 0
    for chunk in delivered:
        size += len(chunk)
        ends.add(size)
    holds(len(got) in ends, f"forwarded {len(got)} bytes, which is no end of a chunk")


def generated(vector: Vector) -> list[bytes]:
    """The chunks of a vector that gives labels in their place."""
    return [
        shake_256(str(item["shake256_label"]).encode()).digest(int(item["length"]))
        for item in vector.items("chunk_gen")
    ]


def same_hash(stream: bytes, vector: Vector) -> None:
    """The stream is the one the vector gives length and hash of."""
    same(len(stream), vector.number("stream_len"), "length")
    same(sha256(stream).hexdigest(), vector.text("stream_sha256"), "SHA-256")


def payloads_of(chunks: Iterable[bytes], address: bytes) -> list[bytes]:
    """The payload in each chunk of a stream that begins with an address."""
    left, payloads = len(address), []
    for chunk in chunks:
        payloads.append(chunk[left:])
        left = max(0, left - len(chunk))
    return payloads
