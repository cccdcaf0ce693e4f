"""What a method needs and this machine lacks: named in a sentence, looked for only where it may be needed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shadesocks.crypto.available import missing
from shadesocks.crypto.methods import METHODS, Method, find_method, is_ready
from tests.crypto.lacking import without_pycryptodomex

READY = [method for method in METHODS.values() if is_ready(method)]
EXTRA = ("salsa20", "salsa20-ctr", "rc2-cfb")


def in_a_process(code: str, **variables: str) -> str:
    """Run code in a Python of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("method", READY, ids=lambda method: method.name)
def test_nothing_is_missing_here(method: Method) -> None:
    assert missing(method) == ""


@pytest.mark.parametrize("method", READY, ids=lambda method: method.name)
def test_without_pycryptodomex(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    without_pycryptodomex(monkeypatch)
    wanted = f"{method.name} needs pycryptodomex: pip install 'shadesocks[legacy]'"
    assert missing(method) == (wanted if method.name in EXTRA else "")


WITHOUT_LEGACY = """
import sys
from shadesocks.crypto.available import missing
from shadesocks.crypto.methods import METHODS, is_ready
if sys.argv[1:] == ["bare"]:
    sys.modules["Cryptodome"] = None
for name, method in METHODS.items():
    if is_ready(method) and missing(method):
        print(missing(method))
"""


def test_an_openssl_without_its_legacy_provider() -> None:
    """What pycryptodomex has too is taken from there; SEED and IDEA are nowhere else."""
    said = in_a_process(WITHOUT_LEGACY, CRYPTOGRAPHY_OPENSSL_NO_LEGACY="1").splitlines()
    if not said:
        pytest.skip("this OpenSSL has its old ciphers built in")
    assert {line.split(":")[0] for line in said} == {
        f"the OpenSSL of this system has no {name}" for name in ("seed-cfb", "idea-cfb")
    }


def test_an_openssl_without_its_legacy_provider_and_no_pycryptodomex() -> None:
    code = WITHOUT_LEGACY.replace("sys.argv[1:]", '["bare"]')
    said = in_a_process(code, CRYPTOGRAPHY_OPENSSL_NO_LEGACY="1").splitlines()
    names = {line.split()[0] for line in said if "needs pycryptodomex" in line}
    assert names >= set(EXTRA)
    if len(said) > len(EXTRA):
        assert names >= {"bf-cfb", "cast5-cfb", "rc4", "rc4-md5", "rc4-md5-6"}


def test_old_ciphers_are_not_loaded_for_anybody_else() -> None:
    code = """
import sys
import shadesocks.cli.programs, shadesocks.service.roles.server_port
from shadesocks.crypto.available import missing
from shadesocks.crypto.methods import METHODS
from shadesocks.wire.editions import make_packets, make_shadow
for method in METHODS.values():
    if not method.legacy and method.cipher:
        assert missing(method) == ""
        make_shadow(method, [bytes(method.key_size)])
        make_packets(method, [bytes(method.key_size)], bytes, bool)
print(sorted(name for name in sys.modules if "Cryptodome" in name or
             name.startswith(("shadesocks.crypto.stream", "shadesocks.wire.stream", "shadesocks.crypto.aead_old"))))
"""
    assert in_a_process(code) == "[]"


def test_a_method_that_only_has_a_name_is_another_matter() -> None:
    assert missing(find_method("aes-128-ccm")) == ""
