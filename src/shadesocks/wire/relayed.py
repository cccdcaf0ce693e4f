"""What a server passes on that stands in front of others (SIP023, protocol §8): it opens one header, and no more.

    stream     salt || header || rest             ->  salt || rest
    datagram   AES(own key, separate) || header || rest  ->  AES(key of the next server, separate) || rest

The header names the next server. What follows is sealed for that one, or for one behind it: nothing of it can be read
here, so neither can it be authenticated. A header that names nobody is a failed handshake; a replay is passed on, and
is refused where it arrives. Answers pass as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from struct import Struct
from typing import Final, Protocol

from ..core.address import Address
from ..core.errors import LocalProtocolError, RemoteProtocolError
from ..crypto.aead import TAG_SIZE
from ..crypto.block import BLOCK_SIZE, Block
from ..crypto.methods import Method
from .identity import Holder, PacketDoor, stream_tag, unknown_user
from .packet import Span
from .shadow import Known, Opens, Parser, Random, Seals, ShadowRequest, WallClock

_FIXED_SIZE: Final = Struct(">BQH").size + TAG_SIZE
"""Of the sealed fixed header of a stream, and of the least sealed body of a datagram."""
_LEAST: Final = 2 * BLOCK_SIZE + _FIXED_SIZE
_ID_SIZE: Final = 8


class Following(Holder, Protocol):
    """The next server."""

    @property
    def address(self) -> Address:
        """Where it is."""


FollowingByIdentity = Callable[[bytes], Following | None]
"""Finds the next server by the tag of its key; None: there is none."""


class RelayedShadow:
    """The streams of a server in front of others: `shadow.Shadow`, but nothing of them is opened here."""

    __slots__ = ("_following", "_key", "_method", "first_read_size")

    def __init__(self, method: Method, key: bytes, following: FollowingByIdentity) -> None:
        self._method = method
        self._key = key
        self._following = following
        self.first_read_size = method.salt_size + BLOCK_SIZE + _FIXED_SIZE

    def read_request(self, known: Known, wall: WallClock, random: Random) -> Parser[ShadowRequest]:
        """Read salt and header, and as much of the rest as the next server wants in its first read, if it has no users.

        What comes out asks for the next server, and both ways are passed on as they are. What came with it should go in
        the same write: where more headers follow, a server wants more of it at once.
        """
        salt = bytes((yield self._method.salt_size))
        taken = yield BLOCK_SIZE + _FIXED_SIZE
        to = self._following(stream_tag(self._key, salt, taken[:BLOCK_SIZE]))
        if to is None:
            raise unknown_user()
        return ShadowRequest(to.address, salt + bytes(taken[BLOCK_SIZE:]), None, None, b"")

    def open_stream(self, target: Address, wall: WallClock, random: Random) -> tuple[Seals, Opens | None]:
        """See `shadow.Shadow`: there is no client of this kind."""
        raise LocalProtocolError("eih_not_supported", "a server that passes on begins no stream")


class RelayHost:
    """The side of the clients: `packet.PacketHost` of a server in front of others.

    A session is an id, a next server, and an address: who is not authenticated here moves nobody.
    """

    __slots__ = ("_following", "_read", "separate")

    def __init__(self, key: bytes, following: FollowingByIdentity) -> None:
        self._read = PacketDoor(key).read
        self._following = following
        self.separate = b""
        """The separate header of the packet that was looked at last."""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> Hashable:
        """See `packet.PacketHost`."""
        if len(packet) < _LEAST:
            raise RemoteProtocolError("truncated_header")
        self.separate, tag = self._read(packet)
        if self._following(tag) is None:
            raise unknown_user()
        return tag + self.separate[:_ID_SIZE], source

    def meet(self, key: Hashable) -> RelayTalk:
        """See `packet.PacketHost`."""
        assert isinstance(key, tuple), "what `identify` returned"
        to = self._following(key[0][:BLOCK_SIZE])
        if to is None:
            raise unknown_user()
        return RelayTalk(self, to)


class RelayTalk:
    """One session, both ways. What it opens to has no address: all of it goes to the next server."""

    __slots__ = ("_host", "_seal", "to")

    def __init__(self, host: RelayHost, to: Following) -> None:
        self._host = host
        self._seal = Block(to.keys[0]).seal
        self.to = to
        """The next server."""

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """See `packet.Talk`."""
        rest = at + BLOCK_SIZE
        end = at + len(packet) - BLOCK_SIZE
        out[at:rest] = self._seal(self._host.separate)
        out[rest:end] = packet[2 * BLOCK_SIZE :]
        return at, at, end

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """See `packet.Talk`."""
        start, _, end = span
        out[at : at + end - start] = source[start:end]
        return at + end - start
