"""The load's half of the ancestors' protocol against the shared vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load import HEAD_ROOM, Upload
from benchmarks.old_wire import OLD
from benchmarks.target import SINK, order
from benchmarks.udp_wire import Session, WrongAnswer, seal_under
from benchmarks.udp_wire import answer_size as udp_answer_size
from benchmarks.wire import METHODS, Account, Opener, Sealer, answer_size, make_account, make_cipherer, upload_size

VECTORS = Path(__file__).parents[1] / "vectors"


def vectors(kind: str) -> list[Any]:
    return [
        pytest.param(vector, id=vector["id"])
        for vector in json.loads((VECTORS / "stream.json").read_text())["vectors"]
        if vector["kind"] == kind and vector["method"] in OLD
    ]


def account(vector: dict[str, Any]) -> Account:
    return Account(METHODS[vector["method"]], vector["password"])


@pytest.mark.parametrize("vector", vectors("tcp_request"))
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_request_is_sealed_as_the_vectors_say(vector: dict[str, Any], step: int) -> None:
    iv, plain = bytes.fromhex(vector["iv_hex"]), bytes.fromhex(vector["plaintext_hex"])
    assert account(vector).key.hex() == vector["key_hex"]
    sealer = Sealer(account(vector), iv)
    stream = iv + b"".join(sealer.chunk(plain[at : at + step]) for at in range(0, len(plain), step))
    assert stream.hex() == vector["stream_hex"]


@pytest.mark.parametrize("vector", vectors("tcp_response"))
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_an_answer_is_opened_as_the_vectors_say(vector: dict[str, Any], step: int) -> None:
    opener, stream = Opener(account(vector), b""), bytes.fromhex(vector["stream_hex"])
    plain = b"".join(opener.feed(stream[at : at + step]) for at in range(0, len(stream), step))
    assert plain.hex() == vector["payload_hex"]
    assert answer_size(account(vector).method, len(plain)) == len(stream)


@pytest.mark.parametrize("vector", vectors("udp_request"))
def test_a_datagram_is_sealed_as_the_vectors_say(vector: dict[str, Any]) -> None:
    sealed = seal_under(account(vector), bytes.fromhex(vector["iv_hex"]), bytes.fromhex(vector["plaintext_hex"]))
    assert sealed.hex() == vector["packet_hex"]


@pytest.mark.parametrize("vector", vectors("udp_response"))
def test_an_answering_datagram_is_opened_as_the_vectors_say(vector: dict[str, Any]) -> None:
    session, packet = Session(account(vector)), bytes.fromhex(vector["packet_hex"])
    if vector["target"]["atyp"] != "ipv4":
        with pytest.raises(WrongAnswer):  # what our target never is
            session.open(packet)
        return
    payload = bytes.fromhex(vector["payload_hex"])
    assert session.open(packet) == ((vector["target"]["host"], vector["target"]["port"]), payload)
    assert udp_answer_size(account(vector).method, len(payload)) == len(packet)


def test_the_answering_datagrams_have_one_from_ipv4() -> None:
    own = Session(make_account(METHODS[OLD[0]]))
    sealed = own.seal(("127.0.0.1", 53), b"payload")
    assert own.open(sealed) == (("127.0.0.1", 53), b"payload")


@pytest.mark.parametrize("name", OLD)
def test_an_upload_has_the_head_it_is_given_and_its_size(name: str) -> None:
    made = make_account(METHODS[name])
    size = 2 * made.method.max_payload + 5
    upload = Upload(made, size)
    upload.renew()
    stream, whole = upload.stamped(("127.0.0.1", 1000), 1.0)
    assert whole == size
    assert len(stream) - upload_size(made.method, size) < HEAD_ROOM
    iv, rest = bytes(stream[: made.method.salt_size]), bytes(stream[made.method.salt_size :])
    plain = make_cipherer(made, iv).open(rest)
    assert plain[:7] == b"\x01\x7f\x00\x00\x01\x03\xe8"
    assert plain[7:16] == order(SINK, size)
    assert plain[-1000:] == bytes(1000)  # a head of the same size leaves what is far behind it as it was
