"""One AES block at a time: the separate header of AEAD-2022 datagrams (SIP022 §3.2.2).

The context is made once for a key and works for ever: in ECB no block depends on another. 0.1 us a block.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK_SIZE: Final = 16


class Block:
    """AES with one key, both ways."""

    __slots__ = ("open", "seal")

    def __init__(self, key: bytes) -> None:
        # The mode is not a choice: the protocol seals one random-looking block with it, never two of one message.
        cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305
        self.seal: Final = cipher.encryptor().update
        """16 bytes to 16 bytes."""
        self.open: Final = cipher.decryptor().update
        """16 bytes to 16 bytes."""

    def __repr__(self) -> str:
        return "Block(…)"
