"""Method none: address and payload in clear, no key (protocol §1).

    request    address || payload...
    response   payload...

For loopback, behind a plugin that encrypts, and for tests; nothing authenticates here.
"""

from __future__ import annotations

from ..core.address import Address, parse_address
from ..core.errors import RemoteProtocolError
from .shadow import Known, Parser, Random, ShadowRequest, WallClock


class PlainSealer:
    """Writes the address before the first payload, and copies the rest."""

    __slots__ = ("_address",)

    def __init__(self, address: bytes) -> None:
        self._address = address

    @property
    def owes(self) -> bool:
        """True until the address was written."""
        return bool(self._address)

    def seal(self, source: memoryview, size: int, out: memoryview) -> int:
        """Copy `size` bytes into `out`, after the address the first time."""
        address, self._address = self._address, b""
        out[: len(address)] = address
        end = len(address) + size
        out[len(address) : end] = source[:size]
        return end


class PlainShadow:
    """Method none."""

    __slots__ = ("first_read_size",)

    def __init__(self) -> None:
        self.first_read_size = 1

    def read_request(self, known: Known, wall: WallClock, random: Random) -> Parser[ShadowRequest]:
        """Read the address; see `shadow.Shadow`. Payload that came with it is the reader's rest."""
        head = b""
        while True:
            head += yield 1
            try:
                target, _ = parse_address(head)
            except RemoteProtocolError as error:
                if error.code != "truncated":
                    raise
            else:
                return ShadowRequest(target, b"", None, None, b"")

    def open_stream(self, target: Address, wall: WallClock, random: Random) -> tuple[PlainSealer, None]:
        """Begin a stream as a client; see `shadow.Shadow`."""
        return PlainSealer(target.pack()), None
