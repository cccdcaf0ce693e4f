"""What is set on sockets, and asked of them, beyond sending and receiving.

`TcpOptions` are of a connection, on whichever side it was begun; `Route` says how it leaves this machine. Both are
tried on a socket that goes nowhere before anything starts (`lacks`), so an option that the system does not have, or
does not allow, is found then and not with the first connection.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_TCP, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, SocketType
from typing import Any, Final

from ..core.address import MAPPED_TEXT

NOW: Final[int] = getattr(socket, "MSG_DONTWAIT", 0)
"""The flag of a receive or send that must not block. It spares every accepted socket one system call."""

NONBLOCK: Final[int] = getattr(socket, "SOCK_NONBLOCK", 0)
"""The flag of a socket made non-blocking; 0 where the system needs a second call for it."""

LINUX: Final = sys.platform == "linux"
_IPPROTO_MPTCP: Final = 262
_FASTOPEN_CONNECT: Final = 30
"""TCP_FASTOPEN_CONNECT of <linux/tcp.h>: a connect to a host that gave us a cookie waits for the first send."""
_BIND_ADDRESS_NO_PORT: Final = 24
"""IP_BIND_ADDRESS_NO_PORT of <linux/in.h>: the port is chosen by the connect, so 64,000 for each far end."""
_FASTOPEN_QUEUE: Final = 1024
"""Connections with data in their SYN that may wait to be accepted."""
_FASTOPEN_SYSCTL: Final = "/proc/sys/net/ipv4/tcp_fastopen"
_FASTOPEN_DIAL, _FASTOPEN_LISTEN = 1, 2
"""Bits of that file (Linux, ip-sysctl): setting the option succeeds without them, and does nothing."""


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """Options of TCP sockets, of those accepted or of those dialled. Times are seconds; 0 turns one off."""

    keep_alive: int = 15
    """Idle seconds before the first probe, and between probes: shadowsocks-rust's default."""
    user_timeout: int = 240
    """Seconds unacknowledged data may wait (RFC 5482): with keep-alive, a vanished peer is gone in five minutes."""
    no_delay: bool = False
    """TCP_NODELAY: segments are not held back for the acknowledgement of the last one."""
    send_buffer: int = 0
    """Bytes of SO_SNDBUF; Linux gives twice that, at most net.core.wmem_max. 0: the system sizes it as it goes."""
    receive_buffer: int = 0
    """Bytes of SO_RCVBUF, likewise."""
    fast_open: bool = False
    """TCP Fast Open (RFC 7413): the first payload leaves with the SYN."""
    mptcp: bool = False
    """Multipath TCP (RFC 8684), where the far end has it too."""


@dataclass(frozen=True, slots=True)
class Route:
    """How what is dialled leaves this machine. Empty: as the system's routes say."""

    bind_ipv4: str = ""
    """The source address towards IPv4."""
    bind_ipv6: str = ""
    """The source address towards IPv6; it may carry a zone."""
    interface: str = ""
    """SO_BINDTODEVICE."""
    fwmark: int = 0
    """SO_MARK, for the system's rules; setting it takes CAP_NET_ADMIN."""


SYSTEM_ROUTE: Final = Route()


def stream_socket(family: int, options: TcpOptions) -> SocketType:
    """Return a new TCP socket that does not block, over several paths where that is wanted."""
    sock = SocketType(family, SOCK_STREAM | NONBLOCK, _IPPROTO_MPTCP if options.mptcp else 0)
    if not NONBLOCK:  # pragma: no cover - systems without SOCK_NONBLOCK
        sock.setblocking(False)
    return sock


