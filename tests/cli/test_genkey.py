"""`shadesocks genkey`."""

from __future__ import annotations

import base64

import pytest

from shadesocks.cli.exits import OK, USAGE, run
from shadesocks.cli.programs import group

SIZES = {
    "2022-blake3-aes-128-gcm": 16,
    "2022-blake3-aes-256-gcm": 32,
    "2022-blake3-chacha20-poly1305": 32,
    "aes-192-gcm": 24,
    "AES-256-GCM": 32,
}


@pytest.mark.parametrize(("method", "size"), SIZES.items())
def test_the_key_is_base64_of_the_method_s_size(method: str, size: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", ["genkey", "-m", method]) == OK
    assert len(base64.b64decode(capsys.readouterr().out, validate=False)) == size


def test_two_keys_differ(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        run(group, "shadesocks", ["genkey", "--encrypt-method", "aes-256-gcm"])
    one, other = capsys.readouterr().out.split()
    assert one != other


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "-m"),
        (["-m", "2022-blake3-aes-256-gc"], "did you mean 2022-blake3-aes-256-gcm?"),
        (["-m", "zzz"], "no such method; there are 2022-blake3-aes-128-gcm,"),
        (["-m", "none"], "has no key"),
        (["-m", "sm4-gcm"], "cannot run the method"),
    ],
)
def test_what_has_no_key_is_refused(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", ["genkey", *argv]) == USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
