"""Sockets that the process was started with: systemd's socket activation (sd_listen_fds(3)).

    $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES -> descriptors 3, 4, … -> GivenSockets

The variables are taken out of the environment: a program that we start is not meant by them.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from socket import SO_ACCEPTCONN, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, SocketType
from typing import Final

from ..service.given import GivenSockets

log = logging.getLogger(__name__)

FIRST: Final = 3
"""The number of the first descriptor; the others follow."""
COUNT_MAX: Final = 4096
"""Descriptors at most, so that a wrong number costs no time: as many as systemd's manager passes to one service."""

_OWNER: Final = "LISTEN_PID"
_COUNT: Final = "LISTEN_FDS"
_NAMES: Final = "LISTEN_FDNAMES"


def given_sockets(environ: MutableMapping[str, str] | None = None, first: int = FIRST) -> GivenSockets:
    """Take the sockets that the environment tells of; the second call finds none.

    What is no socket that a service can use is told and closed.
    """
    environ = os.environ if environ is None else environ
    owner, text, names = (environ.pop(name, "") for name in (_OWNER, _COUNT, _NAMES))
    if owner != str(os.getpid()) or not text:
        return GivenSockets()
    count = int(text) if text.isascii() and text.isdecimal() else 0
    if not 0 < count <= COUNT_MAX:
        log.warning("%s is %r, and no number of sockets; none was taken", _COUNT, text)
        return GivenSockets()
    called = names.split(":") if names else []
    sockets = []
    for number in range(count):
        name = called[number] if number < len(called) else ""
        sock = _take(first + number, name)
        if sock is not None:
            sockets.append(sock)
    return GivenSockets(sockets)


def _take(descriptor: int, name: str) -> SocketType | None:
    """Return the socket with a number; None where there is none of use, which is told."""
    sock = None
    try:
        os.set_inheritable(descriptor, False)
        sock = SocketType(fileno=descriptor)
        why = _unfit(sock)
    except OSError as error:
        why = f"it is no socket: {error.strerror}"
    if not why:
        return sock
    log.warning("descriptor %d (%s) was given to this process, and closed: %s", descriptor, name or "no name", why)
    with suppress(OSError):
        if sock is None:
            os.close(descriptor)
        else:
            sock.close()
    return None


def _unfit(sock: SocketType) -> str:
    """Return why no service can use a socket; empty where one can."""
    if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type in (SOCK_STREAM, SOCK_DGRAM):
        if sock.type == SOCK_STREAM and not sock.getsockopt(SOL_SOCKET, SO_ACCEPTCONN) and _is_connected(sock):
            return "it is one connection; write Accept=no in the .socket unit"
        if not sock.getsockname()[1]:
            return "it is not bound to a port"
        return ""
    if sock.family == socket.AF_UNIX and sock.type == SOCK_DGRAM:
        return "" if sock.getsockname() else "it has no name"
    return "it is neither TCP, nor UDP, nor a Unix socket for datagrams (which a manager's is)"


def _is_connected(sock: SocketType) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
