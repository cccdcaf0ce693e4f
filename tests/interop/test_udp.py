"""Datagrams through our server and client and the other programs, every method both sides have, byte for byte.

One test for each cell of server x client x method: a pair of processes is started once and all exchanges go through
it. Each datagram is sent once: loopback loses nothing as long as few are on their way. One pair of two other programs
is there to show that what is asked here can be had.

What other programs do differently:

    program            role     what                                           since
    shadowsocks-rust   server   does not hand an empty payload to the target   seen on 1.25.0
    libev              both     drops datagrams over twice its `mtu`           3.3.5; `tests/peers.py` raises it
"""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path
from typing import Final

import pytest

from tests.echo import ThirdParty, echo, hosts, sink
from tests.peers import PEERS, Pair, run, run_pair
from tests.socks_udp import associate, udp_socket

OURS: Final = (("ours", "ours"), ("ours", "libev"), ("libev", "ours"), ("ours", "rust"), ("rust", "ours"))
"""Server, then client."""
CELLS: Final = (
    *(
        (server, local, method)
        for server, local in OURS
        for method in PEERS[server].methods
        if method in PEERS[local].methods
    ),
    ("rust", "libev", "chacha20-ietf-poly1305"),
)
SAMPLE: Final = (
    ("ours", "ours", "2022-blake3-chacha20-poly1305"),
    ("ours", "ours", "none"),
    ("ours", "libev", "xchacha20-ietf-poly1305"),
    ("libev", "ours", "aes-192-gcm"),
    ("ours", "rust", "2022-blake3-aes-128-gcm"),
    ("ours", "rust", "2022-blake3-chacha20-poly1305"),
    ("rust", "ours", "2022-blake3-aes-256-gcm"),
    ("rust", "ours", "2022-blake3-chacha20-poly1305"),
    ("rust", "ours", "chacha20-ietf-poly1305"),
    CELLS[-1],
)
"""Every pair, every construction of a datagram on either side of the wire."""

NO_EMPTY_UP: Final = frozenset({"rust"})
"""Servers that keep an empty payload to themselves; ours hands it on, as any datagram."""

SIZES: Final = (1, 512, 1300, 1472, 9000, 65_000)
"""A name query, what fits common paths, the largest of Ethernet, a jumbo frame, nearly the largest of UDP."""
CROWD, ROUNDS = 50, 3
BURST: Final = 60
"""So many fit into the smallest receive buffer, whatever their size."""
MODE: Final = {"mode": "tcp_and_udp"}


def sizes(pair: Pair, empty_up: bool) -> None:
    """Every size to an echo of either family; the sender that is reported is the echo's address."""
    for host in hosts():
        with echo(host) as target, associate(pair.local.address) as client:
            for size in (0, *SIZES) if empty_up else SIZES:
                payload = os.urandom(size)
                client.send(payload, target.address)
                assert client.receive() == (payload, target.address), f"{size} bytes, {host}"
                assert target.next()[0] == payload


def burst(pair: Pair) -> None:
    """Many at once, of all sizes and of one: each stays itself, whatever is joined on the way to save calls."""
    draw = random.Random(BURST)  # noqa: S311 - data, no secret
    for lengths in ([draw.randrange(1, 1400) for _ in range(BURST)], [700] * (BURST - 1) + [300]):
        with echo() as target, associate(pair.local.address) as client:
            client.send(b"first", target.address)  # a relay may look something up, and hold what follows
            assert client.receive() == (b"first", target.address)
            payloads = [draw.randbytes(size) for size in lengths]
            for payload in payloads:
                client.send(payload, target.address)
            assert [client.receive() for _ in payloads] == [(payload, target.address) for payload in payloads]


def empty_down(pair: Pair) -> None:
    """An empty answer to a query that was none."""
    with sink() as target, associate(pair.local.address) as client:
        client.send(b"query", target.address)
        target.sock.sendto(b"", target.next()[1])
        assert client.receive() == (b"", target.address)


def names(pair: Pair) -> None:
    """A name is resolved at the far end; the answer comes with the address that sent it."""
    with echo() as target, associate(pair.local.address) as client:
        client.send(b"hello", ("localhost", target.address[1]))
        assert client.receive() == (b"hello", target.address)


def full_cone(pair: Pair) -> None:
    """All targets see one source, and whoever sends there reaches the client under his own address."""
    with (
        echo() as first,
        ThirdParty() as second,
        contextlib.closing(udp_socket(first.address[0])) as stranger,
        associate(pair.local.address) as client,
    ):
        client.send(b"first", first.address)
        assert client.receive() == (b"first", first.address)
        client.send(b"second", second.address)
        assert client.receive() == (b"second", second.third_address)
        source = first.next()[1]
        assert second.next()[1] == source
        stranger.sendto(b"never asked", source)
        assert client.receive() == (b"never asked", stranger.getsockname())


def crowd(pair: Pair) -> None:
    """Many associations at once, each with a source of its own at the target, and each with its own answers."""
    with echo() as target, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(associate(pair.local.address)) for _ in range(CROWD)]
        sources = []
        for number in range(ROUNDS):
            for who, client in enumerate(clients):
                client.send(b"%d from %d" % (number, who), target.address)
            for who, client in enumerate(clients):
                assert client.receive() == (b"%d from %d" % (number, who), target.address)
            sources.append({data.split()[2]: sender for data, sender in (target.next() for _ in clients)})
        assert len(set(sources[0].values())) == CROWD
        assert all(each == sources[0] for each in sources), "a source changed"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "method" not in metafunc.fixturenames:
        return
    cells = CELLS if metafunc.config.getoption("--whole") else SAMPLE
    metafunc.parametrize(("server", "local", "method"), cells, ids=["-".join(cell) for cell in cells])


def test_cell(server: str, local: str, method: str, tmp_path: Path) -> None:
    with run_pair(server, local, method, tmp_path, settings=MODE) as pair:
        sizes(pair, server not in NO_EMPTY_UP)
        burst(pair)
        empty_down(pair)
        names(pair)
        full_cone(pair)
        crowd(pair)


@pytest.mark.parametrize(("server", "local"), [("ours", "ours"), ("ours", "rust"), ("rust", "ours")])
def test_both_families(server: str, local: str, tmp_path: Path) -> None:
    """A server, and a client, that listen on all addresses of both families answer from the one that was asked."""
    if len(hosts()) == 1:
        pytest.skip("this machine has no IPv6")
    method = "2022-blake3-aes-256-gcm"
    with (
        run(server, "server", method, tmp_path, settings={**MODE, "server": "::"}) as far,
        contextlib.ExitStack() as stack,
    ):
        for host in hosts():
            settings = {**MODE, "server": host, "local_address": "::"}
            near = stack.enter_context(run(local, "local", method, tmp_path, server_port=far.port, settings=settings))
            for asked in hosts():
                with associate((asked, near.port)) as client:
                    assert client.relay == (asked, near.port)
                    for target in [stack.enter_context(echo(where)) for where in hosts()]:
                        client.send(b"hello", target.address)
                        assert client.receive() == (b"hello", target.address)
