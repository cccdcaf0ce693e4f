"""The seam of the editions: what a Shadowsocks server and client need to know of a wire format.

An edition's file (`aead.py`, `aead2022.py`, `stream.py`, `plain.py`) implements `Shadow`; `make_shadow`
(`editions.py`) picks it from a literal table. A `Shadow` is the method with its key, shared by all
connections of a server; a stream's state lives in the sealer and opener it hands out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from ..core.address import Address

if TYPE_CHECKING:
    from .identity import Holder

Random = Callable[[int], bytes]
"""Bytes of a cryptographic generator, as many as asked."""
WallClock = Callable[[], int]
"""Unix time in whole seconds."""
Known = Callable[[bytes], bool]
"""True for a salt that was recorded: the early look-up, before any decryption."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """Habits of the old programs, which only stream ciphers have; every other edition has none of them."""

    one_time_auth: bool = False
    """One-time auth (protocol §5). A client sends it; a server refuses whoever does not. Without it a server goes by
    the flag of each request."""
    refuse_repeats: bool = False
    """A server refuses an IV that was seen before, a client an answer with its own IV. Without it both are taken:
    procurator's clients send one IV for ever, old Go servers answer with the client's."""
    names_only: bool = False
    """A client packs IPv4 targets as names in its streams: procurator's server loses the first byte of payload behind
    such an address."""


NO_QUIRKS: Final = Quirks()


class Seals(Protocol):
    """Plain to sealed, one direction of a stream; `chunks.Sealer` in all but method none.

    A slow one has a `read_max`, the most bytes that are to be read for one call: until it is done, nobody else is
    served. So has a slow `Opens`.
    """

    @property
    def owes(self) -> bool:
        """True while a header is to be sent even if no payload comes."""

    def seal(self, source: memoryview, size: int, out: memoryview) -> int:
        """Seal `size` bytes of `source` into `out`; return the size of the result."""


class Opens(Protocol):
    """Sealed to plain, one direction of a stream."""

    @property
    def started(self) -> bool:
        """False until the peer's first bytes were found good."""

    @property
    def clean(self) -> bool:
        """True where an end of file cuts nothing."""

    def open(self, source: memoryview, end: int, out: memoryview) -> tuple[int, int]:
        """Open what is whole in `source[:end]` into `out`; return (bytes used, bytes of payload).

        `out` is another buffer, with room for `end` bytes, and for the 64 KiB of a chunk that an opener may hold.
        """


READ_ANY: Final = 1 << 30
"""A `read_max` that is none."""


def read_max_of(*codecs: Seals | Opens) -> int:
    """Return the most bytes that are to be read for a call that passes through all of these."""
    return min(getattr(codec, "read_max", READ_ANY) for codec in codecs)


@dataclass(slots=True)
class ShadowRequest:
    """A client's stream, authenticated up to its first payload."""

    target: Address
    first: bytes | bytearray | memoryview
    """The payload that came with the header; may be empty."""
    opener: Opens | None
    """Opens the rest of the client's stream; None where it is plain."""
    sealer: Seals | None
    """Seals our answer; None where it is plain."""
    salt: bytes
    """To be recorded before the target is dialled; empty where there is none."""
    stamp: int = 0
    """The header's time stamp, Unix seconds; 0 where there is none."""
    user: Holder | None = None
    """Whose key it was, where a server has several."""


Result = TypeVar("Result", covariant=True)
Parser = Generator[int, memoryview, Result]
"""Yields how many bytes it needs next, is sent exactly those, returns what it read. See `reader.Reader`."""


class Shadow(Protocol):
    """A method with its key."""

    first_read_size: int
    """Bytes that `strict_first_read` wants in the first read: salt and fixed header (SIP022 §3.1.4); 1 elsewhere."""

    def read_request(self, known: Known, wall: WallClock, random: Random) -> Parser[ShadowRequest]:
        """Read a client's stream as its server does. `random` draws the salt of the answer.

        The parser raises RemoteProtocolError (AuthenticationError, ReplayError among them) for bytes to refuse.
        """

    def open_stream(self, target: Address, wall: WallClock, random: Random) -> tuple[Seals, Opens | None]:
        """Begin a stream as a client: the first `seal` writes salt, header and first payload in one go."""
