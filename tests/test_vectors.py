"""Every vector this version supports is a test; so is the runner, since a check that checks nothing passes."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.vectors import __main__ as command
from tests.vectors.checks import CHECKS
from tests.vectors.checks.packets import is_made
from tests.vectors.runner import HERE, Outcome, Report, Verdict, load, run
from tests.vectors.vector import Unsupported, Vector

if TYPE_CHECKING:
    from pathlib import Path

ALL = [vector for path in sorted(HERE.glob("*.json")) for vector in load(path)]


def is_supported(vector: Vector) -> bool:
    """True where the kind has a check and the method, if there is one, can run."""
    try:
        return (vector.suite, vector.kind) in CHECKS and ("method" not in vector or vector.method is not None)
    except Unsupported:
        return vector.suite in ("kdf", "uri")


SUPPORTED = [vector for vector in ALL if is_supported(vector)]


@pytest.mark.parametrize("vector", SUPPORTED, ids=repr)
def test_vector(vector: Vector) -> None:
    outcome = run(vector)
    if outcome.verdict is Verdict.UNSUPPORTED:
        pytest.skip(outcome.text)
    assert outcome.verdict is Verdict.PASSED, outcome.text


def test_every_check_has_a_vector() -> None:
    """Else the table names a kind that is spelled otherwise, and everything of it is skipped."""
    unused = set(CHECKS) - {(vector.suite, vector.kind) for vector in ALL}
    assert unused == {("aead", "tcp_response_error")}


EXPECTATIONS = (
    "hex",
    "key_hex",
    "psk_hex",
    "subkey_hex",
    "hash16_hex",
    "keys_hex",
    "consumed",
    "target",
    "payload_hex",
    "stream_hex",
    "stream_sha256",
    "packet_hex",
    "packet_id",
    "plaintext_hex",
    "body_hex",
    "separate_header_hex",
    "nonce_hex",
    "session_subkey_hex",
    "session_id_hex",
    "client_session_id_hex",
    "result",
    "steps",
    "header_hmac_hex",
    "encrypt_table_hex",
    "decrypt_table_hex",
    "rc4_key_hex",
    "reply_code",
    "expect",
    "response",
    "parsed",
    "bytes",
    "server_count",
    "servers",
    "bytes_used",
    "bytes_remaining",
)
"""Fields that hold what must come out."""


def spoil(value: Any) -> Any:
    """Return something else of the same shape."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ 1
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    if isinstance(value, list):
        return [*value[:-1], spoil(value[-1])]
    assert isinstance(value, dict)
    name = next((name for name in ("port", "accept") if name in value), next(iter(value)))
    return {**value, name: spoil(value[name])}


def spoilable() -> list[tuple[Vector, str]]:
    """The first vector of each kind that is to be accepted, with each of its expectations."""
    first: dict[tuple[str, str], Vector] = {}
    for vector in SUPPORTED:
        if "error" not in vector:
            first.setdefault((vector.suite, vector.kind), vector)
    pairs = [(vector, name) for vector in first.values() for name in EXPECTATIONS if name in vector]
    # What goes into a derivation, not what comes out; a vector of another key would be another good vector.
    return [pair for pair in pairs if (pair[0].kind[:6], pair[1]) not in {("blake3", "psk_hex"), ("psk_ha", "psk_hex")}]


@pytest.mark.parametrize(("vector", "name"), spoilable(), ids=str)
def test_a_spoiled_vector_fails(vector: Vector, name: str) -> None:
    fields = copy.deepcopy(vector.fields)
    fields[name] = spoil(fields[name])
    assert run(Vector(vector.suite, fields)).verdict is Verdict.FAILED


def without_null(value: Any) -> Any:
    """Return the same without members that are null."""
    if isinstance(value, dict):
        return {key: without_null(each) for key, each in value.items() if each is not None}
    return value


@pytest.mark.parametrize("suite", ["uri", "sip008", "plugin"])
def test_null_and_absent_are_the_same(suite: str) -> None:
    lists = ("pairs",)  # of flags, whose value is null
    for vector in SUPPORTED:
        if vector.suite == suite:
            fields = {name: each if name in lists else without_null(each) for name, each in vector.fields.items()}
            if "servers" in fields:
                fields["servers"] = [without_null(each) for each in fields["servers"]]
            assert run(Vector(suite, fields)).verdict is Verdict.PASSED, vector


GOOD = {
    ("address", "decode_error"): {"hex": "017f0000010050"},
    ("uri", "parse_error"): {"uri": "ss://aes-256-gcm:pw@h:1"},
    ("sip008", "document_error"): {"json": '{"version": 1, "servers": []}'},
    ("kdf", "psk_text"): {"method": "2022-blake3-aes-128-gcm", "text": "3V96jfFdCPDYOnbXmHFUDA==", "error": "bad"},
    ("socks", "socks5_udp_error"): {"datagram_hex": "00000001c000020a1f90"},
}


