"""Where this machine is: a guess at its address, and a port that is free.

Nothing here sends a packet.
"""

from __future__ import annotations

import errno
import random
import socket
from typing import Final

PORTS: Final = range(10000, 32768)
"""Above the ports of known services, below those that Linux gives to outgoing connections (32768 to 60999)."""
_TRIES: Final = 100
_ROUTES: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Documentation addresses (RFC 5737, RFC 3849): they take the default route, and nobody is there."""
_ANY_PORT: Final = 9
_WILDCARDS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - these are recognised here, not bound


def default_address() -> str | None:
    """Return the address from which this machine speaks to the world; None without a default route.

    Connecting a UDP socket asks the routing table and sends nothing.
    """
    for family, far in _ROUTES:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far, _ANY_PORT))
                host: str = probe.getsockname()[0]
        except OSError:
            continue
        if host not in _WILDCARDS:
            return host
    return None


def wildcard() -> str:
    """Return the address that means all of this machine's: `::` where it takes IPv4 as well, else `0.0.0.0`."""
    return "::" if _is_free("::", 0, socket.SOCK_STREAM) else "0.0.0.0"  # noqa: S104 - a server listens for the world


def is_wildcard(host: str) -> bool:
    """True for a host that says "every address", which no client can dial."""
    return host in _WILDCARDS


def free_port() -> int:
    """Return a random port that is free for TCP and UDP on every address.

    Raises:
        OSError: none was found.
    """
    host = wildcard()
    for port in random.sample(PORTS, _TRIES):
        if all(_is_free(host, port, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            return port
    raise OSError(errno.EADDRINUSE, f"none of {_TRIES} ports tried between {PORTS.start} and {PORTS.stop - 1} is free")


def _is_free(host: str, port: int, kind: int) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
            if ":" in host:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind((host, port))
    except OSError:  # taken, or the system has no IPv6
        return False
    return True
