"""Signed commands: who has the secret, at this time, and only once."""

from __future__ import annotations

import hmac
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.errors import RemoteProtocolError
from shadesocks.wire.manager import signed
from shadesocks.wire.manager.signed import WINDOW, Seen, sign

SECRET = b"correct horse battery staple"
NOW = 1_732_230_000


def test_a_signed_command_is_what_was_signed() -> None:
    for command in (b"ping", b"", b"\n\n", b"add: {}\n\0"):
        assert Seen(SECRET).open(sign(SECRET, NOW, command), NOW) == command


def test_the_form_is_what_openssl_makes() -> None:
    """docs/manager.md has these words for a shell."""
    openssl = shutil.which("openssl")
    code = hmac.new(SECRET, b"%d\nlist" % NOW, "sha256").hexdigest()
    assert sign(SECRET, NOW, b"list") == f"signed {NOW} {code}\nlist".encode()
    if openssl is not None:
        words = [openssl, "dgst", "-sha256", "-hmac", SECRET.decode()]
        made = subprocess.run(words, input=b"%d\nlist" % NOW, capture_output=True, check=True, timeout=20)
        assert made.stdout.split()[-1].decode() == code


@pytest.mark.parametrize("late", [-WINDOW - 1, WINDOW + 1, 86400, -NOW])
def test_at_another_time_it_says_nothing(late: int) -> None:
    with pytest.raises(RemoteProtocolError, match="clocks"):
        Seen(SECRET).open(sign(SECRET, NOW, b"ping"), NOW + late)


@pytest.mark.parametrize("late", [-WINDOW, 0, WINDOW])
def test_it_is_said_once(late: int) -> None:
    seen, data = Seen(SECRET), sign(SECRET, NOW, b"ping")
    seen.open(data, NOW + late)
    with pytest.raises(RemoteProtocolError, match="before"):
        seen.open(data, NOW + late)
    seen.open(sign(SECRET, NOW, b"list"), NOW + late)


def test_what_is_too_old_anyhow_is_forgotten() -> None:
    seen = Seen(SECRET)
    for second in range(1000):
        seen.open(sign(SECRET, NOW + second, b"ping"), NOW + second)
    assert len(seen._codes) <= WINDOW + 2


def test_no_more_is_remembered_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed, "SEEN_MAX", 2)
    seen = Seen(SECRET)
    for number in range(2):
        seen.open(sign(SECRET, NOW, b"%d" % number), NOW)
    with pytest.raises(RemoteProtocolError, match="remembered"):
        seen.open(sign(SECRET, NOW, b"ping"), NOW)


@given(st.binary(max_size=30), st.data())
def test_nothing_that_was_changed_is_taken(command: bytes, draw: st.DataObject) -> None:
    data = sign(SECRET, NOW, command)
    at = draw.draw(st.integers(0, len(data)))
    changed = data[:at] + draw.draw(st.binary(max_size=3)) + data[draw.draw(st.integers(at, len(data))) :]
    if changed != data:
        with pytest.raises(RemoteProtocolError):
            Seen(SECRET).open(changed, NOW)


def test_another_secret_signs_nothing() -> None:
    with pytest.raises(RemoteProtocolError, match="another secret"):
        Seen(SECRET).open(sign(b"another secret", NOW, b"ping"), NOW)
    with pytest.raises(RemoteProtocolError, match="not signed"):
        Seen(SECRET).open(b"ping", NOW)
