"""A target: host and port, and its form on the wire (protocol §2, RFC 1928 §5).

    ATYP(1) || host || port(u16be)
    01  host = 4 bytes IPv4            7 bytes in all
    03  host = size(1) || name         4 + size
    04  host = 16 bytes IPv6           19

The same form stands in SOCKS5 requests, in every Shadowsocks edition and in
UDP packets. A name that spells an IP address is that address: it needs no
look-up, and the rules for addresses apply to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

from .errors import DialError, LocalProtocolError, RemoteProtocolError

Buffer = bytes | bytearray | memoryview

IPV4: Final = 1
NAME: Final = 3
IPV6: Final = 4

PORT_MAX: Final = 0xFFFF
NAME_MAX: Final = 255
"""Bytes of a name: its size is one byte on the wire."""
ADDRESS_MAX: Final = 1 + 1 + NAME_MAX + 2
"""Bytes of the longest address."""

MAPPED_TEXT: Final = "::ffff:"
"""How the text of an IPv4 address begins at a socket of both families (RFC 4291 §2.5.5.2)."""
CONTROLS: Final = bytes([*range(0x21), 0x7F])
"""Bytes no host name holds; NUL would cut the name in C libraries, line ends would forge log lines."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host, as a name or a canonical IP text without brackets, and a port 0..65535."""

    host: str
    port: int

    def pack(self) -> bytes:
        """Return the wire form.

        Raises:
            LocalProtocolError: the host is empty or longer than 255 bytes as an IDNA name; the port is none.
        """
        if not 0 <= self.port <= PORT_MAX:
            raise LocalProtocolError("bad_port", f"a port is 0 to {PORT_MAX}, not {self.port}")
        return pack_host(self.host) + self.port.to_bytes(2)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def in_ascii(address: Address) -> Address:
    """Return the same with its name as it is sent and looked up: an IDNA name, where it has letters beyond ASCII.

    Raises:
        DialError: `no_name`, it has no such form.
    """
    if address.host.isascii():
        return address
    try:
        return Address(address.host.encode("idna").decode("ascii"), address.port)
    except UnicodeError:
        raise DialError("no_name", "the target's name has no ASCII form (IDNA)") from None


def pack_ip(host: str) -> bytes | None:
    """Return the 4 or 16 bytes of an IP literal in its one canonical spelling, None for a name."""
    try:
        return inet_pton(AF_INET6 if ":" in host else AF_INET, host)
    except (OSError, ValueError):
        return None


def pack_zoned(host: str) -> bytes | None:
    """Return the same, whatever the zone behind an IPv6 literal: a zone does not change what an address is."""
    return pack_ip(host.partition("%")[0] if ":" in host else host)


def pack_host(host: str) -> bytes:
    """Return ATYP and host, without the port."""
    packed = pack_ip(host)
    if packed is not None:
        return b"\x01" + packed if len(packed) == 4 else b"\x04" + packed
    try:
        name = host.encode("ascii") if host.isascii() else host.encode("idna")
    except UnicodeError:
        name = b""
    if not 0 < len(name) <= NAME_MAX or name.translate(None, CONTROLS) != name:
        raise LocalProtocolError("bad_domain", f"a host name is 1 to {NAME_MAX} bytes without spaces or controls")
    return b"\x03" + bytes((len(name),)) + name


def parse_address(data: Buffer, at: int = 0) -> tuple[Address, int]:
    """Read one address that starts at `at`; return it and its size in bytes.

    Raises:
        RemoteProtocolError: `truncated` when more bytes may complete it; `bad_atyp`,
            `empty_domain` or `bad_domain` when none can.
    """
    room = len(data) - at
    if room < 1:
        raise RemoteProtocolError("truncated")
    kind = data[at]
    if kind == NAME:
        if room < 2:
            raise RemoteProtocolError("truncated")
        size = data[at + 1]
        if not size:
            raise RemoteProtocolError("empty_domain")
        end = at + 2 + size
        if room < size + 4:
            raise RemoteProtocolError("truncated")
        host = _name(bytes(data[at + 2 : end]))
    elif kind == IPV4:
        end = at + 5
        if room < 7:
            raise RemoteProtocolError("truncated")
        host = inet_ntop(AF_INET, data[at + 1 : end])
    elif kind == IPV6:
        end = at + 17
        if room < 19:
            raise RemoteProtocolError("truncated")
        host = inet_ntop(AF_INET6, data[at + 1 : end])
    else:
        raise RemoteProtocolError("bad_atyp", f"unsupported addrtype {kind}")
    return Address(host, data[end] << 8 | data[end + 1]), end + 2 - at


def _name(raw: bytes) -> str:
    """Turn the bytes of a name into text; UTF-8 stays as it is, and becomes IDNA when it is looked up (protocol §2)."""
    if raw.translate(None, CONTROLS) != raw:
        raise RemoteProtocolError("bad_domain")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("bad_domain") from None
