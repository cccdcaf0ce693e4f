"""Many datagrams in one system call: recvmmsg, sendmmsg, and segments (UDP_SEGMENT, UDP_GRO) of Linux.

The kernel is given arrays of message headers, made once and told apart by their places; a datagram costs a few
stores into them through memoryviews. What each idea saves is measured in docs/adr/0010:

    recvmmsg       one call for up to 32 datagrams; the raw bytes of the sender are its token, with no text made of it
    sendmmsg       one call for all answers of a turn
    UDP_SEGMENT    datagrams of one size to one receiver pass the kernel's layers as one: where its time goes
    UDP_GRO        the same on the way in, where the sender or the network card did so

A run is what goes out as one message: pieces of one size, the last may be smaller, to one receiver. Only the address
of a piece is noted, so it may stand in any arena; it is gathered by the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import struct
import sys
from collections import Counter
from collections.abc import Hashable, Sequence
from contextlib import closing
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOL_UDP, SocketType, inet_pton
from typing import TYPE_CHECKING, Any, Final

from ..core.networks import unmapped
from ..wire.packet import HEADROOM, PACKET_MAX
from .datagrams import (
    ARENA_FULL,
    DROPS,
    MAPPED,
    PENDING,
    SLOT_SIZE,
    SLOTS,
    Arena,
    DatagramSocket,
    Received,
    text_of,
)
from .msghdr import (
    CONTROL_SIZE,
    CONTROL_STEP,
    HEADER_SIZE,
    NAME_SIZE,
    NAME_STEP,
    PIECE_COUNT,
    PIECE_SIZE,
    SIZE,
    WORDS,
    Headers,
    is_known,
    make_room,
)
from .options import NOW, split_zone

if TYPE_CHECKING:
    from .reactor import Reactor

UDP_SEGMENT: Final = 103
"""Linux 4.18."""
UDP_GRO: Final = 104
"""Linux 5.0."""
RUN_MAX: Final = 60
"""Pieces of one run; Linux takes 64 (UDP_MAX_SEGMENTS)."""
RUN_SIZE_MAX: Final = 64_000
"""Bytes of one run: it is one IP packet until it is cut."""
SEGMENT_MAX: Final = 1472
"""Bytes of one piece in a run: what an Ethernet frame carries. Larger ones go one by one."""
PIECES: Final = 256
"""Pieces of one flush."""

_SEGMENT_HEAD: Final = struct.pack("=Qii", 18, SOL_UDP, UDP_SEGMENT)  # 16 of header, 2 of size
_V6: Final = struct.Struct("=H2s4s16s4s")
_V4: Final = struct.Struct("=H2s4s8s")
_NO_FLOW: Final = bytes(4)
_UNRUN: Final = frozenset({errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.EOPNOTSUPP, errno.ENOTSUP})
"""What a run fails with where its pieces may pass alone: too large for the path, or a device without check sums."""


class BatchedDatagrams:
    """See `datagrams.Datagrams`, and the header of this file.

    Raises:
        OSError: the kernel lacks a call.
        AttributeError: the C library does.
    """

    def __init__(self, reactor: Reactor) -> None:
        if not is_known():
            raise OSError(errno.ENOSYS, "not a 64-bit little-endian system")
        library = ctypes.CDLL(None, use_errno=True)
        # No argtypes: plain ints pass as C ints, and pointers are made once. That saves 0.3 us of 0.9 a call.
        self._receive = library.recvmmsg
        self._send = library.sendmmsg
        self._queue = reactor.queue
        self.inward, self.middle, self.outward = Arena(SLOT_SIZE * SLOTS), Arena(), Arena()
        for arena in (self.inward, self.middle, self.outward):
            arena.base = ctypes.addressof(ctypes.c_char.from_buffer(arena.view))
        self.dropped: Counter[str] = Counter()
        self._make_inbox()
        self._make_outbox()
        self.segments, self.coalesces = self._probe()
        self.name = "recvmmsg, sendmmsg" + ", UDP_SEGMENT" * self.segments + ", UDP_GRO" * self.coalesces
        self._segment_max = SEGMENT_MAX if self.segments else -1

    def _probe(self) -> tuple[bool, bool]:
        """Return whether the kernel cuts runs, and whether it makes them."""
        able = []
        with closing(SocketType(AF_INET, SOCK_DGRAM, 0)) as sock:
            if self._receive(sock.fileno(), self._heads[False].first, 1, NOW, None) >= 0:
                raise OSError(errno.ENOSYS, "recvmmsg received what nobody sent")
            if (code := ctypes.get_errno()) not in (errno.EAGAIN, errno.EWOULDBLOCK):
                raise OSError(code, "recvmmsg does not work here")
            for option, value in ((UDP_SEGMENT, 0), (UDP_GRO, 1)):
                try:
                    sock.setsockopt(SOL_UDP, option, value)
                    able.append(True)
                except OSError:
                    able.append(False)
        return able[0], able[1]

    # -- in ------------------------------------------------------------------------------------

    def _make_inbox(self) -> None:
        pieces, self._slot_pieces = make_room(SLOTS * PIECE_SIZE)
        self._starts = range(HEADROOM, SLOT_SIZE * SLOTS, SLOT_SIZE)
        slots = self._slots = memoryview(pieces).cast("Q")
        for index, start in enumerate(self._starts):
            slots[2 * index] = self.inward.base + start
            slots[2 * index + 1] = PACKET_MAX + 1
        self._heads = {}
        for wide in (False, True):
            heads = self._heads[wide] = Headers(SLOTS, NAME_STEP if wide else 16)
            for index in range(SLOTS):
                heads.point(index, self._slot_pieces + index * PIECE_SIZE)

    def prepare(self, sock: SocketType) -> DatagramSocket:
        """See `datagrams.Datagrams`."""
        if self.coalesces:
            sock.setsockopt(SOL_UDP, UDP_GRO, 1)
        return DatagramSocket(sock)

    def receive(self, source: DatagramSocket) -> Sequence[Received]:
        """See `datagrams.Datagrams`."""
        heads = self._heads[source.wide]
        count = self._receive(source.fd, heads.first, SLOTS, NOW, None)
        if count <= 0:  # nothing more; or an ICMP error, which is told once
            return ()
        words, names = heads.words, heads.names
        name_size = source.name_size
        if count == 1 and not words[CONTROL_SIZE]:
            words[CONTROL_SIZE] = CONTROL_STEP
            return ((names[:name_size], HEADROOM, HEADROOM + words[SIZE]),)
        found: list[Received] = []
        at = name = 0
        for start in self._starts[:count]:
            end = start + words[at + SIZE]
            sender = names[name : name + name_size]
            if words[at + CONTROL_SIZE]:
                self._cut(heads, name // NAME_STEP, sender, start, end, found)
            else:
                found.append((sender, start, end))
            words[at + CONTROL_SIZE] = CONTROL_STEP  # the kernel has written what it used
            at += WORDS
            name += NAME_STEP
        return found

    def _cut(self, heads: Headers, index: int, sender: bytes, start: int, end: int, found: list[Received]) -> None:
        """Take a run apart: the control message has the size of its pieces."""
        at = index * CONTROL_STEP + 16
        size = int.from_bytes(heads.controls[at : at + 4], "little") or end - start
        while start < end:
            found.append((sender, start, min(start + size, end)))
            start += size

    # -- out -----------------------------------------------------------------------------------

    def _make_outbox(self) -> None:
        raw, self._piece_base = make_room(PIECES * PIECE_SIZE)
        self._pieces = memoryview(raw).cast("Q")
        self._runs = Headers(PIECES, 0)
        self._first_piece = self._runs.words.cast("B").cast("Q")
        self._names = self._runs.names
        self._words = self._runs.words
        for index in range(PIECES):
            at = index * CONTROL_STEP
            self._runs.controls[at : at + 16] = _SEGMENT_HEAD
        self._through: DatagramSocket | None = None
        self._piece_count = self._run_count = 0
        self._run = 0
        """Pieces in the last run."""
        self._segment = -1
        """The size that the next piece of the last run may have at most; -1: none can follow."""
        self._to: Any = None
        self._is_queued = False

    def put(self, through: DatagramSocket, to: Any, arena: Arena, start: int, end: int) -> None:
        """See `datagrams.Datagrams`."""
        count = self._piece_count
        if through is not self._through or count == PIECES:
            self.flush()  # the piece at hand stays where it is; those before it are gone
            count = 0
            self._through = through
            if not self._is_queued:
                self._is_queued = True
                self._queue.append(self._end_turn)
        self._piece_count = count + 1
        size = end - start
        pieces = self._pieces
        pieces[2 * count] = arena.base + start
        pieces[2 * count + 1] = size
        arena.at = end
        if 0 < size <= self._segment and to == self._to:
            self._join(size)
        else:
            index = self._run_count
            self._run_count = index + 1
            at = index * WORDS
            words = self._words
            self._first_piece[index * 8 + 2] = self._piece_base + 16 * count
            words[at + PIECE_COUNT] = 1
            words[at + CONTROL_SIZE] = 0
            if to is None:
                words[at + NAME_SIZE] = 0
            else:
                name_size = words[at + NAME_SIZE] = through.name_size
                name = index * NAME_STEP
                self._names[name : name + name_size] = to
            if 0 < size <= self._segment_max:
                self._to = to
                self._run = 1
                self._segment = size
            else:
                self._segment = -1
        if end > ARENA_FULL:
            self.flush()

    def _join(self, size: int) -> None:
        """Let a piece be one more of the last run."""
        index = self._run_count - 1
        at = index * WORDS
        segment = self._segment
        run = self._run = self._run + 1
        self._words[at + PIECE_COUNT] = run
        if run == 2:
            self._words[at + CONTROL_SIZE] = CONTROL_STEP
            control = index * CONTROL_STEP + 16
            self._runs.controls[control : control + 2] = segment.to_bytes(2, "little")
        if size < segment or run >= RUN_MAX or (run + 1) * segment > RUN_SIZE_MAX:
            self._segment = -1

    def flush(self) -> None:
        """See `datagrams.Datagrams`."""
        through, count = self._through, self._run_count
        self.middle.at = self.outward.at = 0
        if through is None:
            return
        self._through = None
        self._piece_count = self._run_count = 0
        self._segment = -1
        sent = self._send(through.fd, self._runs.first, count, NOW)
        if sent != count:
            self._send_rest(through.fd, max(sent, 0), count)

    def _end_turn(self) -> None:
        self._is_queued = False
        self.flush()

    def _send_rest(self, fd: int, done: int, count: int) -> None:
        """Send what the kernel left of a flush: it stops at the first run that it refuses."""
        words = self._runs.words
        told = False
        while done < count:
            sent = self._send(fd, ctypes.c_void_p(self._runs.address + done * HEADER_SIZE), count - done, NOW)
            if sent > 0:
                done += sent
                told = False
                continue
            code = ctypes.get_errno()
            if code in PENDING and not told:
                told = True  # an error of an earlier datagram: try once more
                continue
            pieces = words[done * WORDS + PIECE_COUNT]
            if pieces > 1 and code in _UNRUN:
                self._send_alone(fd, done, pieces)
            else:
                self.dropped[DROPS.get(code, "host_unreachable")] += pieces
            done += 1
            told = False

    def _send_alone(self, fd: int, index: int, pieces: int) -> None:
        """Send each piece of a run as a message of its own, and make no more runs of that size."""
        first, words = self._first_piece, self._runs.words
        self._segment_max = min(self._segment_max, self._pieces[(first[index * 8 + 2] - self._piece_base) // 8 + 1] - 1)
        words[index * WORDS + PIECE_COUNT] = 1
        words[index * WORDS + CONTROL_SIZE] = 0
        message = ctypes.c_void_p(self._runs.address + index * HEADER_SIZE)
        for _ in range(pieces):
            if self._send(fd, message, 1, NOW) != 1:
                self.dropped[DROPS.get(ctypes.get_errno(), "host_unreachable")] += 1
            first[index * 8 + 2] += 16

    # -- addresses -----------------------------------------------------------------------------

    def token(self, wide: bool, ip: str, port: int) -> Hashable | None:
        """See `datagrams.Datagrams`: the bytes of a sockaddr."""
        if ":" in ip:
            try:
                base, scope = split_zone(ip)
            except OSError:
                return None
            # The zone stands in the order of this machine.
            zone = scope.to_bytes(4, sys.byteorder)
            return _V6.pack(AF_INET6, port.to_bytes(2), _NO_FLOW, inet_pton(AF_INET6, base), zone) if wide else None
        packed = inet_pton(AF_INET, ip)
        if wide:
            return _V6.pack(AF_INET6, port.to_bytes(2), _NO_FLOW, MAPPED + packed, _NO_FLOW)
        return _V4.pack(AF_INET, port.to_bytes(2), packed, bytes(8))

    def name_of(self, token: Any) -> tuple[str, int]:
        """See `datagrams.Datagrams`."""
        return text_of(_ip(token)), int.from_bytes(token[2:4])

    def pack(self, token: Any) -> bytes:
        """See `datagrams.Datagrams`."""
        ip = _ip(token)
        port: bytes = token[2:4]
        return (b"\1" if len(ip) == 4 else b"\4") + ip + port


def _ip(token: bytes) -> bytes:
    return unmapped(token[8:24]) if len(token) == NAME_STEP else token[4:8]
