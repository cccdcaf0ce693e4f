"""Who dials whom: every connect, send and bind of this process that are not the test's own, and a trap on loopback.

`Watch` sees what goes through Python's sockets (`sys.addaudithook`), and keeps whatever would leave this machine on it.
It does not see the batched way of datagrams, which calls the system itself; the trap does, as far as loopback goes.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import ipaddress
import select
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final

_EVENTS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"})
_watches: Final[list[Watch]] = []
"""The one that watches, if any."""

Seen = tuple[str, str, int]
"""What was done: its word, the host, the port."""


class Watch:
    """What this thread dialled, sent to and bound while it was watched."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._thread = threading.get_ident()
        self._mine = 0

    @contextlib.contextmanager
    def mine(self) -> Iterator[None]:
        """What is done within is the test's own."""
        self._mine += 1
        try:
            yield
        finally:
            self._mine -= 1

    def on_event(self, event: str, address: Any) -> None:
        """Note it; raises OSError for what is not on this machine."""
        if self._mine or threading.get_ident() != self._thread or not isinstance(address, tuple):
            return
        word, host, port = event.removeprefix("socket."), str(address[0]), int(address[1])
        if word == "bind" and not port:
            return  # the judge asks whether an address is ours so, and goes nowhere
        self.seen.append((word, host, port))
        if word != "bind" and not _stays_here(host):
            raise OSError(errno.ENETDOWN, "the test keeps it here")


def _stays_here(host: str) -> bool:
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    ip = mapped or ip
    return ip.is_loopback or ip.is_unspecified


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _watches and event in _EVENTS:
        _watches[-1].on_event(event, args[1])


_hooked: Final[list[bool]] = []
"""Whether the hook is there: none can be taken away."""


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Watch this process."""
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked.append(True)
    watch = Watch()
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)


class Trap:
    """A port of every address of this machine, TCP and UDP, at which nobody may arrive."""

    def __init__(self) -> None:
        while True:
            self._tcp, self._udp = _wide(socket.SOCK_STREAM), _wide(socket.SOCK_DGRAM)
            self._tcp.bind((_any(self._tcp), 0))
            self.port: int = self._tcp.getsockname()[1]
            try:
                self._udp.bind((_any(self._udp), self.port))
            except OSError:
                self.close()
                continue
            break
        self._tcp.listen(64)

    def sprung(self) -> int:
        """Return how many arrived since it was asked last."""
        count = 0
        while ready := select.select([self._tcp, self._udp], [], [], 0)[0]:
            for sock in ready:
                count += 1
                if sock is self._tcp:
                    sock.accept()[0].close()
                else:
                    sock.recv(65536)
        return count

    def close(self) -> None:
        self._tcp.close()
        self._udp.close()


def _wide(kind: int) -> socket.socket:
    if not socket.has_ipv6 or not has_ipv6():
        return socket.socket(socket.AF_INET, kind)
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return sock


def _any(sock: socket.socket) -> str:
    return "::" if sock.family == socket.AF_INET6 else "0.0.0.0"


def has_ipv6() -> bool:
    """True where there is a loopback of IPv6."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        return True
    return False


@contextlib.contextmanager
def trap() -> Iterator[Trap]:
    made = Trap()
    try:
        yield made
    finally:
        made.close()


@functools.cache
def local_addresses() -> tuple[str, ...]:
    """Return the addresses of this machine beside loopback; those of links with their zones."""
    found: list[str] = []
    with contextlib.suppress(OSError), open("/proc/net/if_inet6", encoding="ascii") as file:
        for line in file:
            digits, *_, name = line.split()
            ip = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
            if ip != "::1":
                found.append(f"{ip}%{name}" if ip.startswith("fe80") else ip)
    for target in ("192.0.2.1", "8.8.8.8"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((target, 9))  # asks for the way, and sends nothing
            found.append(sock.getsockname()[0])
    return tuple(dict.fromkeys(found))
