"""UDP targets on loopback, each a socket and a thread: an echo, one that lets somebody else answer, a DNS server.

Called by `tests/interop` and `tests/probes`. A target remembers every datagram and its sender, in order, so a test
can say what did not come: it sends a marker last and looks at all that came before it.
"""

from __future__ import annotations

import queue
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final, Self

from tests.interop.streams import LIMIT
from tests.socks_udp import Address, udp_socket

HOST: Final = "127.0.0.1"
HOST6: Final = "::1"


def hosts() -> tuple[str, ...]:
    """The loopback addresses of this machine: of IPv4, and of IPv6 where there is any."""
    try:
        udp_socket(HOST6).close()
    except OSError:
        return (HOST,)
    return (HOST, HOST6)


class UdpTarget:
    """Hands each datagram to `answer(sock, data, sender)` in a thread of its own, until it is closed."""

    def __init__(self, answer: Callable[[socket.socket, bytes, Address], None], host: str = HOST) -> None:
        self._answer = answer
        self.sock = udp_socket(host)
        self.address: Address = self.sock.getsockname()[:2]
        self._seen: queue.Queue[tuple[bytes, Address]] = queue.Queue()
        self._waker, self._wake = socket.socketpair()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._serve, name="udp-target")
        self._thread.start()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ)
            selector.register(self._waker, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._waker in ready:
                    return
                data, sender = self.sock.recvfrom(1 << 16)
                try:
                    self._answer(self.sock, data, sender[:2])
                except Exception as error:  # `close` raises it: it is the test's own mistake
                    self._failure = error
                    return
                self._seen.put((data, sender[:2]))

    def next(self, limit: float = LIMIT) -> tuple[bytes, Address]:
        """The next datagram that came, and who sent it; queue.Empty when none comes."""
        return self._seen.get(timeout=limit)

    def until(self, marker: bytes, limit: float = LIMIT) -> list[tuple[bytes, Address]]:
        """All that came before the marker, which is awaited."""
        came = []
        while (item := self.next(limit))[0] != marker:
            came.append(item)
        return came

    def close(self) -> None:
        self._wake.send(b".")
        self._thread.join(LIMIT)
        for sock in (self.sock, self._waker, self._wake):
            sock.close()
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def echo(host: str = HOST) -> UdpTarget:
    """Answers every datagram with itself."""
    return UdpTarget(lambda sock, data, sender: _reply(sock, data, sender), host)


def sink(host: str = HOST) -> UdpTarget:
    """Answers nothing."""
    return UdpTarget(lambda sock, data, sender: None, host)


def _reply(sock: socket.socket, data: bytes, sender: Address) -> None:
    sock.sendto(data, sender)


class ThirdParty(UdpTarget):
    """Echoes every datagram from another socket than the one it came to, as a peer behind a STUN server does."""

    def __init__(self, host: str = HOST) -> None:
        self.third = udp_socket(host)
        self.third_address: Address = self.third.getsockname()[:2]
        super().__init__(lambda sock, data, sender: _reply(self.third, data, sender), host)

    def close(self) -> None:
        super().close()
        self.third.close()


class DnsServer(UdpTarget):
    """Answers every A question with one address, and TXT with so many bytes (RFC 1035 §4)."""

    ADDRESS: Final = "192.0.2.53"
    """What every name resolves to here: an address for documentation, which no resolver of a system would say."""
    A, TXT = 1, 16

    def __init__(self, host: str = HOST, *, text: int = 0) -> None:
        self._text = b"".join(bytes([len(part)]) + part for part in _parts(b"t" * text, 255)) or b"\x00"
        super().__init__(self._resolve, host)

    def _resolve(self, sock: socket.socket, data: bytes, sender: Address) -> None:
        (ident,) = struct.unpack_from("!H", data)
        end = data.index(b"\x00", 12) + 5  # the name without compression, then type and class
        (kind,) = struct.unpack_from("!H", data, end - 4)
        record = {self.A: socket.inet_aton(self.ADDRESS), self.TXT: self._text}.get(kind, b"")
        answer = struct.pack("!HHHLH", 0xC00C, kind, 1, 60, len(record)) + record if record else b""
        head = struct.pack("!6H", ident, 0x8580, 1, 1 if answer else 0, 0, 0)  # a final, recursive answer without error
        sock.sendto(head + data[12:end] + answer, sender)


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
