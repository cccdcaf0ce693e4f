"""Hosts, ports and IP addresses as people write them: what every value that names a place is read with.

No sentence repeats a text that was given, since a password may stand in any place by mistake.
"""

from __future__ import annotations

import re
from typing import Final

from ..core.address import NAME_MAX, PORT_MAX, pack_ip


class UnfitError(Exception):
    """A value is not what its setting wants; the text is a sentence for people."""


_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
ZONE = re.compile(r"[A-Za-z0-9._-]{1,15}")  # IF_NAMESIZE is 16 with its NUL
_PORT = re.compile(r"[0-9]{1,5}")
_IPV6_SIZE: Final = 16


def check_host(text: str) -> str:
    """Return a host as `Address` wants it: an IP text without brackets, or a name.

    Raises:
        UnfitError: it is neither.
    """
    if not text:
        raise UnfitError("the host is empty; write a name or an IP address")
    if "://" in text:
        raise UnfitError("a host is expected here, not a link; links are given by --server-url or to `connect`")
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in host:
        base, percent, zone = host.partition("%")
        if pack_ip(base) is not None and (not percent or ZONE.fullmatch(zone)):
            return host
        if host.count(":") == 1:
            raise UnfitError("a host without a port is expected here; the port has a key of its own")
        raise UnfitError("this is no IPv6 address; look at its colons and digits")
    if host != text:
        raise UnfitError("only IPv6 addresses stand in brackets")
    if pack_ip(host) is not None:
        return host
    _check_name(host)
    return host


def split_port(text: str) -> tuple[str, str]:
    """Cut HOST:PORT; an IPv6 address has its colons in brackets, or stands without a port, which is empty then."""
    head, colon, port = text.rpartition(":")
    if colon and (":" not in head or head.endswith("]")):
        return head, port
    return text, ""


def check_port(text: str) -> int:
    """Return the number of a port.

    Raises:
        UnfitError: it is none.
    """
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= PORT_MAX:
        raise UnfitError(f"a port is missing or wrong; ports are numbers from 1 to {PORT_MAX}")
    return int(text)


def check_ip(text: str, *, brackets: bool = False) -> str:
    """Return an IP text without brackets; an IPv6 address may end in a zone, as in `fe80::1%eth0`.

    Raises:
        UnfitError: it is none.
    """
    host = text[1:-1] if brackets and text.startswith("[") and text.endswith("]") else text
    base, percent, zone = host.partition("%")
    packed = pack_ip(base)
    if packed is None:
        raise UnfitError("an IP address is expected here, and this is none; look at its numbers, dots and colons")
    is_ipv6 = len(packed) == _IPV6_SIZE
    if (percent and not (is_ipv6 and ZONE.fullmatch(zone))) or (host != text and not is_ipv6):
        raise UnfitError("only IPv6 addresses have brackets, and a zone such as %eth0 behind them")
    return host


def is_loopback(host: str) -> bool:
    """True for an address or a name that never leaves the machine."""
    packed = pack_ip(host)
    if packed is None:
        return host.lower().removesuffix(".") == "localhost"
    return packed[0] == 127 if len(packed) == 4 else packed == bytes(15) + b"\x01"


def _check_name(host: str) -> None:
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise UnfitError("this is no host name; a name with letters beyond a to z must follow IDNA") from None
    labels = name.removesuffix(".").split(".")
    if labels[-1].isdigit():
        raise UnfitError("this looks like an IPv4 address and is none: four numbers from 0 to 255 with dots between")
    if len(name) > NAME_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise UnfitError("this is no host name; names are made of letters, digits, hyphens and dots")
