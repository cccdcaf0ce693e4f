"""A small simulated kernel: descriptors, stream sockets, listeners, a network between them, and readiness.

It behaves as Linux does where the relay can tell: the lowest free descriptor number comes first, so numbers come back
at once; readiness is level-triggered, and errors and hang-ups are reported whatever the interest; a reset keeps what
had arrived before it; a close with unread bytes is a reset; a close that lingers 0 s throws away what is undelivered.

With a seed the network delivers when and as much as chance wants, receives are short, sends are partial and
readiness comes in any order. Without one everything is delivered at once. `World` joins it to a reactor.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from random import Random
from socket import SHUT_WR, SO_ERROR, SO_LINGER, SOL_SOCKET
from struct import pack
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from socket import SocketType

IN: Final = 0x1
OUT: Final = 0x4
ERR: Final = 0x8
HUP: Final = 0x10
RDHUP: Final = 0x2000

FIRST_FD: Final = 10_000
"""Numbers start where the process has no descriptor of its own."""
LINGER_RESET: Final = pack("ii", 1, 0)
ROOMY: Final = 1 << 20


def failure(code: int) -> OSError:
    """The exception that the socket module raises for a code."""
    return OSError(code, os.strerror(code))


class Kernel:
    """The table of descriptors, what is watched, and the network."""

    def __init__(self, seed: int | None = None) -> None:
        self.random: Final = None if seed is None else Random(seed)  # noqa: S311 - a schedule, not a secret
        self.table: Final[dict[int, FakeSocket]] = {}
        self.interest: Final[dict[int, int]] = {}
        """The one epoll of this kernel."""
        self.changes = 0
        """Counts whatever happens; a turn with events in which it stands still is a spinning loop."""
        self.links: Final[list[FakeSocket]] = []
        """Sockets that have somebody at the other end."""
        self.hosts: Final[dict[tuple[str, int], Callable[[FakeSocket], int]]] = {}
        """What `connect` to an address does; it returns the code. Nobody there: the connect hangs."""
        self.faults: Final[dict[str, list[int]]] = {}
        """Codes that the next calls of that name fail with: socket, accept, recv, send, shutdown, connect, watch.
        0 lets one call pass."""
        self.calls: Final[list[tuple[str, int]]] = []
        """(name, descriptor) of the calls made, but for those of programs outside."""

    # -- descriptors -----------------------------------------------------------------------------

    def take_number(self, sock: FakeSocket) -> int:
        fd = FIRST_FD
        while fd in self.table:
            fd += 1
        self.table[fd] = sock
        return fd

    def socket(self, family: int = socket.AF_INET, kind: int = 0, proto: int = 0, fileno: int = -1) -> FakeSocket:
        """What stands in for `socket.SocketType`: a new socket, or the object of a descriptor."""
        if fileno >= 0:
            return self.table[fileno]
        self.fail_if_told("socket")
        return FakeSocket(self, family)

    def pair(self, room: int = ROOMY, inward: int = ROOMY) -> tuple[FakeSocket, FakeSocket]:
        """Two connected sockets: the first with so much room for what it sends and what arrives."""
        one, two = FakeSocket(self), FakeSocket(self)
        one.room, one.arrival_room = room, inward
        two.outside = True
        one.join(two)
        return one, two

    def fail_if_told(self, name: str, fd: int = -1) -> None:
        self.calls.append((name, fd))
        codes = self.faults.get(name)
        if codes and (code := codes.pop(0)):
            self.changes += 1
            raise failure(code)

    # -- the network -----------------------------------------------------------------------------

    def deliver(self) -> bool:
        """Carry bytes and ends of file along every link; True when something moved. With a seed: a bit of it."""
        moved = False
        for sock in list(self.links):
            most = ROOMY if self.random is None else self.random.choice((0, 1, 7, 100, 3000))
            moved |= sock.deliver(most)
        return moved

    def drain(self) -> bool:
        """Carry everything there is room for."""
        moved = False
        for sock in list(self.links):
            moved |= sock.deliver(ROOMY)
        return moved

    # -- readiness, as epoll tells it ------------------------------------------------------------

    def watch(self, name: str, fd: int, events: int) -> None:
        """epoll_ctl: strict, so that a poller's wrong idea of what it watches shows."""
        self.fail_if_told("watch", fd)
        if fd not in self.table:
            raise failure(errno.EBADF)
        if (fd in self.interest) == (name == "add"):
            raise failure(errno.EEXIST if name == "add" else errno.ENOENT)
        self.changes += 1
        if name == "delete":
            del self.interest[fd]
        else:
            self.interest[fd] = events

    def poll(self, most: int = 256) -> list[tuple[int, int]]:
        """The watched descriptors that are ready."""
        found = []
        for fd, wanted in self.interest.items():
            bits = self.table[fd].readiness() & (wanted | ERR | HUP)
            if bits:
                found.append((fd, bits))
        if self.random is not None:
            self.random.shuffle(found)
        return found[:most]


