"""What a prober learns from our server: nothing, whatever it sends, until one deadline that all share.

Each test runs a server for each method at once and mixes their probes, so that the waiting is shared.
`make test` takes a sample of the long rows, `--whole` every length, truncation and flip.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.peers import SECRET, need

from . import table
from .field import Post, Trap, check, post, settle
from .prober import Probe

DEADLINE, DEADLINE_SAMPLE = 8.0, 3.0
"""Handshake time-out of the servers under probe: long enough to say everything, short enough to wait for."""
BYTEWISE_MAX: Final = 4096
"""Longest probe that goes byte by byte in a sample."""


@contextlib.contextmanager
def posts(folder: Path, deadline: float) -> Iterator[list[Post]]:
    need("ours")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(post("ours", method, folder, deadline)) for method in SECRET]


def mixed(rows: list[list[Probe]], places: list[Post]) -> list[tuple[Probe, tuple[str, int]]]:
    """One of each row in turn, so that no server gets all its work at once."""
    turns = itertools.zip_longest(*rows)
    return [
        (probe, place.program.address) for turn in turns for probe, place in zip(turn, places, strict=True) if probe
    ]


def fill(places: list[Post], trap: Trap, whole: bool) -> list[tuple[Probe, tuple[str, int]]]:
    """The table for every server, both manners, in an order that no class keeps to itself."""
    rows = []
    for place in places:
        probes = [
            each
            for probe in table.made(place.crafter, trap.address, trap.port, whole)
            for each in table.manners(probe)
            if whole or not each.bytewise or each.size <= BYTEWISE_MAX
        ]
        random.Random(place.method).shuffle(probes)  # noqa: S311 - an order, not a secret
        rows.append(probes)
    return mixed(rows, places)


@pytest.mark.timeout(1800)
def test_nothing_happens_before_the_deadline(tmp_path: Path, whole: bool) -> None:
    deadline = DEADLINE if whole else DEADLINE_SAMPLE
    with contextlib.closing(Trap()) as trap, posts(tmp_path, deadline) as places:
        check("ours", settle(fill(places, trap, whole), deadline), deadline)
        assert trap.count() == 0


@pytest.mark.timeout(1800)
def test_who_ends_first_gets_end_of_file_at_once(tmp_path: Path, whole: bool) -> None:
    deadline = DEADLINE if whole else DEADLINE_SAMPLE
    with contextlib.closing(Trap()) as trap, posts(tmp_path, deadline) as places:
        probes = [(table.ending(probe), address) for probe, address in fill(places, trap, whole)]
        check("ours", settle(probes, deadline), deadline)
        assert trap.count() == 0
