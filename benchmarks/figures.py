"""Samples and what is made of them: medians, spreads, paired ratios, and the goals. Pure; no clock, no process."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

from .ancestors import RACED
from .old_wire import OLD
from .plan import MIB
from .systems import OURS, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


ANCESTORS: Final = (*RACED, "shadowsocks-libev")


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One line of a table: a work, its case (direction, who ends, ...), a metric and a method."""

    work: str
    case: str
    metric: str
    method: str


@dataclass(frozen=True, slots=True)
class Metric:
    """How a number is shown. Values are stored in base units (seconds, bytes); `scale` turns them into `unit`."""

    title: str
    unit: str
    scale: float
    digits: int


METRICS: Final = {
    "cpu_gb": Metric("server CPU", "s/GB", 1, 3),
    "rate": Metric("speed", "GB/s", 1, 2),
    "load": Metric("load side's core in use", "%", 100, 0),
    "cpu": Metric("server CPU", "us", 1e6, 1),
    "p50": Metric("p50", "us", 1e6, 0),
    "p99": Metric("p99", "us", 1e6, 0),
    "cold_p50": Metric("first byte, each request connects, p50", "ms", 1e3, 1),
    "cold_p99": Metric("first byte, each request connects, p99", "ms", 1e3, 1),
    "warm_p50": Metric("first byte, 8 connections kept ready, p50", "ms", 1e3, 1),
    "warm_p99": Metric("first byte, 8 connections kept ready, p99", "ms", 1e3, 1),
    "left_p50": Metric("what that is of a first byte without, p50", "%", 100, 0),
    "left_p99": Metric("what that is of a first byte without, p99", "%", 100, 0),
    "connections": Metric("connections", "1/s", 1, 0),
    "p50_growth": Metric("p50, times that without hanging look-ups", "x", 1, 2),
    "p99_growth": Metric("p99, times that without hanging look-ups", "x", 1, 2),
    "base": Metric("base", "MiB", 1 / (1 << 20), 1),
    "base_own": Metric("base, anonymous memory only", "MiB", 1 / (1 << 20), 1),
    "each": Metric("a connection", "bytes", 1, 0),
    "anonymous": Metric("a connection, anonymous memory only", "bytes", 1, 0),
    "trips": Metric("round trips", "1/s", 1, 0),
    "packets": Metric("arrived", "packets/s", 1, 0),
    "offered": Metric("offered", "packets/s", 1, 0),
    "session": Metric("a session", "bytes", 1, 0),
    "own": Metric("a session, anonymous memory only", "bytes", 1, 0),
    "growth": Metric("growth of resident memory", "KiB", 1 / 1024, 0),
    "answers": Metric("answers", "datagrams", 1, 0),
    "loss": Metric("loss", "%", 100, 2),
    "busy": Metric("server's core in use by it", "%", 100, 0),
    "start": Metric("exec to listening", "s", 1, 3),
    "all": Metric("exec to all ports listening", "s", 1, 2),
    "resident": Metric("resident memory", "MiB", 1 / (1 << 20), 1),
    "shared_out": Metric("memory, what is shared counted by its share (PSS)", "MiB", 1 / (1 << 20), 1),
    "rest": Metric("its core in use while nothing happens", "%", 100, 3),
    "cpu_growth": Metric("server CPU of two workers, times that of one", "x", 1, 2),
    "cpu_counted": Metric("server CPU, times that where nobody has a name", "x", 1, 2),
    "reached": Metric("connections held at the end", "", 1, 0),
    "setup": Metric("setting up a cipher", "us", 1e6, 2),
    "handshake": Metric("finding whose a handshake is, and the rest of it without sockets", "us", 1e6, 1),
    "pause": Metric("longest pause of everybody else during ten searches", "ms", 1e3, 2),
    "user_memory": Metric("memory of a user in the table, his key and name not counted", "bytes", 1, 0),
    "deadline": Metric("putting off one deadline", "us", 1e6, 2),
    "reading": Metric("reading the file", "ms", 1e3, 1),
    "lookup": Metric("a look-up", "us", 1e6, 2),
    "expressions": Metric("a look-up among regular expressions of no common shape", "us", 1e6, 1),
}


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of some samples."""

    middle: float
    least: float
    most: float
    count: int


def spread(values: Iterable[float]) -> Spread | None:
    ordered = sorted(values)
    return Spread(median(ordered), ordered[0], ordered[-1], len(ordered)) if ordered else None


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that `percent` of all do not exceed (nearest rank: a value that did occur)."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values, no percentile")
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(0, int(rank) - 1)]


@dataclass(slots=True)
class Results:
    """Every sample of a run."""

    samples: dict[Row, dict[str, dict[int, float]]] = field(default_factory=dict)
    """Row -> system -> round -> value."""
    failures: dict[str, str] = field(default_factory=dict)
    """What was tried -> how it failed, the first time."""
    foreign: list[float] = field(default_factory=list)
    """For each sample of CPU the share of the server's core that went to anybody else."""

    def add(self, row: Row, system: str, turn: int, value: float) -> None:
        self.samples.setdefault(row, {}).setdefault(system, {})[turn] = value

    def fail(self, what: str, why: str) -> None:
        self.failures.setdefault(what, why)

    def rows(self, work: str, case: str | None = None, metric: str | None = None) -> list[Row]:
        """In the order they were first measured."""
        return [
            row
            for row in self.samples
            if row.work == work and case in (None, row.case) and metric in (None, row.metric)
        ]

    def spread(self, row: Row, system: str) -> Spread | None:
        return spread(self.samples.get(row, {}).get(system, {}).values())

    def ratio(self, row: Row, system: str, against: str) -> Spread | None:
        """Of one system to another, taken round by round: what slowed a whole round falls out of it."""
        systems = self.samples.get(row, {})
        own, other = systems.get(system, {}), systems.get(against, {})
        return spread(own[turn] / other[turn] for turn in own if other.get(turn))


