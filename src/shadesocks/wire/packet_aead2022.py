"""AEAD-2022 datagrams, SIP022 §3.2 (protocol §7.5 to §7.7).

    AES        ECB(separate) || GCM(body)                             separate = session id(8) || packet id(u64be)
               key of the body from the session id; nonce = separate[4:16]
    chacha20   nonce(24) || XChaCha20-Poly1305(separate || body)      key = the pre-shared key itself
    body up    type=0 || time stamp(u64be) || size of padding(u16be) || padding || message
    body down  type=1 || time stamp || session id of the client(8) || size of padding || padding || message

What differs between the two ciphers is how the separate header and the body are covered: `_Gcm`, `_XChaCha`. All
else, ids, windows, time stamps, is written once. Each direction of a session has its id, its counter and, at
the other end, its window. A session is known by its id and not by where it comes from, so a client may move;
who calls moves with it once `open` returned, which is after the window took the packet.

Between the separate header and the body may stand identity headers (`identity.py`). A server with several users knows
a session by its id and its user's tag: the ids of one user are nothing to another.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from struct import Struct
from typing import Final, Protocol

from ..core.address import IPV4
from ..core.errors import AuthenticationError, RemoteProtocolError, ReplayError
from ..crypto.aead import CIPHERS, TAG_SIZE, InvalidTag, Keyed
from ..crypto.block import BLOCK_SIZE, Block
from ..crypto.methods import Method
from ..crypto.subkeys_2022 import key_hash, subkey_blake3
from ..crypto.window import Window
from .aead2022 import PADDING_MAX, REQUEST, RESPONSE, SKEW_MAX
from .identity import ByIdentity, Holder, PacketDoor, PacketIdentities, key_of, unknown_user
from .packet import IPV4_SIZE, PacketHost, Span, payload_at
from .shadow import Random

ID_SIZE: Final = 8
"""Of a session id, and of a packet id."""
REMEMBERED: Final = 60
"""Seconds that a session is remembered after its last packet (SIP022 §3.2.5)."""

_UP: Final = Struct(">BQH")
_DOWN: Final = Struct(f">BQ{ID_SIZE}sH")
DNS: Final = 53
"""The port of name servers."""
_NONCE_SIZE: Final = 24
_GCM_MIN: Final = BLOCK_SIZE + _UP.size + TAG_SIZE

_ZEROS: Final = bytes(PADDING_MAX)

Claim = Callable[[bytes, Window, int, int], bool]
"""(session id, window, packet id, now): takes a packet for this process; `crypto.window_shared.SharedWindows.claim`."""


class _Looks(Protocol):
    """How what comes in is opened."""

    separate: bytes
    """The separate header of the packet that was looked at last."""

    def open(self, keyed: Keyed | None, packet: memoryview, out: memoryview, at: int) -> int:
        """Open the body of the packet that was just looked at into `out[at:]`; return its end there."""


class _Cover(_Looks, Protocol):
    """How separate header and body are covered: one for a method with its key, and each side."""

    overhead: int
    """Bytes that covering adds to the body."""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> bytes:
        """Set `separate` and return the session id in it; raises RemoteProtocolError."""

    def key(self, session_id: bytes) -> Keyed | None:
        """Return what opens and seals the bodies of a session."""

    def seal(self, keyed: Keyed | None, separate: bytes, body: memoryview, out: memoryview, at: int) -> int:
        """Cover a body; return its end in `out`."""


class _Gcm:
    """AES: a block for the separate header, GCM for the body, its key from the session id."""

    __slots__ = ("_front", "_front_size", "_make", "_open_block", "_psk", "overhead", "separate")

    def __init__(self, method: Method, psk: bytes, random: Random, identities: Sequence[bytes] = ()) -> None:
        self._psk = psk
        block = Block(psk)
        self._open_block = block.open
        self._front: Callable[[bytes], bytes] = block.seal
        self._front_size = BLOCK_SIZE
        if identities:
            chain = PacketIdentities((*identities, psk))
            self._front, self._front_size = chain.front, chain.size
        self._make = CIPHERS[method.cipher]
        self.overhead = self._front_size + TAG_SIZE
        self.separate = b""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> bytes:
        if len(packet) < _GCM_MIN:
            raise RemoteProtocolError("truncated_header")
        separate = self.separate = self._open_block(packet[:BLOCK_SIZE])
        return separate[:ID_SIZE]

    def key(self, session_id: bytes) -> Keyed:
        return Keyed(self._make, subkey_blake3(self._psk, session_id))

    def open(self, keyed: Keyed | None, packet: memoryview, out: memoryview, at: int) -> int:
        assert keyed is not None, "this cover has a key for each session"
        end = at + len(packet) - BLOCK_SIZE - TAG_SIZE
        try:
            (keyed.live or keyed.cipher()).decrypt_into(self.separate[4:], packet[BLOCK_SIZE:], None, out[at:end])
        except InvalidTag:
            raise AuthenticationError from None
        return end

    def seal(self, keyed: Keyed | None, separate: bytes, body: memoryview, out: memoryview, at: int) -> int:
        assert keyed is not None, "this cover has a key for each session"
        begin = at + self._front_size
        end = begin + len(body) + TAG_SIZE
        out[at:begin] = self._front(separate)
        (keyed.live or keyed.cipher()).encrypt_into(separate[4:], body, None, out[begin:end])
        return end


class _XChaCha:
    """chacha20: a random nonce, and everything else under the pre-shared key."""

    __slots__ = ("_aead", "_random", "overhead", "separate")

    def __init__(self, method: Method, psk: bytes, random: Random) -> None:
        self._aead = CIPHERS[f"x{method.cipher}"](psk)
        self._random = random
        self.overhead = _NONCE_SIZE + BLOCK_SIZE + TAG_SIZE
        self.separate = b""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> bytes:
        end = at + len(packet) - _NONCE_SIZE - TAG_SIZE
        if end < at + BLOCK_SIZE + _UP.size:
            raise RemoteProtocolError("truncated_header")
        try:
            self._aead.decrypt_into(bytes(packet[:_NONCE_SIZE]), packet[_NONCE_SIZE:], None, out[at:end])
        except InvalidTag:
            raise AuthenticationError from None
        self.separate = bytes(out[at : at + BLOCK_SIZE])
        # the body moves to where the other cover would have opened it
        out[at : end - BLOCK_SIZE] = bytes(out[at + BLOCK_SIZE : end])
        return self.separate[:ID_SIZE]

    def key(self, session_id: bytes) -> None:
        return None

    def open(self, keyed: Keyed | None, packet: memoryview, out: memoryview, at: int) -> int:
        return at + len(packet) - self.overhead

    def seal(self, keyed: Keyed | None, separate: bytes, body: memoryview, out: memoryview, at: int) -> int:
        begin = at + _NONCE_SIZE
        end = begin + BLOCK_SIZE + len(body) + TAG_SIZE
        nonce = self._random(_NONCE_SIZE)
        out[at:begin] = nonce
        self._aead.encrypt_into(nonce, separate + bytes(body), None, out[begin:end])
        return end


_COVERS: Final[dict[str, Callable[[Method, bytes, Random], _Cover]]] = {
    "aes-gcm": _Gcm,
    "chacha20-poly1305": _XChaCha,
}


class _Doorway:
    """AES with users: what comes in begins with a separate header and an identity header, both under the server's key.

    It opens for all users, and seals nothing: what goes out to one of them is covered with his own key.
    """

    __slots__ = ("_read", "separate", "users")

    def __init__(self, key: bytes, users: ByIdentity) -> None:
        self._read = PacketDoor(key).read
        self.users = users
        self.separate = b""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> bytes:
        if len(packet) < BLOCK_SIZE + _GCM_MIN:
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


class Aead2022Packets:
    """An AEAD-2022 method with its pre-shared key."""

    __slots__ = ("_claim", "_cover", "_method", "_psk", "_random", "_users", "idle_min")

    def __init__(
        self,
        method: Method,
        psk: bytes,
        random: Random,
        claim: Claim | None = None,
        *,
        identities: Sequence[bytes] = (),
        users: ByIdentity | None = None,
    ) -> None:
        """A client's key has the `identities` before it; a server's `users` have each a key of his own."""
        self._cover = (
            _Gcm(method, psk, random, identities) if identities else _COVERS[method.cipher](method, psk, random)
        )
        self._method = method
        self._psk = psk
        self._random = random
        self._claim = claim
        self._users = users
        self.idle_min = REMEMBERED

    def host(self) -> PacketHost:
        """See `packet.PacketShadow`."""
        if self._users is not None:
            return UsersHost(self._method, _Doorway(self._psk, self._users), self._random, self._claim)
        return Aead2022Host(self._cover, self._random, self._claim)

    def join(self) -> ClientTalk:
        """See `packet.PacketShadow`."""
        return ClientTalk(self._cover, self._random)


class Aead2022Host:
    """The server's side: sessions by their ids."""

    __slots__ = ("_claim", "_cover", "_random", "identify")

    def __init__(self, cover: _Cover, random: Random, claim: Claim | None = None) -> None:
        self._cover = cover
        self._random = random
        self._claim = claim
        self.identify: Final = cover.identify
        """A client is its session id."""

    def meet(self, key: Hashable) -> HostTalk:
        """See `packet.PacketHost`."""
        assert isinstance(key, bytes), "what `identify` returned"
        return HostTalk(self._cover, self._random, key, self._claim)


