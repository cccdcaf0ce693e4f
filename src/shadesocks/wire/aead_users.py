"""AEAD streams of a port that several users share, each with a key of his own; see `search.py`.

Nothing in a stream says whose it is, so the sealed size of its first chunk is tried with key after key. A server that
can wait reads in two steps: `seek` up to there, then, with the key that was found, `go_on`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.errors import AuthenticationError, LocalProtocolError, ReplayError
from ..crypto.trial import Trial
from .aead import AeadShadow
from .chunks import SIZE_SIZE
from .search import Keyring, Search

if TYPE_CHECKING:
    from ..core.address import Address
    from ..crypto.methods import Method
    from .shadow import Known, Opens, Parser, Random, Seals, ShadowRequest, WallClock


@dataclass(frozen=True, slots=True)
class Sought:
    """The beginning of a stream of whom it is not known whose it is."""

    salt: bytes
    sealed: bytes
    """The size of the first chunk."""


class AeadUsersShadow:
    """An AEAD method with the keys of many: the server's side."""

    __slots__ = ("_keyring", "_method", "first_read_size")

    def __init__(self, method: Method, keyring: Keyring) -> None:
        self._method = method
        self._keyring = keyring
        self.first_read_size = 1

    def seek(self, known: Known) -> Parser[Sought]:
        """Read as much as keys are tried on; the same bytes as with one key."""
        salt = bytes((yield self._method.salt_size))
        if known(salt):
            raise ReplayError
        return Sought(salt, bytes((yield SIZE_SIZE)))

    def search(self, sought: Sought, group: bytes) -> Search:
        """Return what finds its key; `group` is where it comes from."""
        return Search(Trial(self._method, sought.salt, sought.sealed), self._keyring, group)

    def go_on(self, sought: Sought, search: Search, wall: WallClock, random: Random) -> Parser[ShadowRequest]:
        """Read the rest of a request whose key was looked for; raises AuthenticationError where there is none."""
        user = self._keyring.holder(search.key)
        if user is None:
            raise AuthenticationError("unknown_user")
        self._keyring.used(search.key, search.group)
        parser = AeadShadow(self._method, search.key).read_request(_unknown, wall, random)
        next(parser)
        parser.send(memoryview(sought.salt))
        request = yield from _follow(parser, parser.send(memoryview(sought.sealed)))
        request.user = user
        return request

    def read_request(self, known: Known, wall: WallClock, random: Random) -> Parser[ShadowRequest]:
        """Read a request at one go, however many keys there are; see `shadow.Shadow`."""
        sought = yield from self.seek(known)
        search = self.search(sought, b"")
        while not search.step():
            pass
        return (yield from self.go_on(sought, search, wall, random))

    def open_stream(self, target: Address, wall: WallClock, random: Random) -> tuple[Seals, Opens | None]:
        """See `shadow.Shadow`: a client has one key."""
        raise LocalProtocolError("bad_method", "a port of several users begins no stream")


def _unknown(_salt: bytes) -> bool:
    """It was asked already."""
    return False


def _follow(parser: Generator[int, memoryview, ShadowRequest], need: int) -> Generator[int, memoryview, ShadowRequest]:
    """Drive a parser that has begun on to its end."""
    while True:
        piece = yield need
        try:
            need = parser.send(piece)
        except StopIteration as stop:
            request: ShadowRequest = stop.value
            return request
