"""A small blocking SOCKS5 client for UDP (RFC 1928 §4, §7), for tests.

Called by `tests/interop` and `tests/probes`. It shares nothing with the package: a mistake of ours must not be able
to cancel itself out. It checks nothing that a test could want to break: `raw` sends any bytes.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from typing import Final

from tests.interop.streams import LIMIT, SocksError, pack_address, read_exactly

Address = tuple[str, int]

BUFFER: Final = 4 << 20
"""Bytes asked for as receive buffer; a burst of large datagrams must not be lost on the test's own side."""

_UDP_SEGMENT: Final = 103


class NotForUs(Exception):
    """A datagram that is no SOCKS5 datagram, or came from somewhere else than the relay."""


def parse_address(data: bytes) -> tuple[Address, bytes]:
    """An address in the form of RFC 1928 §5, and what follows it."""
    kind = data[0]
    size = {1: 4, 4: 16}.get(kind)
    if size is not None:
        host, rest = str(ipaddress.ip_address(data[1 : 1 + size])), data[1 + size :]
    elif kind == 3:
        host, rest = data[2 : 2 + data[1]].decode("ascii"), data[2 + data[1] :]
    else:
        raise NotForUs(f"address type {kind}")
    return (host, struct.unpack_from("!H", rest)[0]), rest[2:]


def wrap(payload: bytes, target: Address, *, frag: int = 0) -> bytes:
    """What a client sends to its relay for a target."""
    return b"\x00\x00" + bytes([frag]) + pack_address(*target) + payload


def unwrap(datagram: bytes) -> tuple[bytes, Address]:
    """The payload of a relay's datagram, and who sent it."""
    if len(datagram) < 4 or datagram[:3] != b"\x00\x00\x00":
        raise NotForUs(f"no SOCKS5 datagram: {datagram[:40].hex()}")
    sender, payload = parse_address(datagram[3:])
    return payload, sender


def udp_socket(host: str, port: int = 0) -> socket.socket:
    """A bound UDP socket with a large receive buffer."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def send_joined(sock: socket.socket, datagrams: list[bytes], place: Address) -> None:
    """Hand several datagrams to the kernel as one (UDP_SEGMENT of Linux); all but the last must be of one size.

    Over loopback they arrive as one at a socket that takes such (UDP_GRO), with the size beside them.
    """
    size = struct.pack("=H", len(datagrams[0]))
    sock.sendmsg([b"".join(datagrams)], [(socket.IPPROTO_UDP, _UDP_SEGMENT, size)], 0, place)


class Association:
    """One UDP ASSOCIATE: the TCP connection that holds it, the socket datagrams go through, and how many went."""

    def __init__(self, control: socket.socket, sock: socket.socket, relay: Address) -> None:
        self.control = control
        self.sock = sock
        self.relay = relay
        """Where the proxy said its datagrams should be sent."""
        self.source: Address = sock.getsockname()[:2]
        self.sent = 0
        self.received = 0

    def send(self, payload: bytes, target: Address) -> None:
        self.raw(wrap(payload, target))

    def raw(self, datagram: bytes) -> None:
        """Send these bytes to the relay, whatever they are."""
        self.sock.sendto(datagram, self.relay)
        self.sent += 1

    def receive(self, limit: float = LIMIT) -> tuple[bytes, Address]:
        """The next payload and who sent it; TimeoutError when nothing comes."""
        self.sock.settimeout(limit)
        datagram, sender = self.sock.recvfrom(1 << 16)
        if sender[:2] != self.relay:
            raise NotForUs(f"{len(datagram)} bytes from {sender}, where the relay is {self.relay}")
        self.received += 1
        return unwrap(datagram)

    def hang_up(self) -> None:
        """End the TCP connection, and with it the association; the UDP socket stays."""
        self.control.close()

    def close(self) -> None:
        self.control.close()
        self.sock.close()

    def __enter__(self) -> Association:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def request(
    proxy: Address, announced: Address = ("0.0.0.0", 0), *, source: str | None = None
) -> tuple[socket.socket, Address]:
    """Ask for an association; returns the TCP connection and the relay's address, a wildcard replaced by the host.

    `announced` is where the client says it will send from, all zeros where it does not know (RFC 1928 §7); `source` is
    the host it asks from.
    """
    control = socket.create_connection(proxy, LIMIT, source_address=source and (source, 0))
    try:
        control.sendall(b"\x05\x01\x00")
        if read_exactly(control, 2) != b"\x05\x00":
            raise SocksError(-1, "no acceptable method")
        control.sendall(b"\x05\x03\x00" + pack_address(*announced))
        try:
            head = read_exactly(control, 4)
            if head[1]:
                raise SocksError(head[1], "the proxy refused to associate")
            size = {1: 4, 4: 16}.get(head[3])
            lead = b"" if size is not None else read_exactly(control, 1)
            rest = read_exactly(control, (lead[0] if size is None else size) + 2)
        except EOFError as error:
            raise SocksError(-1, f"the proxy left: {error}") from None
        (host, port), _ = parse_address(head[3:] + lead + rest)
        with contextlib.suppress(ValueError):
            if ipaddress.ip_address(host).is_unspecified:
                host = proxy[0]
    except BaseException:
        control.close()
        raise
    return control, (host, port)


def associate(proxy: Address, *, source: str | None = None, announce: bool = False) -> Association:
    """Open an association through a proxy; connection and datagrams leave from `source`, by default loopback.

    `announce` tells the proxy where datagrams will come from, as a client may; most say all zeros.
    """
    source = source or ("::1" if ":" in proxy[0] else "127.0.0.1")
    sock = udp_socket(source)
    try:
        control, relay = request(proxy, sock.getsockname()[:2] if announce else ("0.0.0.0", 0), source=source)
    except BaseException:
        sock.close()
        raise
    return Association(control, sock, relay)