class UsersHost:
    """The side of a server with several users: sessions by user and id."""

    __slots__ = ("_claim", "_doorway", "_method", "_random", "identify")

    def __init__(self, method: Method, doorway: _Doorway, random: Random, claim: Claim | None = None) -> None:
        self._method = method
        self._doorway = doorway
        self._random = random
        self._claim = claim
        self.identify: Final = doorway.identify

    def meet(self, key: Hashable) -> UserTalk:
        """See `packet.PacketHost`."""
        assert isinstance(key, bytes), "what `identify` returned"
        tag, doorway = key[:BLOCK_SIZE], self._doorway
        user = doorway.users(tag)
        if user is None:
            raise unknown_user()
        own = _Gcm(self._method, key_of(user, tag), self._random)
        talk = UserTalk(own, self._random, key[BLOCK_SIZE:], self._claim, doorway)
        talk.claimed = key_hash(key)[:ID_SIZE]
        talk.user, talk.tag, talk.users = user, tag, doorway.users
        return talk


class HostTalk:
    """One session as its server sees it. `open` takes the packet that `identify` looked at last."""

    __slots__ = (
        "_claim",
        "_client_id",
        "_cover",
        "_down",
        "_incoming",
        "_keyed",
        "_random",
        "_window",
        "claimed",
    )

    def __init__(
        self,
        cover: _Cover,
        random: Random,
        client_id: bytes,
        claim: Claim | None = None,
        incoming: _Looks | None = None,
    ) -> None:
        """`incoming` opens what `cover` seals the answers to; None: the same."""
        self._cover = cover
        self._incoming: _Looks = incoming or cover
        self._random = random
        self._claim = claim
        self._client_id = client_id
        self.claimed = client_id
        """What the session is to `claim`: eight bytes of its own."""
        self._keyed = cover.key(client_id)
        self._window = Window()
        self._down: _Outgoing | None = None

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """See `packet.Talk`."""
        cover, window = self._incoming, self._window
        packet_id = int.from_bytes(cover.separate[ID_SIZE:])
        if not window.fresh(packet_id):
            raise ReplayError("packet_id_seen")
        end = cover.open(self._keyed, packet, out, at)
        kind, stamp, padding = _UP.unpack_from(out, at)
        if kind != REQUEST:
            raise RemoteProtocolError("bad_type")
        span = _checked(out, stamp, at + _UP.size + padding, end, now)
        if self._claim is not None and not self._claim(self.claimed, window, packet_id, now):
            raise ReplayError("packet_id_seen")
        window.accept(packet_id)
        return span

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """See `packet.Talk`."""
        down = self._down
        if down is None:
            session_id = self._random(ID_SIZE)
            while session_id == self._client_id:  # it MUST differ (SIP022 §3.2.4)
                session_id = self._random(ID_SIZE)
            down = self._down = _Outgoing(self._cover, session_id)
        start, payload, end = span
        padding = 0
        if payload == end or (source[payload - 1] == DNS and not source[payload - 2]):
            padding = _pad(source, span, self._random)
        body = start - padding - _DOWN.size
        _DOWN.pack_into(source, body, RESPONSE, now, self._client_id, padding)
        return self._cover.seal(down.keyed, down.next(), source[body:end], out, at)


