"""Many connections cheaply: a target that echoes to thousands from one thread, and a load of short connections.

Called by `tests/e2e`. `eventually` is for the ends of things that announce themselves to nobody, such as another
process having closed a descriptor.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from tests.interop.streams import HOST, pack_address
from tests.peers import Program

LIMIT: Final = 60.0
GREETED: Final = 2 + 10
"""Bytes of a SOCKS5 server's two answers, with an IPv4 address in the second."""


def eventually(happened: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
    """Ask again and again until something is so; fails after a generous while."""
    give_up_at = time.monotonic() + limit
    while not happened():
        assert time.monotonic() < give_up_at, f"not in {limit:.0f} s: {what}"
        time.sleep(0.02)


def back_to(program: Program, descriptors: int) -> None:
    """Wait until a program holds no more descriptors than it did at its base."""
    eventually(
        lambda: program.descriptors() <= descriptors,
        f"{program.descriptors()} descriptors of process {program.pid} back to {descriptors}",
    )


class Echo:
    """A target that sends everything back; ends each connection when the other end does."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0), backlog=4096)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self.accepted = 0
        self._thread = threading.Thread(target=self._run, name="echo")
        self._thread.start()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._woken:
                    return
                if sock is self._listener:
                    self._accept()
                    continue
                try:
                    data = sock.recv(65536)
                    if data:
                        sock.setblocking(True)
                        sock.sendall(data)
                        sock.setblocking(False)
                        continue
                except BlockingIOError:
                    continue
                except OSError:
                    pass
                self._selector.unregister(sock)
                sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = self._listener.accept()
                sock.setblocking(False)
                self.accepted += 1
                self._selector.register(sock, selectors.EVENT_READ)

    def held(self) -> int:
        """Connections open now."""
        return len(self._selector.get_map()) - 2

    def close(self) -> None:
        self._wake.send(b"!")
        self._thread.join(LIMIT)
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()
        self._wake.close()


@contextlib.contextmanager
def echo() -> Iterator[Echo]:
    target = Echo()
    try:
        yield target
    finally:
        target.close()


def visit(proxy: tuple[str, int], port: int, total: int, at_once: int = 64) -> None:
    """So many short connections through a SOCKS5 proxy: all of the client's words in one write, the echo, the end."""
    payload = os.urandom(80)
    hello = b"\x05\x01\x00\x05\x01\x00" + pack_address(HOST, port) + payload
    want = GREETED + len(payload)
    selector = selectors.DefaultSelector()
    started = done = 0
    try:
        while done < total:
            while started < total and started - done < at_once:
                sock = socket.create_connection(proxy, LIMIT)
                sock.sendall(hello)
                selector.register(sock, selectors.EVENT_READ, bytearray())
                started += 1
            ready = selector.select(LIMIT)
            assert ready, f"{done} of {total} connections done, and then nothing for {LIMIT:.0f} s"
            for key, _ in ready:
                visitor, got = key.fileobj, key.data
                assert isinstance(visitor, socket.socket)
                part = visitor.recv(4096)
                got += part
                assert part, f"connection {done} ended after {len(got)} of {want} bytes"
                if len(got) >= want:
                    assert got[GREETED:] == payload
                    selector.unregister(visitor)
                    visitor.close()
                    done += 1
    finally:
        for key in list(selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        selector.close()
