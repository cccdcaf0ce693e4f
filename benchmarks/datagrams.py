"""Many datagrams for one system call: `recvmmsg` and `sendmmsg` through ctypes, Linux on 64 bits.

The load and the target share one core and must not be what limits a server
on the other. So whatever costs Python a step for each datagram is done before
a clock starts: messages, addresses and source addresses lie ready in memory,
and a sample is a loop of two calls.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

Endpoint = tuple[str, int]

MESSAGE: Final = struct.Struct("@PIPNPNi4xI4x")
"""struct mmsghdr: name, its size, iovecs, their count, control, its size, flags; then the size of what came."""
VECTOR: Final = struct.Struct("@PN")
CONTROL: Final = struct.Struct("@Nii i4s4s4x")
"""A whole control message of IP_PKTINFO: size, level, type; interface (any), source address, nothing, padding."""
CONTROL_SIZE: Final = CONTROL.size - 4
NAME_SIZE: Final = 16
SIZE_AT: Final = 56  # where the kernel writes the size of what came, in a message
AT_ONCE: Final = 64
WAIT_FOR_ONE: Final = 0x10000  # MSG_WAITFORONE: block for the first, take what else is there
IP_PKTINFO: Final = 8
SO_MEMINFO: Final = 55
SO_RCVBUFFORCE: Final = 33
ROOM: Final = 4 << 20  # bytes of receive buffer: what the load side cannot take at once must not look like loss

_libc = ctypes.CDLL(None, use_errno=True)
_receive = _libc.recvmmsg
_receive.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
_send = _libc.sendmmsg
_send.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]


def open_socket(host: str, patience: float) -> socket.socket:
    """A datagram socket with much room, whose blocking calls give up after `patience` seconds."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind((host, 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        seconds, rest = divmod(patience, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(seconds), int(rest * 1e6)))
    except BaseException:
        sock.close()
        raise
    return sock


def dropped(sock: socket.socket) -> int:
    """Datagrams that came to this socket and found no room: the load side's own loss, nobody else's."""
    drops: int = struct.unpack("9I", sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[8]
    return drops


def _address(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


class Outbox:
    """Datagrams in their order, made beforehand, each with the source address it leaves from.

    A source is any address of 127.0.0.0/8, so that one socket speaks for a
    thousand clients; the socket has to be bound to 0.0.0.0 for that.
    """

    def __init__(self, datagrams: Sequence[bytes], sources: Sequence[str] = ()) -> None:
        """The n-th datagram leaves from the n-th source, and round again; without sources, from the socket's own."""
        self._bytes = bytearray(b"".join(datagrams))
        self._name = bytearray(NAME_SIZE)
        self._controls = bytearray(CONTROL.size * len(sources))
        self._vectors = bytearray(VECTOR.size * len(datagrams))
        self._messages = bytearray(MESSAGE.size * len(datagrams))
        self.count = len(datagrams)
        for number, source in enumerate(sources):
            packed = IPv4Address(source).packed
            CONTROL.pack_into(self._controls, number * CONTROL.size, CONTROL_SIZE, 0, IP_PKTINFO, 0, packed, packed)
        at, name, size = _address(self._bytes), _address(self._name), CONTROL.size if sources else 0
        vectors, controls = _address(self._vectors), _address(self._controls) if sources else 0
        for number, datagram in enumerate(datagrams):
            VECTOR.pack_into(self._vectors, number * VECTOR.size, at, len(datagram))
            at += len(datagram)
            control = controls + number % len(sources) * size if sources else 0
            MESSAGE.pack_into(
                self._messages,
                number * MESSAGE.size,
                *(name, NAME_SIZE, vectors + number * VECTOR.size, 1, control, size, 0, 0),
            )
        self._at = _address(self._messages)

    def address(self, to: Endpoint) -> None:
        """Where all of them go from now on."""
        self._name[:] = struct.pack("=H", socket.AF_INET) + struct.pack(">H4s8x", to[1], IPv4Address(to[0]).packed)

    def refill(self) -> None:
        """Make random bytes of all of them, each of the size it had."""
        self._bytes[:] = os.urandom(len(self._bytes))

    def send(self, fd: int, first: int, count: int) -> None:
        """Send `count` of them from the `first` on; blocks while the socket has no room."""
        end = min(first + count, self.count)
        while first < end:
            done = _send(fd, self._at + first * MESSAGE.size, min(end - first, 1024), 0)
            if done < 0:
                number = ctypes.get_errno()
                if number in (errno.EINTR, errno.ECONNREFUSED):
                    continue
                raise OSError(number, os.strerror(number))
            first += done


class Inbox:
    """Room for `AT_ONCE` datagrams; what came stays until the next call."""

    def __init__(self, room: int = 2048) -> None:
        self._room = room
        self._bytes = bytearray(AT_ONCE * room)
        self._names = bytearray(AT_ONCE * NAME_SIZE)
        self._vectors = bytearray(AT_ONCE * VECTOR.size)
        self._messages = bytearray(AT_ONCE * MESSAGE.size)
        self._replies_vectors = bytearray(AT_ONCE * VECTOR.size)
        self._replies = bytearray(AT_ONCE * MESSAGE.size)
        names, data = _address(self._names), _address(self._bytes)
        for messages, vectors in ((self._messages, self._vectors), (self._replies, self._replies_vectors)):
            for number in range(AT_ONCE):
                VECTOR.pack_into(vectors, number * VECTOR.size, data + number * room, room)
                vector = _address(vectors) + number * VECTOR.size
                MESSAGE.pack_into(
                    messages,
                    number * MESSAGE.size,
                    *(names + number * NAME_SIZE, NAME_SIZE, vector, 1, 0, 0, 0, 0),
                )
        self._at, self._replies_at = _address(self._messages), _address(self._replies)
        self._sizes = memoryview(self._messages).cast("I")[SIZE_AT // 4 :: MESSAGE.size // 4]
        self._reply_sizes = memoryview(self._replies_vectors).cast("Q")[1::2]
        self._set = [room] * AT_ONCE

    def receive(self, fd: int, flags: int = WAIT_FOR_ONE) -> int:
        """How many came: at least one, or none when the socket's patience ended (or nothing was there)."""
        count: int = _receive(fd, self._at, AT_ONCE, flags, None)
        if count < 0:
            number = ctypes.get_errno()
            if number in (errno.EAGAIN, errno.EINTR, errno.ECONNREFUSED):
                return 0
            raise OSError(number, os.strerror(number))
        return count

    def sizes(self, count: int) -> list[int]:
        return self._sizes[:count].tolist()

    def datagram(self, number: int) -> bytes:
        return bytes(memoryview(self._bytes)[number * self._room :][: self._sizes[number]])

    def latest(self, size: int) -> bytes:
        """One of that size among what was received last; after a call that brought nothing, among what came before."""
        at = next(number for number, came in enumerate(self._sizes.tolist()) if came == size)
        return self.datagram(at)

    def sender(self, number: int) -> Endpoint:
        port, host = struct.unpack_from(">2xH4s", self._names, number * NAME_SIZE)
        return (str(IPv4Address(host)), port)

    def reply(self, fd: int, count: int) -> None:
        """Send the first `count` back to where they came from."""
        sizes = self.sizes(count)
        if sizes != self._set[:count]:
            for number, size in enumerate(sizes):
                self._reply_sizes[number] = size
            self._set[:count] = sizes
        done = 0
        while done < count:
            sent = _send(fd, self._replies_at + done * MESSAGE.size, count - done, 0)
            done += sent if sent > 0 else 1  # one that cannot be sent is lost, as datagrams are
