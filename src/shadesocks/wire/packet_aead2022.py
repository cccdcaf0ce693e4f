"""AEAD-2022 datagrams, SIP022 §3.2 (protocol §7.5 to §7.7).

    body up    type=0 || time stamp(u64be) || size of padding(u16be) || padding || message
    body down  type=1 || time stamp || session id of the client(8) || size of padding || padding || message

What differs between the two ciphers is how the separate header and the body are covered (`packet_aead2022_cover.py`).
All else, ids, windows, time stamps, is written once. Each direction of a session has its id, its counter and, at the
other end, its window. A session is known by its id and not by where it comes from, so a client may move; who calls
moves with it once `open` returned, which is after the window took the packet. Servers with several users are in
`packet_aead2022_users.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from struct import Struct
from typing import Final

from ..core.address import IPV4
from ..core.errors import RemoteProtocolError, ReplayError
from ..crypto.aead import Keyed
from ..crypto.methods import Method
from ..crypto.window import Window
from .aead2022 import PADDING_MAX, REQUEST, RESPONSE, SKEW_MAX
from .identity import ByIdentity
from .packet import IPV4_SIZE, PacketHost, Span, payload_at
from .packet_aead2022_cover import COVERS, ID_SIZE, Cover, Gcm, Looks
from .shadow import Random

REMEMBERED: Final = 60
"""Seconds that a session is remembered after its last packet (SIP022 §3.2.5)."""

_UP: Final = Struct(">BQH")
_DOWN: Final = Struct(f">BQ{ID_SIZE}sH")
DNS: Final = 53
"""The port of name servers."""
_ZEROS: Final = bytes(PADDING_MAX)

Claim = Callable[[bytes, Window, int, int], bool]
"""(session id, window, packet id, now): takes a packet for this process; `crypto.window_shared.SharedWindows.claim`."""


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
        self._cover = Gcm(method, psk, random, identities) if identities else COVERS[method.cipher](method, psk, random)
        self._method = method
        self._psk = psk
        self._random = random
        self._claim = claim
        self._users = users
        self.idle_min = REMEMBERED

    def host(self) -> PacketHost:
        """See `packet.PacketShadow`."""
        if self._users is not None:
            from .packet_aead2022_users import UsersHost

            return UsersHost(self._method, self._psk, self._users, self._random, self._claim)
        return Aead2022Host(self._cover, self._random, self._claim)

    def join(self) -> ClientTalk:
        """See `packet.PacketShadow`."""
        return ClientTalk(self._cover, self._random)


class Aead2022Host:
    """The server's side: sessions by their ids."""

    __slots__ = ("_claim", "_cover", "_random", "identify")

    def __init__(self, cover: Cover, random: Random, claim: Claim | None = None) -> None:
        self._cover = cover
        self._random = random
        self._claim = claim
        self.identify: Final = cover.identify
        """A client is its session id."""

    def meet(self, key: Hashable) -> HostTalk:
        """See `packet.PacketHost`."""
        assert isinstance(key, bytes), "what `identify` returned"
        return HostTalk(self._cover, self._random, key, self._claim)


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
        cover: Cover,
        random: Random,
        client_id: bytes,
        claim: Claim | None = None,
        incoming: Looks | None = None,
    ) -> None:
        """`incoming` opens what `cover` seals the answers to; None: the same."""
        self._cover = cover
        self._incoming: Looks = incoming or cover
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


class ClientTalk:
    """One session as its client sees it, with the server's: the current one, and the one before it."""

    __slots__ = ("_cover", "_now", "_old", "_random", "_up")

    def __init__(self, cover: Cover, random: Random) -> None:
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

    def __init__(self, cover: Cover, session_id: bytes) -> None:
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
