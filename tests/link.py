"""A bad link: two network namespaces, and between them a forwarder of our own that loses, repeats and reorders packets.

Many kernels lack netem, so each namespace has a TUN device and a thread carries packets from one to the other as the
`Weather` says. Namespaces are anonymous: they live as long as their descriptor, and nothing is left of them. A socket
stays in the namespace it was made in, so a test can talk from both sides; a program is put there by nsenter.

    with bad_link(Weather(drop=0.05)) as link:
        sock = link.left.socket(AF_INET, SOCK_DGRAM)        a socket of this process, in the left namespace
        start((*link.right.prefix, program, ...), ...)      a program in the right one
"""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import os
import random
import select
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fcntl import ioctl
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

TUN: Final = Path("/dev/net/tun")
MTU: Final = 1500
V4: Final = ("10.77.0.1", "10.77.0.2")
V6: Final = ("fd77::1", "fd77::2")
PREFIX_V4: Final = "255.255.255.0"
PREFIX_V6: Final = 64
BATCH: Final = 64
"""Packets read from one device before the other has its turn."""
END_LIMIT: Final = 10.0

# <sched.h>, <linux/if_tun.h>, <linux/sockios.h>
_NEWNET: Final = 0x40000000
_TUNSETIFF, _IFF_TUN_NO_PI = 0x400454CA, 0x0001 | 0x1000
_SIFADDR, _SIFNETMASK, _SIFMTU, _GIFINDEX, _SIFFLAGS = 0x8916, 0x891C, 0x8922, 0x8933, 0x8914
_UP_RUNNING: Final = 0x1 | 0x40

_libc = ctypes.CDLL(None, use_errno=True)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Weather:
    """What the link does to packets, both ways. Shares are of all packets; times are seconds."""

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """Packets held back for twice the jitter and 2 ms more, so that those behind them pass."""
    delay: float = 0.0
    jitter: float = 0.0
    seed: int = 1

    def fates(self) -> Iterator[tuple[float, ...]]:
        """For each packet, after how long its copies arrive: none, one or two. The same for the same seed."""
        chance = random.Random(self.seed)  # noqa: S311 - reproducible on purpose
        while True:
            copies = 1 + (chance.random() < self.duplicate)
            lost, late = chance.random() < self.drop, chance.random() < self.reorder
            times = [self.delay + chance.uniform(0, self.jitter) for _ in range(copies)]
            if late:
                times[0] += 2 * self.jitter + 0.002
            yield () if lost else tuple(times)


@dataclass(slots=True)
class Tally:
    """What the link did."""

    packets: int = 0
    dropped: int = 0
    duplicated: int = 0


