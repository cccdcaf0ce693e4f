"""AEAD datagrams of a port that several users share, each with a key of his own; see `search.py`.

Nothing in a datagram says whose it is. A session is an address and a key, so two users behind one address have two.
A packet is tried with the key that its address used last, then with others from there; where none of these fits,
`identify` raises UnsettledError with the search that has to go on, and its caller gives the packet back when that is
over. So noise costs little more than with one key: how many packets may wait is bounded.

An address is remembered once a packet of it was good, replays not: nobody can push others' out without a key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError, ReplayError
from ..crypto.aead import CIPHERS, TAG_SIZE, InvalidTag
from ..crypto.subkeys import subkey_sha1
from ..crypto.trial import Trial
from .packet import UnsettledError, payload_at
from .packet_aead import HOST, AeadSide
from .search import Keyring, Search

if TYPE_CHECKING:
    from ..crypto.methods import Method
    from .identity import Holder
    from .packet import Span, Talk
    from .packet_aead import NewSalt
    from .shadow import Random

GroupOf = Callable[[Any], bytes]
"""(source): the addresses that count as one with a client's."""
KNOWN_MOST: Final = 16_384
"""Addresses whose key is remembered: some 3 MiB. Of one beyond them the keys used from its network are tried first."""
_BEGINS: Final = bytes((1, 3, 4))
"""With what an address begins."""


class AeadUsersPackets:
    """An AEAD method with the keys of many."""

    __slots__ = ("_group_of", "_insert", "_keyring", "_method", "_random", "idle_min")

    def __init__(self, method: Method, keyring: Keyring, random: Random, insert: NewSalt, group_of: GroupOf) -> None:
        self._method = method
        self._keyring = keyring
        self._random = random
        self._insert = insert
        self._group_of = group_of
        self.idle_min = 0

    def host(self) -> AeadUsersHost:
        """See `packet.PacketShadow`."""
        return AeadUsersHost(self._method, self._keyring, self._random, self._insert, self._group_of)

    def join(self) -> Talk:
        """See `packet.PacketShadow`: a client has one key."""
        raise LocalProtocolError("bad_method", "a port of several users begins no session")


class AeadUsersHost:
    """The server's side."""

    __slots__ = (
        "_expected",
        "_group_of",
        "_insert",
        "_known",
        "_make",
        "_method",
        "_nonce",
        "_random",
        "_salt_size",
        "keyring",
    )

    def __init__(self, method: Method, keyring: Keyring, random: Random, insert: NewSalt, group_of: GroupOf) -> None:
        self._method = method
        self.keyring = keyring
        self._random = random
        self._insert = insert
        self._group_of = group_of
        self._make: Final = CIPHERS[method.cipher]
        self._nonce: Final = bytes(method.nonce_size)
        self._salt_size: Final = method.salt_size
        self._known: dict[Hashable, bytes] = {}
        """The key that an address used last; the one that was learnt first comes first."""
        self._expected: tuple[Hashable, bytes] | None = None
        """Whose packet comes next, and its key: a search has found it."""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> Hashable:
        """See `packet.PacketHost`. The packet is open then."""
        end = at + len(packet) - self._salt_size - TAG_SIZE
        if end <= at:
            raise RemoteProtocolError("truncated_header")
        expected, self._expected = self._expected, None
        key = self._known.get(source) if expected is None or expected[0] != source else expected[1]
        if key is None or not self._opens(key, packet, out, at, end):
            key = self._search(packet, source)
            if not self._opens(key, packet, out, at, end):
                raise AuthenticationError
        return source, key

    def _opens(self, key: bytes, packet: memoryview, out: memoryview, at: int, end: int) -> bool:
        if self.keyring.holder(key) is None:
            return False
        size = self._salt_size
        aead = self._make(subkey_sha1(key, bytes(packet[:size])))
        try:
            aead.decrypt_into(self._nonce, packet[size:], None, out[at:end])
        except InvalidTag:
            return False
        return True

    def _search(self, packet: memoryview, source: Hashable) -> bytes:
        """Return the key of a packet, if it is among the first that are tried."""
        size, group, whole = self._salt_size, self._group_of(source), bytes(packet)
        trial = Trial(self._method, whole[:size], memoryview(whole)[size:], _BEGINS)
        search = PacketSearch(trial, self, whole, source, group)
        if not search.step_near():
            raise UnsettledError(search)
        return search.key

    def meet(self, key: Hashable) -> AeadUserTalk:
        """See `packet.PacketHost`."""
        assert isinstance(key, tuple), "what `identify` returned"
        user = self.keyring.holder(key[1])
        if user is None:
            raise AuthenticationError("unknown_user")
        return AeadUserTalk(self, self._method, key, user, self._random, self._insert)

    def expect(self, source: Hashable, key: bytes) -> None:
        """The packet that is given next is sealed with this key."""
        self._expected = source, key

    def learn(self, source: Hashable, key: bytes) -> None:
        """A packet of this address was good."""
        known = self._known
        if known.get(source) != key:
            known.pop(source, None)
            if len(known) >= KNOWN_MOST:
                del known[next(iter(known))]
            known[source] = key
            self.keyring.used(key, self._group_of(source))


class PacketSearch(Search):
    """A search for the key of a packet; see `packet.Unsettled`."""

    __slots__ = ("_host", "packet", "source")

    def __init__(self, trial: Trial, host: AeadUsersHost, packet: bytes, source: Hashable, group: bytes) -> None:
        super().__init__(trial, host.keyring, group)
        self._host = host
        self.packet = packet
        self.source = source

    def settle(self) -> bool:
        """See `packet.Unsettled`."""
        if self.key:
            self._host.expect(self.source, self.key)
        return bool(self.key)


class AeadUserTalk(AeadSide):
    """One session: what one key has said from one address. `open` takes the packet that `identify` has opened."""

    __slots__ = ("_host", "_key", "user")

    def __init__(
        self,
        host: AeadUsersHost,
        method: Method,
        key: tuple[Hashable, bytes],
        user: Holder,
        random: Random,
        insert: NewSalt,
    ) -> None:
        super().__init__(method, key[1], random, insert, HOST)
        self._host = host
        self._key = key
        self.user = user
        """Whose session it is."""

    def holder(self) -> Holder | None:
        """See `packet.UserTalk`."""
        return self._host.keyring.holder(self._key[1])

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """See `packet.Talk`."""
        salt_size = self._salt_size
        end = at + len(packet) - salt_size - TAG_SIZE
        payload = payload_at(out, at, end)
        if not self._insert(bytes(packet[:salt_size]) + HOST):
            raise ReplayError
        self._host.learn(*self._key)
        return at, payload, end
