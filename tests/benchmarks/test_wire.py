"""The load's half of the protocol against the shared vectors: a bench that sends nonsense measures nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load import HEAD_ROOM, Upload
from benchmarks.target import ORDER_SIZE, SINK
from benchmarks.wire import (
    METHODS,
    Account,
    Cipherer,
    Opener,
    Sealer,
    answer_size,
    make_account,
    pack_target,
    upload_size,
)

VECTORS = Path(__file__).parents[1] / "vectors"
CHUNKED = {name: method for name, method in METHODS.items() if not method.is_old}


def vectors(kind: str) -> list[Any]:
    """Of both editions, for the methods that the load speaks; without identity headers."""
    return [
        pytest.param(vector, id=vector["id"])
        for suite in ("aead", "aead2022_tcp")
        for vector in json.loads((VECTORS / f"{suite}.json").read_text())["vectors"]
        if vector["kind"] == kind and vector["method"] in METHODS and ":" not in vector["password"]
    ]


def account(vector: dict[str, Any]) -> Account:
    return Account(METHODS[vector["method"]], vector["password"])


@pytest.mark.parametrize("vector", vectors("tcp_request"))
def test_a_request_is_sealed_as_the_vectors_say(vector: dict[str, Any]) -> None:
    salt = bytes.fromhex(vector["salt_hex"])
    stream = salt
    if "fixed_header_hex" in vector:
        cipherer = Cipherer(account(vector).method, account(vector).key, salt)
        stream += cipherer.seal(bytes.fromhex(vector["fixed_header_hex"]))
        stream += cipherer.seal(bytes.fromhex(vector["variable_header_hex"]))
    else:
        sealer = Sealer(account(vector), salt)
        stream += b"".join(sealer.chunk(bytes.fromhex(chunk)) for chunk in vector["chunks_hex"])
    assert bytes.fromhex(vector["stream_hex"]).startswith(stream)
    assert len(stream) > len(salt)


@pytest.mark.parametrize("vector", vectors("tcp_response"))
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_a_response_is_opened_as_the_vectors_say(vector: dict[str, Any], step: int) -> None:
    opener = Opener(account(vector), bytes.fromhex(vector.get("request_salt_hex", "")))
    stream = bytes.fromhex(vector["stream_hex"])
    plain = b"".join(opener.feed(stream[at : at + step]) for at in range(0, len(stream), step))
    assert plain.hex() == vector["payload_hex"]


@pytest.mark.parametrize("method", CHUNKED.values(), ids=CHUNKED)
def test_an_upload_keeps_its_body_under_a_later_head(method: Any) -> None:
    size = 2 * method.max_payload + 5
    made = make_account(method)
    upload = Upload(made, size)
    upload.renew()
    first, whole = upload.stamped(("127.0.0.1", 1000), 1.0)
    first_copy = bytes(first)
    second, _ = upload.stamped(("127.0.0.1", 2000), 1.0)
    body = upload_size(method, size)
    assert whole == size
    assert first_copy[-body:] == bytes(second)[-body:]
    assert first_copy[:-body] != bytes(second)[:-body]
    assert unsealed(made, bytes(second)) == (2000, SINK, bytes(size))


@pytest.mark.parametrize("method", CHUNKED.values(), ids=CHUNKED)
def test_a_share_of_an_upload_is_whole_chunks(method: Any) -> None:
    made = make_account(method)
    upload = Upload(made, 8 * method.max_payload)
    upload.renew()
    stream, size = upload.stamped(("127.0.0.1", 1000), 1 / 4)
    assert size == 2 * method.max_payload
    assert unsealed(made, bytes(stream)) == (1000, SINK, bytes(size))
    assert len(stream) < HEAD_ROOM + upload_size(method, size)


def test_an_answer_is_as_long_as_the_vectors_show() -> None:
    for param in vectors("tcp_response"):
        (vector,) = param.values
        if len(vector["chunks_hex"]) == 1:
            method = METHODS[vector["method"]]
            assert answer_size(method, len(vector["payload_hex"]) // 2) == len(vector["stream_hex"]) // 2


def unsealed(made: Account, stream: bytes) -> tuple[int, bytes, bytes]:
    """The port, the order and the payload behind it, of a whole request stream."""
    method, at = made.method, made.method.size
    cipherer = Cipherer(method, made.key, stream[:at])

    def opened(size: int) -> bytes:
        nonlocal at
        at += size + 16
        return cipherer.open(stream[at - size - 16 : at])

    head = (
        opened(int.from_bytes(opened(11)[-2:], "big")) if method.is_2022 else opened(int.from_bytes(opened(2), "big"))
    )
    plain = b""
    while at < len(stream):
        plain += opened(int.from_bytes(opened(2), "big"))
    order = head[-ORDER_SIZE:]
    assert int.from_bytes(order[1:], "big") == len(plain)
    return int.from_bytes(head[5:7], "big"), order[:1], plain


def test_targets_are_addresses_or_names() -> None:
    assert pack_target(("127.0.0.1", 80)) == b"\x01\x7f\x00\x00\x01\x00\x50"
    assert pack_target(("n1.test", 443)) == b"\x03\x07n1.test\x01\xbb"
