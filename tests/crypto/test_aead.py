"""Constructions and the bounded set of contexts."""

from __future__ import annotations

import pytest
from Cryptodome.Cipher import AES

from shadesocks.crypto.aead import CIPHERS, CONTEXTS_MAX, InvalidTag, Keyed


def test_xchacha20_poly1305_as_the_draft_has_it() -> None:
    """draft-irtf-cfrg-xchacha-03 §A.3.1."""
    plain = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        b"sunscreen would be it."
    )
    data = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    nonce = bytes(range(0x40, 0x58))
    cipher = CIPHERS["xchacha20-poly1305"](bytes(range(0x80, 0xA0)))
    sealed = bytearray(len(plain) + 16)
    cipher.encrypt_into(nonce, plain, data, sealed)
    assert sealed[:16].hex() == "bd6d179d3e83d43b9576579493c0e939"
    assert sealed[-16:].hex() == "c0875924c1c7987947deafd8780acf49"
    opened = bytearray(len(plain))
    cipher.decrypt_into(nonce, sealed, data, opened)
    assert opened == plain
    sealed[0] ^= 1
    with pytest.raises(InvalidTag):
        cipher.decrypt_into(nonce, sealed, data, opened)


def test_a_context_that_was_dropped_is_made_again() -> None:
    """Not more than the bound live at once, and nobody notices: the same key seals the same bytes."""
    first = Keyed(CIPHERS["aes-gcm"], bytes(16))
    before, after = bytearray(21), bytearray(21)
    first.cipher().encrypt_into(bytes(12), b"bytes", None, before)
    others = [Keyed(CIPHERS["aes-gcm"], bytes(16)) for _ in range(CONTEXTS_MAX + 5)]
    for other in others:
        other.cipher()
    assert first.live is None
    assert sum(other.live is not None for other in others) == CONTEXTS_MAX
    first.cipher().encrypt_into(bytes(12), b"bytes", None, after)
    assert before == after
    assert repr(first) == "Keyed(…)"


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000])
def test_aes_ocb_from_another_library(size: int, count: int) -> None:
    key, nonce, plain = bytes(range(size)), bytes(range(12)), bytes(range(250)) * 4
    sealed, opened = bytearray(count + 16), bytearray(count)
    CIPHERS["aes-ocb"](key).encrypt_into(nonce, plain[:count], None, sealed)
    text, tag = AES.new(key, AES.MODE_OCB, nonce=nonce, mac_len=16).encrypt_and_digest(plain[:count])
    assert sealed == text + tag
    CIPHERS["aes-ocb"](key).decrypt_into(nonce, sealed, None, opened)
    assert opened == plain[:count]


def test_aes_ocb_as_its_rfc_has_it() -> None:
    """RFC 7253, appendix A, the second row."""
    sealed, data = bytearray(24), bytes(range(8))
    CIPHERS["aes-ocb"](bytes(range(16))).encrypt_into(bytes.fromhex("bbaa99887766554433221101"), data, data, sealed)
    assert sealed.hex() == "6820b3657b6f615a5725bda0d3b4eb3a257c9af1f8f03009"
