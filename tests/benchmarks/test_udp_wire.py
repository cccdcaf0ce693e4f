"""The load's half of the datagrams against the shared vectors."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from benchmarks.udp_wire import ADDRESS, Session, WrongAnswer, answer_size, make_sessions, seal_all, seal_under, subkey
from benchmarks.wire import METHODS, Account, make_account

VECTORS = Path(__file__).parents[1] / "vectors"
KNOWN = [name for name in METHODS if not name.startswith("2022-") or "aes" in name]


def vectors(suite: str, kind: str) -> list[Any]:
    """For the methods that the load speaks over UDP; without identity headers."""
    return [
        pytest.param(vector, id=vector["id"])
        for vector in json.loads((VECTORS / f"{suite}.json").read_text())["vectors"]
        if vector["kind"] == kind and vector["method"] in KNOWN and ":" not in vector["password"]
    ]


def account(vector: dict[str, Any]) -> Account:
    return Account(METHODS[vector["method"]], vector["password"])


@pytest.mark.parametrize("vector", vectors("aead", "udp_request"))
def test_a_datagram_is_sealed_as_the_vectors_say(vector: dict[str, Any]) -> None:
    salt = bytes.fromhex(vector["salt_hex"])
    assert subkey(account(vector), salt).hex() == vector["subkey_hex"]
    sealed = seal_under(account(vector), salt, bytes.fromhex(vector["plaintext_hex"]))
    assert sealed.hex() == vector["packet_hex"]


@pytest.mark.parametrize("vector", [*vectors("aead", "udp_response"), *vectors("aead2022_udp", "udp_server")])
def test_an_answer_is_opened_as_the_vectors_say(vector: dict[str, Any]) -> None:
    session = Session(account(vector), session_id=bytes.fromhex(vector.get("client_session_id_hex", "")))
    packet = bytes.fromhex(vector["packet_hex"])
    if vector["target"]["atyp"] != "ipv4":
        with pytest.raises(WrongAnswer):  # what our target never is
            session.open(packet)
        return
    opened = session.open(packet)
    assert opened == ((vector["target"]["host"], vector["target"]["port"]), bytes.fromhex(vector["payload_hex"]))


def is_like_the_load(param: Any) -> bool:
    """It pads nothing, and speaks to IPv4 addresses alone."""
    (vector,) = param.values
    return vector["target"]["atyp"] == "ipv4" and not vector["padding_hex"] and vector["packet_id"] < 10


@pytest.mark.parametrize("vector", list(filter(is_like_the_load, vectors("aead2022_udp", "udp_client"))))
def test_a_2022_datagram_is_sealed_as_the_vectors_say(vector: dict[str, Any]) -> None:
    session = Session(account(vector), session_id=bytes.fromhex(vector["session_id_hex"]))
    target = (vector["target"]["host"], vector["target"]["port"])
    sealed = [
        session.seal(target, bytes.fromhex(vector["payload_hex"]), vector["timestamp"])
        for _ in range(vector["packet_id"] + 1)
    ]
    assert sealed[-1].hex() == vector["packet_hex"]


@pytest.mark.parametrize("vector", vectors("aead2022_udp", "udp_server"))
def test_an_answer_to_somebody_else_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(WrongAnswer):
        Session(account(vector)).open(bytes.fromhex(vector["packet_hex"]))


@pytest.mark.parametrize("name", KNOWN)
def test_no_two_datagrams_are_alike_and_sessions_take_turns(name: str) -> None:
    made = make_account(METHODS[name])
    sessions = make_sessions(made, 3)
    sealed = seal_all(sessions, ("127.0.0.1", 53), 100, 9)
    assert len(set(sealed)) == 9
    assert len({session.source for session in sessions}) == 3
    assert len({len(datagram) for datagram in sealed}) == 1


def test_an_answer_is_as_long_as_the_vectors_show() -> None:
    for param in [*vectors("aead", "udp_response"), *vectors("aead2022_udp", "udp_server")]:
        (vector,) = param.values
        if vector["target"]["atyp"] == "ipv4" and not vector.get("padding_hex"):
            method = METHODS[vector["method"]]
            assert answer_size(method, len(vector["payload_hex"]) // 2) == len(vector["packet_hex"]) // 2


def test_a_changed_answer_does_not_open() -> None:
    made = make_account(METHODS["aes-256-gcm"])
    sealed = seal_under(made, bytes(32), b"\x01" + bytes(4) + struct.pack(">H", 7) + b"payload")
    assert Session(made).open(sealed) == (("0.0.0.0", 7), b"payload")
    assert len(sealed) == 32 + ADDRESS + 7 + 16
    with pytest.raises(InvalidTag):
        Session(made).open(sealed[:-1] + bytes([sealed[-1] ^ 1]))
