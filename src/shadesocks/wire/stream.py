"""Stream ciphers (protocol §4): no integrity, no chunks; one cipher state for each direction.

    request    IV || E(address || payload...)       or as one-time auth writes it, see `ota.py`
    response   IV || E(payload...)                  an IV of its own, never the client's

A wrong key shows only as an address that is none. Nothing is held but an incomplete IV: whatever comes is opened at
once, from one shared buffer into the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from ..core.address import IPV4, IPV6, NAME, Address, pack_ip, parse_address
from ..core.errors import AuthenticationError, RemoteProtocolError, ReplayError
from ..crypto.methods import Method
from ..crypto.stream import CIPHERS, Begin, Update
from . import ota
from .shadow import READ_ANY, Known, Opens, Parser, Quirks, Random, Seals, ShadowRequest, WallClock

_REST_OF_IP: Final = {IPV4: 5, IPV6: 17}
"""Bytes of an address after the two that are read first."""
_IPV4_SIZE: Final = 4


class StreamSealer:
    """One direction of a stream, from plain to sealed: the IV, what stands before the payload, the payload."""

    __slots__ = ("_begin", "_draw", "_head", "_update", "owes", "read_max")

    def __init__(self, begin: Begin, draw: Callable[[], bytes], head: bytes = b"", *, read_max: int = READ_ANY) -> None:
        """`draw` gives the IV, when the first bytes leave."""
        self._begin = begin
        self._draw = draw
        self._head = head
        self._update: Update | None = None
        self.owes = bool(head)
        """True while the header is to be sent even if no payload comes: a client's, before its first `seal`."""
        self.read_max = read_max

    def seal(self, source: memoryview, size: int, out: memoryview) -> int:
        """Seal `size` bytes of `source` into `out`; return how many bytes it holds then."""
        update = self._update
        if update is not None:
            update(source[:size], out)
            return size
        iv = self._draw()
        update = self._update = self._begin(iv)
        made = len(iv)
        out[:made] = iv
        if self.owes:
            update(self._head, out[made:])
            made += len(self._head)
            self._head = b""
            self.owes = False
        if size:
            update(source[:size], out[made:])
        return made + size


class StreamOpener:
    """One direction of a stream, from sealed to plain."""

    __slots__ = ("_begin", "_iv_size", "_refused", "_update", "read_max")

    clean: Final = True
    """An end of file is seen by nobody but the reader of the payload: nothing here says where it should be."""

    def __init__(self, begin: Begin, iv_size: int, refused: bytes | None = None, *, read_max: int = READ_ANY) -> None:
        """Of a stream that begins with its IV, which must not be `refused`."""
        self._begin = begin
        self._iv_size = iv_size
        self._refused = refused
        self._update: Update | None = None
        self.read_max = read_max

    @classmethod
    def begun(cls, update: Update, read_max: int = READ_ANY) -> StreamOpener:
        """Of a stream whose first bytes were read."""
        opener = cls(lambda _iv: update, 0, read_max=read_max)
        opener._update = update
        return opener

    @property
    def started(self) -> bool:
        """False until the IV is there. It proves nothing: a wrong key is never found out here."""
        return self._update is not None

    def open(self, source: memoryview, end: int, out: memoryview) -> tuple[int, int]:
        """Open all of `source[:end]` into `out`; return (bytes used, bytes of payload).

        Raises:
            AuthenticationError: the IV is the refused one.
        """
        update = self._update
        if update is not None:
            update(source[:end], out)
            return end, end
        at = self._iv_size
        if end < at:
            return 0, 0
        iv = bytes(source[:at])
        if iv == self._refused:
            raise AuthenticationError
        update = self._update = self._begin(iv)
        if end > at:
            update(source[at:end], out)
        return end, end - at


class StreamShadow:
    """A stream method with its key. What is derived from a key is derived once, here."""

    __slots__ = ("_begin_open", "_begin_seal", "_iv_size", "_key", "_quirks", "_read_max", "first_read_size")

    def __init__(self, method: Method, key: bytes, quirks: Quirks) -> None:
        cipher = CIPHERS[method.cipher](key)
        self._begin_seal: Final = cipher.seal
        self._begin_open: Final = cipher.open
        self._read_max: Final = cipher.read_max
        self._iv_size = method.salt_size
        self._key = key
        self._quirks = quirks
        self.first_read_size = 1

    def read_request(self, known: Known, wall: WallClock, random: Random) -> Parser[ShadowRequest]:
        """Read IV and address; see `shadow.Shadow`. Payload that came with them is the reader's rest."""
        iv = bytes((yield self._iv_size))
        recorded = iv if self._quirks.refuse_repeats else b""
        if recorded and known(recorded):
            raise ReplayError
        update = self._begin_open(iv)
        head = _take(update, (yield 2))
        flagged = head[0] & ota.FLAG
        kind = head[0] ^ flagged
        if not flagged and self._quirks.one_time_auth:
            raise RemoteProtocolError("ota_required")
        size = _REST_OF_IP.get(kind, 0)
        if kind == NAME and head[1]:
            size = head[1] + 2
        if size:
            head += _take(update, (yield size))
        target, _ = parse_address(bytes((kind,)) + head[1:])
        opener: Opens = StreamOpener.begun(update, self._read_max)
        if flagged:
            ota.check(iv + self._key, head, _take(update, (yield ota.HASH_SIZE)), "ota_header_hmac")
            opener = ota.OtaOpener(opener, iv)
        sealer = StreamSealer(self._begin_seal, partial(random, self._iv_size), read_max=self._read_max)
        return ShadowRequest(target, b"", opener, sealer, recorded)

    def open_stream(self, target: Address, wall: WallClock, random: Random) -> tuple[Seals, Opens]:
        """Begin a stream as a client; see `shadow.Shadow`."""
        iv = random(self._iv_size)
        quirks = self._quirks
        address = _pack_name(target) if quirks.names_only else target.pack()
        sealer: Seals
        if quirks.one_time_auth:
            address = bytes((address[0] | ota.FLAG,)) + address[1:]
            head = address + ota.hash_of(iv + self._key, address)
            sealer = ota.OtaSealer(StreamSealer(self._begin_seal, lambda: iv, head, read_max=self._read_max), iv)
        else:
            sealer = StreamSealer(self._begin_seal, lambda: iv, address, read_max=self._read_max)
        refused = iv if iv and quirks.refuse_repeats else None
        return sealer, StreamOpener(self._begin_open, self._iv_size, refused, read_max=self._read_max)


def _take(update: Update, sealed: memoryview) -> bytes:
    """Open some bytes of a header."""
    plain = bytearray(len(sealed))
    update(sealed, memoryview(plain))
    return bytes(plain)


def _pack_name(target: Address) -> bytes:
    """Pack an IPv4 address as the name it is written as."""
    packed = pack_ip(target.host)
    if packed is None or len(packed) != _IPV4_SIZE:
        return target.pack()
    return bytes((NAME, len(target.host))) + target.host.encode() + target.pack()[-2:]
