"""What a user types: dig asks a name server through the proxy.

dig speaks no SOCKS, and wrappers that are preloaded let local targets go direct without a word. So a forwarder of
our own stands before the proxy: what dig sends it goes into the association as it is, and the answer back. That the
proxy was used is asserted, not hoped: the name server saw the server's socket, and the forwarder counted.
"""

from __future__ import annotations

import selectors
import socket
import subprocess
import threading
from pathlib import Path
from typing import Final

import pytest

from tests.echo import HOST, DnsServer, hosts
from tests.interop.streams import LIMIT
from tests.peers import need_tool, ports_of, run_pair
from tests.socks_udp import Address, associate, udp_socket

from .test_udp import MODE

PAIRS: Final = (
    ("ours", "ours", "aes-128-gcm"),
    ("ours", "libev", "aes-256-gcm"),
    ("libev", "ours", "chacha20-ietf-poly1305"),
    ("ours", "rust", "2022-blake3-aes-256-gcm"),
    ("rust", "ours", "2022-blake3-aes-128-gcm"),
    ("rust", "rust", "2022-blake3-aes-128-gcm"),
)
TEXT: Final = 3_000
"""Bytes of a long answer: more than a path carries in one piece, less than the 4,096 dig is told to offer."""


class Forwarder:
    """A UDP port whose datagrams reach one target through a proxy, for one client at a time."""

    def __init__(self, proxy: Address, target: Address) -> None:
        self._association = associate(proxy)
        self._target = target
        self._sock = udp_socket(HOST)
        self.address: Address = self._sock.getsockname()
        self.up = self.down = 0
        self._waker, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="forwarder")
        self._thread.start()

    def _serve(self) -> None:
        client: Address | None = None
        with selectors.DefaultSelector() as selector:
            for sock in (self._sock, self._association.sock, self._waker):
                selector.register(sock, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._waker in ready:
                    return
                if self._sock in ready:
                    query, client = self._sock.recvfrom(1 << 16)
                    self._association.send(query, self._target)
                    self.up += 1
                elif client is not None:
                    self._sock.sendto(self._association.receive()[0], client)
                    self.down += 1

    def close(self) -> None:
        self._wake.send(b".")
        self._thread.join(LIMIT)
        self._association.close()
        for sock in (self._sock, self._waker, self._wake):
            sock.close()

    def __enter__(self) -> Forwarder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(dig: str, server: Address, *question: str) -> str:
    """What dig prints; a datagram may be asked for again, as by any resolver."""
    command = (dig, f"@{server[0]}", "-p", str(server[1]), "+short", "+notcp", "+tries=3", "+time=10", *question)
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    return shown.stdout.strip()


@pytest.mark.parametrize(("server", "local", "method"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_dig(server: str, local: str, method: str, tmp_path: Path) -> None:
    """An address, from a name server that is reached by IPv4, by IPv6 and by name; and an answer that is long."""
    dig = need_tool("dig")
    with run_pair(server, local, method, tmp_path, settings=MODE) as pair:
        for host in (*hosts(), "localhost"):
            with (
                DnsServer(HOST if host == "localhost" else host, text=TEXT) as dns,
                Forwarder(pair.local.address, (host, dns.address[1])) as forwarder,
            ):
                assert ask(dig, forwarder.address, "shade.example", "A") == DnsServer.ADDRESS
                text = ask(dig, forwarder.address, "+bufsize=4096", "shade.example", "TXT")
                assert text.replace('"', "").replace(" ", "") == "t" * TEXT
                _, source = dns.next()
                assert source[1] in ports_of(pair.server.pid, "udp"), f"{source} is no socket of the server"
                assert forwarder.up >= 2
                assert forwarder.down >= 2
