"""Clients of ports that users share: what one moves who has a key, and that nobody moves anything who has none."""

from __future__ import annotations

import contextlib
from typing import Final

import pytest

from tests.echo import echo
from tests.interop.streams import SocksError, Target, dial, read_to_end
from tests.interop.test_interop import BULK_SAMPLE, EDGES, download, duplex, silent_client, upload
from tests.interop.test_udp import sizes
from tests.peers import HOST, Pair, Program
from tests.socks_udp import associate

SAMPLE: Final = (1, 65535)
"""Of the sizes that are sent."""


def moves_all(pair: Pair, *, whole: bool, empty_up: bool = True) -> None:
    """Move streams of some sizes, or `whole` of all, both ways, and datagrams."""
    silent_client(pair)
    for size in EDGES if whole else SAMPLE:
        upload(pair, size)
        download(pair, size)
    duplex(pair, BULK_SAMPLE)
    sizes(pair, empty_up)


def moves_nothing(local: Program) -> None:
    """Try a stream and a datagram: neither comes to its target, or has an answer."""
    with Target(read_to_end) as target, echo() as other:
        with (
            contextlib.suppress(ConnectionError, TimeoutError, EOFError, SocksError),
            dial(local.address, HOST, target.port, early=b"x") as sock,
        ):
            sock.settimeout(0.5)
            assert read_to_end(sock) == b""
        with associate(local.address) as asking:
            asking.send(b"x" * 100, other.address)
            with pytest.raises(TimeoutError):
                asking.receive(0.5)
        assert target.accepted == 0
