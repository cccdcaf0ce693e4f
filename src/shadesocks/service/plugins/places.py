"""Ports of this machine at which a plugin listens: one that is free, and whether somebody answers there by now."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Final

from ...core.address import Address, pack_ip

ANSWER_LIMIT: Final = 1.0
"""Seconds that a connect on this machine may take."""


def free_place(host: str, *, tcp: bool, udp: bool) -> Address:
    """Return a port of a loopback address that nobody has now; raises OSError where the host is not to be had."""
    for _ in range(8):
        with socket.socket(_family(host), socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
            sock.bind((host, 0))
            place = Address(host, sock.getsockname()[1])
        if not (tcp and udp) or is_free(place, tcp=False, udp=True):
            break
    return place


def is_free(place: Address, *, tcp: bool, udp: bool) -> bool:
    """True where a program that sets no options could listen now."""
    kinds = [kind for kind, wanted in ((socket.SOCK_STREAM, tcp), (socket.SOCK_DGRAM, udp)) if wanted]
    try:
        for kind in kinds:
            with socket.socket(_family(place.host), kind) as sock:
                sock.bind((place.host, place.port))
    except OSError:
        return False
    return True


async def answers(place: Address) -> bool:
    """Connect, and say whether that could be done."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_LIMIT):
            _, writer = await asyncio.open_connection(_reachable(place.host), place.port)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        return True
    return False


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _reachable(host: str) -> str:
    """Return an address at which a listener of a host is to be reached: a wildcard is none."""
    packed = pack_ip(host)
    if packed is None or any(packed):
        return host
    return "127.0.0.1" if len(packed) == 4 else "::1"
