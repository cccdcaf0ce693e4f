"""A steady stream of short connections through a SOCKS5 proxy, and what became of each.

Called by `tests/e2e/test_many_servers.py`. Nobody waits for anybody: a visit that takes long delays no other, unless
so many are open that the machine cannot keep up.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.interop.streams import HOST, pack_address

from .crowd import GREETED

LIMIT: Final = 30.0
"""Seconds after which a visit has failed."""
AT_ONCE: Final = 400
"""Visits open at a time: two seconds' worth at 200 a second."""
_TICK: Final = 0.005


@dataclass(slots=True)
class Visit:
    """One connection: words out, the same words back."""

    began_at: float
    got: bytearray
    ended_at: float = 0.0
    failure: str = ""

    @property
    def took(self) -> float:
        return self.ended_at - self.began_at


class Visits:
    """So many each second, from a thread of their own, until `stop`."""

    def __init__(self, proxy: tuple[str, int], port: int, rate: float) -> None:
        self._proxy = proxy
        self._payload = os.urandom(80)
        self._hello = b"\x05\x01\x00\x05\x01\x00" + pack_address(HOST, port) + self._payload
        self._step = 1 / rate
        self._selector = selectors.DefaultSelector()
        self._is_over = False
        self.all: list[Visit] = []
        self._thread = threading.Thread(target=self._run, name="visits")
        self._thread.start()

    def stop(self) -> None:
        """Begin no more, and wait for the end of all."""
        self._is_over = True
        self._thread.join(LIMIT + 5)

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while not self._is_over or self._selector.get_map():
                now = time.monotonic()
                while due <= now and not self._is_over:
                    due = max(due + self._step, now - 0.1)  # after a pause of the machine, not all of them at once
                    if len(self._selector.get_map()) < AT_ONCE:
                        self._begin(now)
                for key, events in self._selector.select(_TICK):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    self._serve(sock, key.data, events)
                for key in list(self._selector.get_map().values()):
                    if now - key.data.began_at > LIMIT:
                        self._end(key.fileobj, key.data, "no end")  # type: ignore[arg-type]  # a socket, as above
        finally:
            for key in list(self._selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]  # likewise
            self._selector.close()

    def _begin(self, now: float) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        visit = Visit(now, bytearray())
        self.all.append(visit)
        code = sock.connect_ex(self._proxy)
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            visit.ended_at, visit.failure = now, os.strerror(code)
            return
        self._selector.register(sock, selectors.EVENT_WRITE, visit)

    def _serve(self, sock: socket.socket, visit: Visit, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                sock.send(self._hello)
                self._selector.modify(sock, selectors.EVENT_READ, visit)
                return
            part = sock.recv(4096)
        except OSError as error:
            self._end(sock, visit, str(error))
            return
        visit.got += part
        if len(visit.got) >= GREETED + len(self._payload):
            self._end(sock, visit, "" if visit.got[GREETED:] == self._payload else "other words")
        elif not part:
            self._end(sock, visit, f"the end after {len(visit.got)} bytes")

    def _end(self, sock: socket.socket, visit: Visit, failure: str) -> None:
        self._selector.unregister(sock)
        sock.close()
        visit.ended_at, visit.failure = time.monotonic(), failure


@contextlib.contextmanager
def visits(proxy: tuple[str, int], port: int, rate: float) -> Iterator[Visits]:
    stream = Visits(proxy, port, rate)
    try:
        yield stream
    finally:
        stream.stop()