@dataclass(slots=True)
class Side:
    """One namespace."""

    namespace: int
    """Its descriptor."""
    tun: int
    ipv4: str
    ipv6: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command, so that it runs here."""
        nsenter = shutil.which("nsenter")
        assert nsenter is not None, "see `missing`"
        return nsenter, f"--net=/proc/{os.getpid()}/fd/{self.namespace}"

    def socket(self, family: int, kind: int) -> socket.socket:
        """Return a socket that is here, whoever uses it."""
        return _elsewhere(lambda: socket.socket(family, kind), self.namespace)


@dataclass(slots=True)
class Link:
    """Both namespaces, and what happened between them."""

    left: Side
    right: Side
    tally: Tally = field(default_factory=Tally)


def missing() -> str | None:
    """Return why there can be no link here, in one sentence, or None."""
    if not TUN.exists():
        return "a bad link needs /dev/net/tun"
    if shutil.which("nsenter") is None:
        return "a bad link needs nsenter, of util-linux"
    try:
        os.close(_make_namespace())
    except OSError as error:
        return f"a bad link needs network namespaces, so mostly root: {error.strerror}"
    return None


@contextlib.contextmanager
def bad_link(weather: Weather) -> Iterator[Link]:
    """Make the link, or skip the test where that is not allowed; it is gone after the block."""
    if reason := missing():
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        sides = []
        for ipv4, ipv6 in zip(V4, V6, strict=True):
            namespace = _make_namespace()
            stack.callback(os.close, namespace)
            tun = _elsewhere(partial(_make_device, ipv4, ipv6), namespace)
            stack.callback(os.close, tun)
            sides.append(Side(namespace, tun, ipv4, ipv6))
        link = Link(sides[0], sides[1])
        stop, stopped = os.pipe()
        stack.callback(os.close, stop)
        forwarder = threading.Thread(target=_forward, args=(link, weather, stop), name="link")
        forwarder.start()
        try:
            yield link
        finally:
            os.close(stopped)
            forwarder.join(END_LIMIT)
            assert not forwarder.is_alive(), "the forwarder did not end"


def _forward(link: Link, weather: Weather, stop: int) -> None:
    """Carry packets until the pipe is closed. Times are kept in a heap; equal ones in the order of arrival."""
    left, right = link.left.tun, link.right.tun
    fates, tally = weather.fates(), link.tally
    waiting: list[tuple[float, int, int, bytes]] = []
    order = count()
    with select.epoll() as poll:
        for fd in (left, right, stop):
            poll.register(fd, select.EPOLLIN)
        while True:
            wait = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            events = poll.poll(wait)
            now = time.monotonic()
            for fd, _ in events:
                if fd == stop:
                    return
                for packet in _packets(fd):
                    times = next(fates)
                    tally.packets += 1
                    tally.dropped += not times
                    tally.duplicated += len(times) > 1
                    for after in times:
                        entry = (now + after, next(order), right if fd == left else left, packet)
                        heapq.heappush(waiting, entry)
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, fd, packet = heapq.heappop(waiting)
                with contextlib.suppress(OSError):  # a device whose queue is full loses packets too
                    os.write(fd, packet)


def _packets(fd: int) -> Iterator[bytes]:
    for _ in range(BATCH):
        try:
            yield os.read(fd, MTU)
        except BlockingIOError:
            return


# Namespaces and devices. Both are made by a thread of their own, which is in the namespace while it lives.


def _make_namespace() -> int:
    """Return the descriptor of a new namespace."""

    def make() -> int:
        if _libc.unshare(_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        _bring_up("lo")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    return _elsewhere(make, None)


def _elsewhere(call: Callable[[], Result], namespace: int | None) -> Result:
    """Return what a call returns in a thread that entered the namespace."""
    results: list[Any] = []

    def run() -> None:
        try:
            if namespace is not None and _libc.setns(namespace, _NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            results.append((call(), None))
        except OSError as error:
            results.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    result, error = results[0]
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]  # what `call` returned


def _make_device(ipv4: str, ipv6: str) -> int:
    """Return the descriptor of a TUN device with these addresses, up."""
    fd = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        name = "link0"
        ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            for request, text in ((_SIFADDR, ipv4), (_SIFNETMASK, PREFIX_V4)):
                address = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(text))
                ioctl(control, request, struct.pack("16s16s8x", name.encode(), address))
            ioctl(control, _SIFMTU, struct.pack("16si20x", name.encode(), MTU))
            index = struct.unpack("16si20x", ioctl(control, _GIFINDEX, struct.pack("16s24x", name.encode())))[1]
        _bring_up(name)
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
            packed = socket.inet_pton(socket.AF_INET6, ipv6)
            ioctl(control, _SIFADDR, struct.pack("16sIi", packed, PREFIX_V6, index))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _bring_up(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        ioctl(control, _SIFFLAGS, struct.pack("16sH22x", name.encode(), _UP_RUNNING))


def has_ipv6(link: Link) -> bool:
    """True where both sides got their IPv6 addresses: a kernel may have none."""
    for side in (link.left, link.right):
        try:
            with side.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                sock.bind((side.ipv6, 0))
        except OSError:
            return False
    return True