class UserTalk(HostTalk):
    """One session of one of several users."""

    __slots__ = ("tag", "user", "users")

    user: Holder
    """Whose session it is."""
    tag: bytes
    """The tag of the key that began it."""
    users: ByIdentity

    def holder(self) -> Holder | None:
        """See `packet.UserTalk`."""
        return self.users(self.tag)


class ClientTalk:
    """One session as its client sees it, with the server's: the current one, and the one before it."""

    __slots__ = ("_cover", "_now", "_old", "_random", "_up")

    def __init__(self, cover: _Cover, random: Random) -> None:
        self._cover = cover
        self._random = random
        self._up = _Outgoing(cover, random(ID_SIZE))
        self._now: _Incoming | None = None
        self._old: _Incoming | None = None

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """See `packet.Talk`."""
        start, payload, end = span
        padding = 0
        if payload == end or (source[payload - 1] == DNS and not source[payload - 2]):
            padding = _pad(source, span, self._random)
        body = start - padding - _UP.size
        _UP.pack_into(source, body, REQUEST, now, padding)
        up = self._up
        return self._cover.seal(up.keyed, up.next(), source[body:end], out, at)

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """See `packet.Talk`. A server that was started anew has a new session id: its first good packet makes it known.

        One old and one current are kept; a third is refused while the old one was heard in the last minute
        (SIP022 §3.2.5), so that nobody who replays can push the current one out.
        """
        cover = self._cover
        session_id = cover.identify(packet, None, out, at)
        incoming = self._now
        if incoming is None or incoming.session_id != session_id:
            incoming = self._old
            if incoming is None or incoming.session_id != session_id:
                incoming = None
                if self._old is not None and now - self._old.heard_at < REMEMBERED:
                    raise ReplayError("third_server_session")
        known = incoming or _Incoming(session_id, cover.key(session_id))
        packet_id = int.from_bytes(cover.separate[ID_SIZE:])
        if not known.window.fresh(packet_id):
            raise ReplayError("packet_id_seen")
        end = cover.open(known.keyed, packet, out, at)
        if end - at < _DOWN.size:
            raise RemoteProtocolError("truncated_header")
        kind, stamp, client_id, padding = _DOWN.unpack_from(out, at)
        if kind != RESPONSE:
            raise RemoteProtocolError("bad_type")
        if client_id != self._up.session_id:
            raise RemoteProtocolError("client_session_mismatch")
        span = _checked(out, stamp, at + _DOWN.size + padding, end, now)
        known.window.accept(packet_id)
        if incoming is None:
            if self._now is not None:
                self._old = self._now
            self._now = known
        known.heard_at = now
        return span


