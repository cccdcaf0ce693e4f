"""`python -m tests.probes --server libev`: what a prober learns from a server, one line for each thing to learn.

Called by people, to publish a comparison; the tests of this folder hold our own server to the rule. The report
gives, for each class of probe, how the connections ended; classes that end differently can be told apart.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.peers import PEERS, SECRET, missing

from . import table
from .field import SLACK, Trap, post, record
from .prober import Probe, Shot, fire_all

GRACE = 4.0
"""Seconds to watch beyond the deadline before a connection counts as left open."""


def manner(shot: Shot, deadline: float) -> str:
    """How one connection ended, in words that compare."""
    if shot.outcome == "open":
        return "left open"
    word = {"fin": "FIN", "reset": "RST", "data": "DATA"}[shot.outcome]
    if shot.after >= deadline - SLACK:
        return f"{word} at the deadline"
    return f"{word} at once" if shot.after < deadline / 2 else f"{word} before the deadline"


def collect(server: str, method: str, deadline: float, whole: bool) -> tuple[list[Shot], int, int]:
    """Probe one server; returns the shots, the contacts with the target, and how many replays were answered."""
    trap = Trap()
    try:
        with tempfile.TemporaryDirectory() as name, post(server, method, Path(name), deadline) as place:
            made = [*table.made(place.crafter, trap.address, trap.port, whole)]
            recorded = record(place, trap)
            made += [*table.replays(recorded.sent), *table.reflections(recorded.answer)]
            probes = [each for probe in made for each in table.manners(probe)]
            probes += [table.ending(probe) for probe in probes]
            random.Random(0).shuffle(probes)  # noqa: S311 - an order, not a secret
            shots = fire_all([(probe, place.program.address) for probe in probes], deadline + GRACE)
            return shots, trap.count(), sum(shot.outcome == "data" for shot in shots)
    finally:
        trap.close()


def ranges(names: Iterable[Probe]) -> str:
    """Which of a class: a few names, or from the least length to the greatest."""
    sizes = sorted({probe.size for probe in names})
    return f"{sizes[0]}..{sizes[-1]} bytes" if len(sizes) > 1 else f"{sizes[0]} bytes"


def report(shots: Sequence[Shot], deadline: float) -> list[str]:
    """The table of one server and method."""
    rows: dict[tuple[bool, str], dict[str, list[Probe]]] = collections.defaultdict(
        lambda: collections.defaultdict(list)
    )
    for shot in shots:
        rows[shot.probe.ends, shot.probe.kind][manner(shot, deadline)].append(shot.probe)
    lines = []
    for ends in (False, True):
        seen: set[str] = set()
        lines.append("  prober ends first:" if ends else "  prober waits:")
        for (ending, kind), outcomes in sorted(rows.items()):
            if ending == ends:
                seen |= outcomes.keys()
                parts = [f"{how} {len(probes)} ({ranges(probes)})" for how, probes in sorted(outcomes.items())]
                lines.append(f"    {kind:<10} {'; '.join(parts)}")
        lines.append(f"    => {'one behaviour' if len(seen) == 1 else f'{len(seen)} behaviours: distinguishable'}")
    return lines


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.probes", description=__doc__)
    parser.add_argument("--server", choices=sorted(PEERS), default="ours")
    parser.add_argument("--method", action="append", choices=SECRET, help="once or more; default: all it has")
    parser.add_argument("--deadline", type=int, default=5, help="handshake time-out of the server, in seconds")
    parser.add_argument("--whole", action="store_true", help="every length, truncation and flip, not a sample")
    options = parser.parse_args(arguments)
    if reason := missing(options.server):
        print(reason, file=sys.stderr)  # noqa: T201 - a command of its own
        return 69  # EX_UNAVAILABLE
    for method in options.method or [name for name in PEERS[options.server].methods if name in SECRET]:
        shots, contacts, answered = collect(options.server, method, options.deadline, options.whole)
        title = f"{PEERS[options.server].title}, {method}: {len(shots)} probes, deadline {options.deadline} s"
        lines = [title, *report(shots, options.deadline), f"  answered: {answered}; target contacted: {contacts}"]
        print("\n".join(lines), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