def apply_early(sock: SocketType, options: TcpOptions) -> None:
    """Set what must be set before a connect or a listen. Each option that is off costs no call."""
    if options.no_delay:
        sock.setsockopt(IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if options.send_buffer:
        sock.setsockopt(SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer)
    if options.receive_buffer:
        sock.setsockopt(SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer)


def apply_late(sock: SocketType, options: TcpOptions) -> None:
    """Set what matters to those that live: a connection that is over soon never pays for it."""
    if options.keep_alive:
        sock.setsockopt(SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if LINUX:
            sock.setsockopt(IPPROTO_TCP, socket.TCP_KEEPIDLE, options.keep_alive)
            sock.setsockopt(IPPROTO_TCP, socket.TCP_KEEPINTVL, options.keep_alive)
    if options.user_timeout and LINUX and not options.mptcp:  # whose sockets refuse it (Linux 6.18)
        sock.setsockopt(IPPROTO_TCP, socket.TCP_USER_TIMEOUT, options.user_timeout * 1000)


def apply_listening(sock: SocketType, options: TcpOptions) -> None:
    """Set everything on a socket that will listen: what it accepts inherits all of it (Linux)."""
    apply_early(sock, options)
    apply_late(sock, options)
    if options.fast_open:
        sock.setsockopt(IPPROTO_TCP, socket.TCP_FASTOPEN, _FASTOPEN_QUEUE)


def defer_connect(sock: SocketType) -> None:
    """Let the connect wait for the first send where the far end gave us a cookie. Whoever asks must send."""
    sock.setsockopt(IPPROTO_TCP, _FASTOPEN_CONNECT, 1)


def apply_route(sock: SocketType, towards: int, route: Route) -> None:
    """Let what a socket sends leave by a route; `towards` is the family of its targets, 0 where they are of both."""
    if route.interface:
        sock.setsockopt(SOL_SOCKET, _linux("SO_BINDTODEVICE"), route.interface.encode() + b"\0")
    if route.fwmark:
        sock.setsockopt(SOL_SOCKET, _linux("SO_MARK"), route.fwmark)
    source = route.bind_ipv6 if towards == AF_INET6 else route.bind_ipv4 if towards == AF_INET else ""
    if source:
        if sock.family == AF_INET6 and ":" not in source:
            source = f"{MAPPED_TEXT}{source}"  # a socket of both families
        if LINUX and sock.type == SOCK_STREAM:
            sock.setsockopt(IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        sock.bind(socket_address(source, 0))


def _linux(name: str) -> int:
    """Return an option that Linux alone has."""
    option = getattr(socket, name, None)
    if not isinstance(option, int):
        raise OSError(0, "this system does not have it")
    return option


def socket_address(ip: str, port: int) -> tuple[Any, ...]:
    """Return the address of an IP text for a socket: with the number of its zone, where it names one.

    Raises:
        OSError: there is no interface of that name.
    """
    base, scope = split_zone(ip)
    return (base, port, 0, scope) if scope else (ip, port)


def split_zone(ip: str) -> tuple[str, int]:
    """Return an IP text without its zone, and the number of the zone (RFC 4007 §11); 0 where it has none.

    Raises:
        OSError: there is no interface of that name.
    """
    base, _, zone = ip.partition("%")
    return base, (int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)) if zone else 0


def lacks(accepted: TcpOptions, dialled: TcpOptions, routes: dict[str, Route]) -> Iterator[tuple[str, str]]:
    """Try every option; yield the keys of those that cannot be had, each with why and what to do.

    Args:
        accepted: the options of listeners.
        dialled: the options of what is dialled.
        routes: the ways out, by the path of whoever has them: "" or "servers[0]".
    """
    for options, listens in ((accepted, True), (dialled, False)):
        if options.mptcp and (why := _fails_mptcp(options)):
            yield "mptcp", f"this system has no Multipath TCP: {why}; leave it out"
            return
        if options.fast_open and (why := _fails_fast_open(listens)):
            yield "fast_open", f"this system has no TCP Fast Open: {why}; leave it out"
            return
    for path, route in routes.items():
        for key, family, part in (
            ("outbound_bind_interface", AF_INET, Route(interface=route.interface)),
            ("outbound_fwmark", AF_INET, Route(fwmark=route.fwmark)),
            ("outbound_bind_addr", AF_INET, Route(bind_ipv4=route.bind_ipv4)),
            ("outbound_bind_addr", AF_INET6, Route(bind_ipv6=route.bind_ipv6)),
        ):
            if part != SYSTEM_ROUTE and (why := _fails_route(family, part)):
                yield f"{path}.{key}".lstrip("."), why


def _fails_mptcp(options: TcpOptions) -> str:
    try:
        stream_socket(AF_INET, options).close()
    except OSError as error:
        return str(error.strerror)
    return ""


def _fails_fast_open(listens: bool) -> str:
    with socket.socket(AF_INET, SOCK_STREAM) as sock:
        try:
            if listens:
                sock.setsockopt(IPPROTO_TCP, socket.TCP_FASTOPEN, _FASTOPEN_QUEUE)
            else:
                defer_connect(sock)
        except OSError as error:
            return str(error.strerror)
        except AttributeError:
            return "its sockets do not know the option"
    return ""


def _fails_route(family: int, route: Route) -> str:
    with socket.socket(family, SOCK_DGRAM) as sock:
        try:
            apply_route(sock, family, route)
        except PermissionError:
            return "this takes the capability CAP_NET_ADMIN (for an interface, CAP_NET_RAW); start with it, or as root"
        except OSError as error:
            if route.interface:
                return f"there is no usable interface {route.interface} here: {error.strerror}"
            source = route.bind_ipv4 or route.bind_ipv6
            if source:
                return f"{source} is no address of this machine: {error.strerror}"
            return f"{error.strerror}"
    return ""


def fast_open_is_off(*, listens: bool, dials: bool) -> str:
    """Return what to do where the system has TCP Fast Open switched off; empty where nothing is to be done."""
    wanted = _FASTOPEN_LISTEN * listens | _FASTOPEN_DIAL * dials
    try:
        with open(_FASTOPEN_SYSCTL, encoding="ascii") as file:
            bits = int(file.read())
    except (OSError, ValueError):
        return ""
    if bits & wanted == wanted:
        return ""
    return (
        f"TCP Fast Open is switched off in this system; switch it on: sysctl -w net.ipv4.tcp_fastopen={bits | wanted}"
    )


if sys.platform == "win32":  # pragma: no cover - no way to ask

    def unsent(sock: SocketType) -> int:
        """Return 0: the system does not tell."""
        return 0

else:
    import termios
    from fcntl import ioctl

    def unsent(sock: SocketType) -> int:
        """Return how many sent bytes the peer has not acknowledged (SIOCOUTQ); 0 where the system does not tell."""
        try:
            return int.from_bytes(ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        except OSError:
            return 0