class FakeSocket:
    """One stream socket. Its program is the relay, or the test at the other end of the link."""

    def __init__(self, kernel: Kernel, family: int = socket.AF_INET) -> None:
        self.kernel = kernel
        self.family = family
        self.fd = kernel.take_number(self)
        self.other: FakeSocket | None = None
        self.inward = bytearray()
        """Arrived, and not yet received."""
        self.arrived = bytearray()
        """All that ever arrived."""
        self.outward = bytearray()
        """Sent, and not yet delivered: what SIOCOUTQ counts."""
        self.room = ROOMY
        self.arrival_room = ROOMY
        self.error = 0
        """Told once by the next receive or send, as `sk_err` is."""
        self.ended = False
        """The other end said that nothing more comes."""
        self.shut = False
        """We said so."""
        self.told = False
        """The other end knows that we did."""
        self.dead = False
        """Reset, by either side."""
        self.state = "closed"
        """"closed", "connecting", "open", "listening"."""
        self.linger = b""
        self.options: list[tuple[int, int, Any]] = []
        self.waiting: list[FakeSocket] = []
        """Of a listener: who is to be accepted."""
        self.outside = False
        """True for the far end of a link, whose program is the test: no faults, no short counts."""
        self.reads: list[int] = []
        """How many bytes each receive asked for."""
        self.refuses_when_connecting = errno.EAGAIN
        """What `send` says before the connect is decided; ENOTCONN where that is the system's word."""

    @property
    def sock(self) -> SocketType:
        """This, as the type that the package takes."""
        return cast("SocketType", self)

    def join(self, other: FakeSocket) -> None:
        """Become connected to it."""
        for one, two in ((self, other), (other, self)):
            one.other, one.state = two, "open"
            one.kernel.links.append(one)
        self.kernel.changes += 1

    def readiness(self) -> int:
        """The EPOLL bits of this moment."""
        if self.state == "listening":
            return IN if self.waiting else 0
        if self.state == "connecting":
            return 0
        if self.state == "closed" and not self.error:
            return OUT | HUP  # a socket that was never connected
        bits = OUT if self.dead or self.error or (self.room - len(self.outward)) * 3 >= self.room else 0
        if self.inward or self.ended or self.dead or self.error:
            bits |= IN
        if self.ended or self.dead:
            bits |= RDHUP
        if self.dead or (self.ended and self.shut) or self.state == "closed":
            bits |= HUP
        return bits | ERR if self.error else bits

    # -- the link --------------------------------------------------------------------------------

    def deliver(self, most: int) -> bool:
        """Carry up to so many bytes to the other end, and the end of file after the last of them."""
        other = self.other
        if other is None or self.told or self.dead:
            return False
        size = min(most, len(self.outward), max(0, other.arrival_room - len(other.inward)))
        if size:
            if other.fd < 0:  # nobody there any more: the other kernel answers with a reset
                self.hit(errno.ECONNRESET)
                return True
            other.inward += self.outward[:size]
            other.arrived += self.outward[:size]
            del self.outward[:size]
        ends = self.shut and not self.outward
        if ends:
            self.told = other.ended = True
        if size or ends:
            self.kernel.changes += 1
        return bool(size) or ends

    def hit(self, code: int) -> None:
        """A reset arrives: what had arrived before stays readable, what was to be delivered is lost."""
        if not self.dead:
            self.dead = True
            self.error = code
            self.outward.clear()
            self.kernel.changes += 1

    def _begin(self, name: str) -> None:
        if not self.outside:
            self.kernel.fail_if_told(name, self.fd)

    def _cut(self, size: int) -> int:
        """Receive or send less than could be, one time in four."""
        random = self.kernel.random
        return size if random is None or self.outside or random.randrange(4) else random.randint(1, size)

    # -- what the socket module offers -----------------------------------------------------------

    def fileno(self) -> int:
        return self.fd

    def setblocking(self, _flag: bool) -> None:
        pass

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self.fd

    def _accept(self) -> tuple[int, tuple[str, int]]:
        self.kernel.fail_if_told("accept", self.fd)
        if not self.waiting:
            raise failure(errno.EAGAIN)
        self.kernel.changes += 1
        accepted = self.waiting.pop(0)
        return accepted.fd, ("192.0.2.1", accepted.fd)

    def connect_ex(self, address: tuple[str, int]) -> int:
        self.kernel.fail_if_told("connect", self.fd)
        host = self.kernel.hosts.get(address)
        self.state = "connecting"
        code = errno.EINPROGRESS if host is None else host(self)
        if code and code != errno.EINPROGRESS:
            self.state = "closed"
        return code

    def decide(self, code: int = 0) -> FakeSocket | None:
        """The connect of this socket is decided; return the other end of one that succeeded."""
        self.kernel.changes += 1
        if code:
            self.state, self.error = "closed", code
            return None
        other = FakeSocket(self.kernel)
        other.outside = True
        self.join(other)
        return other

    def recv_into(self, buffer: memoryview, size: int = 0, _flags: int = 0) -> int:
        kernel = self.kernel
        self._begin("recv")
        self.reads.append(size)
        if self.inward:
            size = min(size, len(self.inward))
            size = self._cut(size)
            buffer[:size] = self.inward[:size]
            del self.inward[:size]
            kernel.changes += 1
            return size
        if self.error:
            code, self.error = self.error, 0
            kernel.changes += 1
            raise failure(code)
        if self.ended or self.dead:
            return 0
        raise failure(errno.EAGAIN)

    def send(self, data: bytes | memoryview, _flags: int = 0) -> int:
        kernel = self.kernel
        self._begin("send")
        if self.error:
            code, self.error = self.error, 0
            kernel.changes += 1
            raise failure(code)
        if self.state == "connecting":
            raise failure(self.refuses_when_connecting)
        if self.shut or self.dead or self.state == "closed":
            raise failure(errno.EPIPE)
        size = min(len(data), self.room - len(self.outward))
        if size <= 0:
            raise failure(errno.EAGAIN)
        size = self._cut(size)
        self.outward += data[:size]
        kernel.changes += 1
        if kernel.random is None:
            self.deliver(ROOMY)
        return size

    def shutdown(self, how: int) -> None:
        assert how == SHUT_WR, "the relay ends one direction, and closes"
        self._begin("shutdown")
        if self.dead or self.state != "open":
            raise failure(errno.ENOTCONN)
        assert not self.shut, "a direction was ended twice"
        self.shut = True
        self.kernel.changes += 1
        if self.kernel.random is None:
            self.deliver(ROOMY)

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if (level, option) == (SOL_SOCKET, SO_LINGER):
            self.linger = value
        self.options.append((level, option, value))

    def getsockopt(self, level: int, option: int) -> int:
        assert (level, option) == (SOL_SOCKET, SO_ERROR)
        code, self.error = self.error, 0
        return code

    def close(self) -> None:
        if self.fd < 0:
            return
        kernel = self.kernel
        kernel.interest.pop(self.fd, None)
        del kernel.table[self.fd]
        self.fd = -1
        kernel.changes += 1
        other = self.other
        if other is None or self.dead:
            return
        if self.linger == LINGER_RESET or self.inward:
            self.dead = True
            self.outward.clear()
            other.hit(errno.ECONNRESET)
        else:
            self.shut = True
            if kernel.random is None:
                self.deliver(ROOMY)
