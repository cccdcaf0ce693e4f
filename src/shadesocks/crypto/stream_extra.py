"""Stream ciphers out of pycryptodomex, which the extra `legacy` brings: what OpenSSL has not, or a build of it lacks.

Called by `stream.py`, which loads this file when such a method is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from Cryptodome.Cipher import ARC4, Salsa20

from ..core.address import Buffer

if TYPE_CHECKING:
    from .stream import StreamKey, Update

SALSA_RUN: Final = 16_384
"""Key bytes of one nonce in salsa20-ctr."""
_NONCES: Final = 1 << 64


def _into(update: Any) -> Update:
    """Make an `Update` of a method of pycryptodomex, which wants an output of the very size."""

    def into(data: Buffer, out: memoryview) -> None:
        update(data, output=out[: len(data)])

    return into


def feedback(name: str, key: bytes, **options: int) -> StreamKey:
    """A block cipher with blocks of 8 bytes, in CFB with the whole block fed back. `name` is the library's."""
    from .stream import StreamKey

    cipher = import_module(f"Cryptodome.Cipher.{name}")

    def new(iv: bytes) -> Any:
        return cipher.new(key, cipher.MODE_CFB, iv=iv, segment_size=64, **options)

    return StreamKey(lambda iv: _into(new(iv).encrypt), lambda iv: _into(new(iv).decrypt))


def rc4(key: bytes) -> Update:
    """RC4, nothing dropped."""
    encrypt = ARC4.new(key).encrypt

    def into(data: Buffer, out: memoryview) -> None:
        out[: len(data)] = encrypt(bytes(data))

    return into


def salsa20(key: bytes, iv: bytes) -> Update:
    """Salsa20, 64-bit nonce, its counter from 0."""
    return _into(Salsa20.new(key, iv).encrypt)


class SalsaCounter:
    """salsa20-ctr, as Python versions up to 2.6 had it: each 16 KiB have a nonce one higher, and a counter from 0."""

    __slots__ = ("_key", "_left", "_nonce", "_update")

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._key = key
        self._nonce = int.from_bytes(iv, "little")
        self._left = SALSA_RUN
        self._update = salsa20(key, iv)

    def __call__(self, data: Buffer, out: memoryview) -> None:
        """See `stream.Update`."""
        view = memoryview(data)
        at = 0
        while at < len(view):
            if not self._left:
                self._left = SALSA_RUN
                self._nonce = (self._nonce + 1) % _NONCES
                self._update = salsa20(self._key, self._nonce.to_bytes(8, "little"))
            size = min(self._left, len(view) - at)
            self._update(view[at : at + size], out[at:])
            self._left -= size
            at += size
