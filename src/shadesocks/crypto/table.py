"""Method `table`: each byte for another one, by a list that the password shuffles (protocol §4)."""

from __future__ import annotations

from typing import Final

from .digests import md5

_BYTES: Final = 256
_ROUNDS: Final = 1023


def table_of(password: bytes) -> tuple[bytes, bytes]:
    """Return what seals a byte and what opens it, each as a table for `bytes.translate`."""
    seed = int.from_bytes(md5(password, usedforsecurity=False).digest()[:8], "little")
    rests = [seed % number for number in range(1, _BYTES + _ROUNDS)]
    order = list(range(_BYTES))
    for number in range(_ROUNDS):  # counted from 1 in the rule, as the rests are
        order.sort(key=rests[number : number + _BYTES].__getitem__)
    sealed = bytes(order)
    return sealed, bytes(map(sealed.index, range(_BYTES)))