def is_old(method: str) -> bool:
    return method in OLD


def is_2022(method: str) -> bool:
    return method.startswith("2022-")


def is_aead(method: str) -> bool:
    return not is_2022(method) and not is_old(method)


def is_judged_in_bulk(method: str) -> bool:
    """XChaCha20 has no fast code in OpenSSL: reported only. What is old has goals of its own."""
    return not method.startswith("xchacha20") and not is_old(method)


def every(method: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach: at most `limit` times `against`, or, without `against`, at most `limit` in base units.

    `against` may be several: then each of them that did the same is to be beaten.
    """

    text: str
    work: str
    metric: str
    limit: float
    against: str | tuple[str, ...] | None = None
    applies: Callable[[str], bool] = every


GOALS: Final = (
    Goal("bulk CPU a GB ≤ 0.95 x shadowsocks-rust", "bulk", "cpu_gb", 0.95, REFERENCE, is_judged_in_bulk),
    Goal("bulk CPU a GB ≤ 0.6 x shadowsocks-libev", "bulk", "cpu_gb", 0.6, "shadowsocks-libev", is_judged_in_bulk),
    Goal("short connection CPU, AEAD ≤ 1.5 x shadowsocks-rust", "short", "cpu", 1.5, REFERENCE, is_aead),
    Goal("short connection CPU, 2022 ≤ 1.3 x shadowsocks-rust", "short", "cpu", 1.3, REFERENCE, is_2022),
    Goal("short connection CPU ≤ 0.75 x sing-box", "short", "cpu", 0.75, "sing-box"),
    Goal("idle connection ≤ 7,500 bytes", "idle", "each", 7500),
    Goal("memory after start ≤ 34 MiB", "idle", "base", 34 * (1 << 20)),
    Goal("listening in ≤ 0.25 s", "start", "start", 0.25),
    Goal("stalled unauthenticated connection ≤ 6,000 bytes", "stalled", "each", 6000),
    Goal("p99 ping-pong on an open connection ≤ 1.5 x shadowsocks-rust", "ping", "p99", 1.5, REFERENCE),
    Goal("first byte over 50 ms with warm connections: one round trip of two spared, p50", "pool", "left_p50", 0.6),
    Goal("first byte over 50 ms with warm connections: one round trip of two spared, p99", "pool", "left_p99", 0.7),
    Goal("UDP round trip CPU, 2022 ≤ 1.5 x shadowsocks-rust", "udp-echo", "cpu", 1.5, REFERENCE, is_2022),
    Goal("UDP round trip CPU, AEAD ≤ 2.2 x shadowsocks-rust", "udp-echo", "cpu", 2.2, REFERENCE, is_aead),
    Goal("UDP round trip CPU, AEAD ≤ 1.3 x shadowsocks-libev", "udp-echo", "cpu", 1.3, "shadowsocks-libev", is_aead),
    Goal("idle UDP session ≤ 8 KiB", "udp-idle", "session", 8192),
    Goal("UDP sessions that send one packet a second: no loss", "udp-minute", "loss", 0),
    Goal("random datagrams: RSS + ≤ 1 MiB", "udp-random", "growth", 1 << 20),
    Goal("random datagram ≤ 30 us", "udp-random", "cpu", 30e-6),
    Goal("random datagrams: no answer", "udp-random", "answers", 0),
    Goal("500 hanging look-ups: p99 of connections to addresses ≤ 1.1 times", "names-dead", "p99_growth", 1.1),
    Goal("access list: 100,000 rules are read in ≤ 1 s", "acl", "reading", 1.0),
    Goal("access list: a look-up among 100,000 rules ≤ 5 us", "acl", "lookup", 5e-6),
    Goal("AEAD port of many users: nobody waits longer than 5 ms for a search", "users", "pause", 0.005),
    Goal("bulk CPU a GB ≤ each ancestor's", "bulk", "cpu_gb", 1.0, ANCESTORS, is_old),
    Goal("short connection CPU ≤ each ancestor's", "short", "cpu", 1.0, ANCESTORS, is_old),
    Goal("ping-pong CPU ≤ each ancestor's", "ping", "cpu", 1.0, ANCESTORS, is_old),
    Goal("idle connection ≤ each ancestor's", "idle", "each", 1.0, ANCESTORS, is_old),
    Goal("memory after start ≤ each ancestor's", "idle", "base", 1.0, ANCESTORS, is_old),
    Goal("listening ≤ each ancestor's time", "start", "start", 1.0, ANCESTORS, is_old),
    Goal("UDP round trip CPU ≤ each ancestor's", "udp-echo", "cpu", 1.0, ANCESTORS, is_old),
    Goal("2,000 ports: all listen in < 3 s", "ports", "all", 3.0),
    Goal("2,000 ports: resident ≤ 60 MiB", "ports", "resident", 60 * MIB),
    Goal("2,000 ports: idle CPU below one tick in 20 s", "ports", "rest", 0.01 / 20),
    Goal("two workers: CPU a connection and a GB ≤ 1.05 x that of one", "workers", "cpu_growth", 1.05),
    Goal("accounts and limits: CPU a connection and a GB ≤ 1.03 x that without", "accounts", "cpu_counted", 1.03),
    Goal("9,500 relayed connections in ≤ 100 MiB", "crowd", "resident", 100 * MIB),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one row says about one goal: the ratio, or the figure in base units where there is nothing to compare."""

    goal: Goal
    row: Row
    value: float
    against: str | None = None
    """Which of the goal's peers this compares with."""

    @property
    def met(self) -> bool:
        return self.value <= self.goal.limit


def judge(goal: Goal, results: Results, system: str = OURS) -> list[Verdict]:
    """One verdict for each row the goal speaks of and that was measured on both sides, and each peer; worst first."""
    peers = goal.against if isinstance(goal.against, tuple) else (goal.against,)
    verdicts = []
    for row in results.rows(goal.work, metric=goal.metric):
        if not goal.applies(row.method):
            continue
        for peer in peers:
            seen = results.spread(row, system) if peer is None else results.ratio(row, system, peer)
            if seen is not None:
                verdicts.append(Verdict(goal, row, seen.middle, peer))
    return sorted(verdicts, key=lambda verdict: -verdict.value)