@pytest.mark.parametrize(("suite", "kind"), GOOD)
def test_what_is_accepted_though_it_should_not_fails(suite: str, kind: str) -> None:
    outcome = run(Vector(suite, {"id": "good", "kind": kind, **GOOD[suite, kind]}))
    assert (outcome.verdict, outcome.text) == (Verdict.FAILED, "accepted")


@pytest.mark.parametrize(
    ("suite", "good", "bad"),
    [
        ("aead", "tcp_request", "tcp_request_error"),
        ("aead", "tcp_response", "tcp_response_error"),
        ("aead2022_tcp", "tcp_request", "tcp_request_error"),
        ("aead2022_tcp", "tcp_response", "tcp_response_error"),
        ("aead", "udp_request", "udp_packet_error"),
        ("aead2022_udp", "udp_client", "udp_client_error"),
        ("aead2022_udp", "udp_server", "udp_server_error"),
        ("stream", "tcp_request", "tcp_request_error"),
        ("stream", "udp_request", "udp_packet_error"),
        ("ota", "tcp_request", "tcp_request_error"),
        ("ota", "udp_request", "udp_packet_error"),
    ],
)
def test_a_good_stream_or_packet_fails_as_a_bad_one(suite: str, good: str, bad: str) -> None:
    vector = next(vector for vector in SUPPORTED if (vector.suite, vector.kind) == (suite, good))
    outcome = run(Vector(suite, {**vector.fields, "kind": bad, "error": "auth_failed"}))
    assert (outcome.verdict, outcome.text) == (Verdict.FAILED, "accepted")


def test_which_packets_are_opened_only() -> None:
    """All others are also made, byte for byte: a choice of ours that changes is not to go unnoticed here."""
    opened = [
        vector.id
        for vector in SUPPORTED
        if (vector.suite, vector.kind) in {("aead2022_udp", "udp_client"), ("aead2022_udp", "udp_server")}
        and not is_made(vector)
    ]
    ends = ("client-domain-pad", "client-big-id", "server-pad")
    methods = ("2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305")
    assert sorted(opened) == sorted(f"{method}-{end}" for method in methods for end in ends)


def test_forwarding_more_than_allowed_fails() -> None:
    vector = next(vector for vector in SUPPORTED if vector.id.endswith("bad-second-chunk"))
    fields = {**vector.fields, "payload_before_error_hex": ""}
    assert run(Vector(vector.suite, fields)).verdict is Verdict.FAILED


def write(directory: Path, vectors: list[dict[str, Any]], suite: str = "address") -> None:
    """Write one file of vectors, with things in it that no one here knows."""
    content = {"format": 1, "suite": suite, "made_for": "elsewhere", "vectors": vectors}
    (directory / f"{suite}.json").write_text(json.dumps(content))


def test_another_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = {"id": "new", "kind": "decode_error", "hex": "00", "error": "bad_atyp", "odd": None, "more": [1]}
    other = {"id": "new-2", "kind": "decode_error", "hex": "01", "error": "bad_atyp"}
    write(tmp_path, [good, other, {"id": "x", "kind": "never heard of"}])
    assert command.main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 passed, 0 failed, 1 skipped"
    assert lines[-2] == "1 of 2 refusals give the very reason of their vector"
    assert "  address.json never heard of (1): this kind" in lines
    assert "  address.json: truncated for bad_atyp (1)" in lines


def test_a_failure_is_named_and_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [{"id": "wrong", "kind": "decode_error", "hex": "017f0000010050", "error": "bad_atyp"}])
    assert command.main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "  address.json wrong: accepted" in out
    assert out.endswith("0 passed, 1 failed, 0 skipped\n")


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}'])
def test_a_file_that_holds_none_is_a_failure(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [{"id": "good", "kind": "decode_error", "hex": "00", "error": "bad_atyp"}])
    (tmp_path / "broken.json").write_text(text)
    assert command.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.endswith("1 passed, 1 failed, 0 skipped\n")


def test_an_escaped_exception_is_a_failure_of_that_vector_alone() -> None:
    outcome = run(Vector("address", {"id": "hollow", "kind": "decode"}))
    assert outcome.verdict is Verdict.FAILED
    assert "KeyError" in outcome.text


@pytest.mark.parametrize("arguments", [["a", "b"], ["--help"], ["/nonexistent"]])
def test_nothing_to_run_is_no_success(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 2
    assert capsys.readouterr().err


def test_unsupported_vectors_are_counted_and_named() -> None:
    report = Report([("x.json", Outcome(Vector("x", {"id": "1", "kind": "k"}), Verdict.UNSUPPORTED, "why"))])
    lines = list(report.lines())
    assert "  x.json k (1): why" in lines
    assert lines[-1] == "0 passed, 0 failed, 1 skipped"