class _Outgoing:
    """What one end sends in a session: its id, its key, its counter."""

    __slots__ = ("_next", "keyed", "session_id")

    def __init__(self, cover: _Cover, session_id: bytes) -> None:
        self.keyed = cover.key(session_id)
        self._next = 0
        self.session_id = session_id

    def next(self) -> bytes:
        """Return the separate header of the next packet. Its 64 bits of counter outlast any session."""
        packet_id = self._next
        self._next = packet_id + 1
        return self.session_id + packet_id.to_bytes(ID_SIZE)


class _Incoming:
    """One server session, as its client knows it."""

    __slots__ = ("heard_at", "keyed", "session_id", "window")

    def __init__(self, session_id: bytes, keyed: Keyed | None) -> None:
        self.session_id = session_id
        self.keyed = keyed
        self.window = Window()
        self.heard_at = 0
        """Unix seconds."""


def _checked(out: memoryview, stamp: int, start: int, end: int, now: int) -> Span:
    """Judge what follows the type: the time stamp, the padding, the address."""
    if not -SKEW_MAX <= stamp - now <= SKEW_MAX:
        raise ReplayError("bad_timestamp")
    if start > end:
        raise RemoteProtocolError("padding_overrun")
    payload = start + IPV4_SIZE
    if payload > end or out[start] != IPV4:
        payload = payload_at(out, start, end)
    return start, payload, end


def _pad(source: memoryview, span: Span, random: Random) -> int:
    """Write padding before a message and return its size.

    Padded are name look-ups, whose sizes tell what is looked up, and what is empty: by 900 bytes at most (SIP022
    §3.2.3), and less where the message is long, so that it stays under any path's limit.
    """
    start, payload, end = span
    padding = int.from_bytes(random(2)) % (max(0, PADDING_MAX - (end - payload)) + 1)
    source[start - padding : start] = _ZEROS[:padding]
    return padding
