"""What an access list of ours costs: to read it, and to ask it about a name or an address.

No server and no peer: nobody else's lists can be asked from outside. Half of the rules are names with all below them
(`||h12.example.com`), half are networks. Regular expressions of no common shape have rows of their own: Python tries
them one after the other.
"""

from __future__ import annotations

import random
import re
import time
from typing import TYPE_CHECKING, Final, Protocol

from .figures import Results, Row
from .load import quiet
from .systems import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WORK: Final = "acl"
COUNTS: Final = (10, 1_000, 100_000)
EXPRESSIONS: Final = (10, 100, 1_000)
ASKED: Final = 2_000
"""Different names and addresses, so that not all of them stay in a cache of the processor."""
TIMES: Final = 5
_NO_METHOD: Final = "any"
_SEED: Final = 1


class Bench(Protocol):
    """What is taken over from a run."""

    results: Results

    @property
    def say(self) -> Callable[[str], None]: ...


def measure(bench: Bench, turn: int) -> None:
    """All of one round."""
    began = time.monotonic()
    for count in COUNTS:
        for case, metric, value in measure_rules(count):
            bench.results.add(Row(WORK, f"{count:>7,} {case}", metric, _NO_METHOD), OURS, turn, value)
    for count in EXPRESSIONS:
        for case, metric, value in measure_expressions(count):
            bench.results.add(Row(WORK, f"{count:>7,} {case}", metric, _NO_METHOD), OURS, turn, value)
    bench.say(f"round {turn + 1}  {WORK}  {time.monotonic() - began:.1f} s")


def measure_rules(count: int) -> Iterator[tuple[str, str, float]]:
    """Yield (case, metric, seconds) of a list of that many names and networks."""
    from shadesocks.proxy.acl_file import parse_acl

    chance = random.Random(_SEED)  # noqa: S311 - the same list in each run
    names = [f"h{number}.{chance.choice('abc')}.example.com" for number in range(count - count // 2)]
    networks = [
        f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}" for _ in range(count // 2)
    ]
    text = "\n".join(["[outbound_block_list]", *map("||{}".format, names), *map("{}/28".format, networks)])
    began = time.perf_counter()
    acl = parse_acl(text, "bench")
    yield "rules", "reading", time.perf_counter() - began

    inside = [bytes(map(int, chance.choice(networks).split("."))) for _ in range(ASKED)]
    outside = [b"\x0b" + chance.randbytes(3) for _ in range(ASKED)]
    hits = [f"www.{chance.choice(names)}" for _ in range(ASKED)]
    misses = [f"www.h{number}.example.org" for number in range(ASKED)]
    assert acl.outbound_host(hits[0]) is acl.outbound_ip(inside[0]) is False
    assert acl.outbound_host(misses[0]) is acl.outbound_ip(outside[0]) is None
    yield "rules, a name below one of them", "lookup", _each(acl.outbound_host, hits)
    yield "rules, another name", "lookup", _each(acl.outbound_host, misses)
    yield "rules, an address within", "lookup", _each(acl.outbound_ip, inside)
    yield "rules, another address", "lookup", _each(acl.outbound_ip, outside)


def measure_expressions(count: int) -> Iterator[tuple[str, str, float]]:
    """Yield (case, metric, seconds) of a list of that many regular expressions that are searched for anywhere."""
    from shadesocks.proxy.acl_file import parse_acl

    chance = random.Random(_SEED)  # noqa: S311 - the same list in each run
    words = ["".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(count)]
    text = "\n".join(["[outbound_block_list]", *(f"{word}[0-9]*\\.(com|net)" for word in words)])
    re.purge()  # it keeps what the round before compiled
    began = time.perf_counter()
    acl = parse_acl(text, "bench")
    yield "expressions", "reading", time.perf_counter() - began

    misses = [f"www.h{number}.example.org" for number in range(ASKED // 4)]
    assert acl.outbound_host(f"{words[-1]}1.com") is False
    assert acl.outbound_host(misses[0]) is None
    yield "expressions, a name that none matches", "expressions", _each(acl.outbound_host, misses)


def _each(ask: Callable[[str], object] | Callable[[bytes], object], asked: Sequence[str] | Sequence[bytes]) -> float:
    """Return the seconds of one question, of the fastest pass: what is slower was slowed by something else."""
    passes = []
    with quiet():
        for _ in range(TIMES):
            began = time.perf_counter()
            for what in asked:
                ask(what)  # type: ignore[arg-type]  # names are asked about names, addresses about addresses
            passes.append(time.perf_counter() - began)
    return min(passes) / len(asked)
