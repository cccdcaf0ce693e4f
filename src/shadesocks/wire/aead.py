"""AEAD streams, SIP004 as amended by SIP007 (protocol §6).

    request    salt || chunk*      the chunks' payload is: address || payload...
    response   salt || chunk*      the chunks' payload is: payload...

Each direction has its own random salt and from it its own key. The address may be
spread over several chunks, and payload may follow it in the last of them.
"""

from __future__ import annotations

from typing import Final

from ..core.address import Address, parse_address
from ..core.errors import AuthenticationError, RemoteProtocolError, ReplayError
from ..crypto.aead import TAG_SIZE
from ..crypto.methods import Method
from ..crypto.subkeys import deriver_sha1
from .chunks import SIZE_SIZE, Opener, Sealer, SealStart
from .shadow import Known, Parser, Random, ShadowRequest, WallClock


class AeadShadow:
    """An AEAD method with its master key."""

    __slots__ = ("_derive", "_method", "first_read_size")

    def __init__(self, method: Method, key: bytes) -> None:
        self._method = method
        self._derive: Final = deriver_sha1(key)
        self.first_read_size = 1

    def read_request(self, known: Known, wall: WallClock, random: Random) -> Parser[ShadowRequest]:
        """Read salt, and chunks until the address is whole; see `shadow.Shadow`."""
        salt = bytes((yield self._method.salt_size))
        if known(salt):
            raise ReplayError
        opener = Opener(self._method, None)
        opener.rekey(self._derive(salt))
        plain = bytearray()
        while True:
            size = int.from_bytes(opener.take((yield SIZE_SIZE)))
            if size > self._method.max_payload:
                raise RemoteProtocolError("length_too_large")
            plain += opener.take((yield size + TAG_SIZE))
            try:
                target, at = parse_address(plain)
            except RemoteProtocolError as error:
                if error.code != "truncated":
                    raise
            else:
                sealer = Sealer(self._method, self._response_start(random), owes=False)
                return ShadowRequest(target, memoryview(plain)[at:], opener, sealer, salt)

    def _response_start(self, random: Random) -> SealStart:
        def start(sealer: Sealer, source: memoryview, size: int, out: memoryview) -> tuple[int, int]:
            salt = random(self._method.salt_size)
            sealer.rekey(self._derive(salt))
            out[: len(salt)] = salt
            return 0, len(salt)

        return start

    def open_stream(self, target: Address, wall: WallClock, random: Random) -> tuple[Sealer, Opener]:
        """Begin a stream as a client; see `shadow.Shadow`."""
        salt = random(self._method.salt_size)
        address = target.pack()

        def seal_start(sealer: Sealer, source: memoryview, size: int, out: memoryview) -> tuple[int, int]:
            sealer.rekey(self._derive(salt))
            out[: len(salt)] = salt
            taken = min(size, self._method.max_payload - len(address))
            head = address + source[:taken]
            made = sealer.put(len(head).to_bytes(2), out, len(salt))
            return taken, sealer.put(head, out, made)

        def open_start(opener: Opener, source: memoryview, at: int, end: int) -> int | None:
            if end - at < self._method.salt_size:
                return None
            answer = bytes(source[at : at + self._method.salt_size])
            if answer == salt:  # our own stream sent back to us
                raise AuthenticationError
            opener.rekey(self._derive(answer))
            return at + len(answer)

        return Sealer(self._method, seal_start, owes=True), Opener(self._method, open_start)
