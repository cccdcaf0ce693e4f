"""AEAD-2022 datagrams of a server with several users, found by the tags in identity headers (`identity.py`).

A session is known by its id and its user's tag: the ids of one user are nothing to another. Loaded by those who have
users.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from ..core.errors import AuthenticationError, RemoteProtocolError
from ..crypto.aead import TAG_SIZE, InvalidTag, Keyed
from ..crypto.block import BLOCK_SIZE
from ..crypto.methods import Method
from ..crypto.subkeys_2022 import key_hash
from .identity import ByIdentity, Holder, PacketDoor, key_of, unknown_user
from .packet_aead2022 import Claim, HostTalk
from .packet_aead2022_cover import GCM_MIN, ID_SIZE, Gcm
from .shadow import Random


class Doorway:
    """AES with users: what comes in begins with a separate header and an identity header, both under the server's key.

    It opens for all users, and seals nothing: what goes out to one of them is covered with his own key.
    """

    __slots__ = ("_read", "separate", "users")

    def __init__(self, key: bytes, users: ByIdentity) -> None:
        self._read = PacketDoor(key).read
        self.users = users
        self.separate = b""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> bytes:
        if len(packet) < BLOCK_SIZE + GCM_MIN:
            raise RemoteProtocolError("truncated_header")
        self.separate, tag = self._read(packet)
        if self.users(tag) is None:
            raise unknown_user()
        return tag + self.separate[:ID_SIZE]

    def open(self, keyed: Keyed | None, packet: memoryview, out: memoryview, at: int) -> int:
        assert keyed is not None, "this cover has a key for each session"
        end = at + len(packet) - 2 * BLOCK_SIZE - TAG_SIZE
        try:
            (keyed.live or keyed.cipher()).decrypt_into(self.separate[4:], packet[2 * BLOCK_SIZE :], None, out[at:end])
        except InvalidTag:
            raise AuthenticationError from None
        return end


class UsersHost:
    """The side of a server with several users: sessions by user and id."""

    __slots__ = ("_claim", "_doorway", "_method", "_random", "identify")

    def __init__(self, method: Method, key: bytes, users: ByIdentity, random: Random, claim: Claim | None) -> None:
        self._method = method
        self._doorway: Final = Doorway(key, users)
        self._random = random
        self._claim = claim
        self.identify: Final = self._doorway.identify
        """A client is its user's tag and its session id."""

    def meet(self, key: Hashable) -> UserTalk:
        """See `packet.PacketHost`."""
        assert isinstance(key, bytes), "what `identify` returned"
        tag = key[:BLOCK_SIZE]
        user = self._doorway.users(tag)
        if user is None:
            raise unknown_user()
        own = Gcm(self._method, key_of(user, tag), self._random)
        return UserTalk(own, self._random, key, user, self._claim, self._doorway)


class UserTalk(HostTalk):
    """One session of one of several users."""

    __slots__ = ("_tag", "_users", "user")

    def __init__(
        self, cover: Gcm, random: Random, key: bytes, user: Holder, claim: Claim | None, doorway: Doorway
    ) -> None:
        """`key` is the tag of the user's key that began it, and the session id."""
        super().__init__(cover, random, key[BLOCK_SIZE:], claim, doorway)
        self.claimed = key_hash(key)[:ID_SIZE]
        self.user = user
        """Whose session it is."""
        self._tag, self._users = key[:BLOCK_SIZE], doorway.users

    def holder(self) -> Holder | None:
        """See `packet.UserTalk`."""
        return self._users(self._tag)
