"""Results as Markdown, which is also what the terminal gets. Names no path and no host."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from .figures import GOALS, METRICS, Metric, Results, Row, Spread, is_old, judge, spread
from .systems import OURS, REFERENCE, Found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .plan import Plan

HEADINGS = {
    "bulk": "Bulk",
    "short": "Short connections",
    "ping": "Ping-pong on an open connection",
    "idle": "Idle connections",
    "stalled": "Stalled connections that never authenticate",
    "start": "Start",
    "ports": "Two thousand ports",
    "crowd": "Many connections in one process",
    "pool": "Warm connections through a link of 50 ms",
    "workers": "Two workers",
    "names-cached": "Names that are known",
    "names-uncached": "Names that must be looked up",
    "names-10000": "Names that are looked up in 50 ms",
    "names-dead": "Name servers that are dead",
    "udp-echo": "UDP: round trips",
    "udp-ping": "UDP: one round trip at a time",
    "udp-oneway": "UDP: one way, 1,300 bytes",
    "udp-idle": "UDP: idle sessions",
    "udp-minute": "UDP: one packet a second each",
    "udp-random": "UDP: random datagrams",
    "acl": "Access lists",
    "users": "Many users on one AEAD port",
    "accounts": "Accounts, limits, a store",
    "parts": "Parts that the ancestors praised in theirs",
}
OLD_HEADINGS = {
    "bulk": "bulk",
    "short": "short connections",
    "ping": "ping-pong on an open connection",
    "idle": "idle connections",
    "start": "start",
    "ports": "two thousand ports",
    "crowd": "many connections in one process",
    "udp-echo": "UDP round trips",
}
WITHOUT_RATIO = (
    "load",
    "busy",
    "offered",
    "loss",
    "growth",
    "answers",
    "p50_growth",
    "p99_growth",
    "cpu_growth",
    "cpu_counted",
    "rest",
    "reached",
)
"""Metrics that say how a sample went rather than how well."""
TCP = ("bulk", "short", "ping")
NAMES = ("names-cached", "names-uncached", "names-10000")
UDP = ("udp-echo", "udp-ping", "udp-oneway")


def render(
    results: Results, systems: Sequence[Found], missing: Mapping[str, str], plan: Plan, noise: Sequence[str]
) -> str:
    """The whole report."""
    names = [found.name for found in systems]
    parts = [
        "# Benchmarks",
        "Made by `make bench`; every number is of one run, side by side. Median of the rounds, in brackets the least "
        f"and the greatest, and after x the ratio to {REFERENCE} (median of the ratios of each round). "
        "Beside the ancestors, who speak the old methods, x is our figure as a multiple of theirs. "
        "Read the ratios: machines differ. How it is measured stands in `benchmarks/README.md`.",
        "## Goals\n\n" + goals(results),
    ]
    for work, heading in HEADINGS.items():
        tables = work_tables(results, work, names)
        if tables:
            parts.append(f"## {heading}\n\n" + "\n\n".join(tables))
    for work, heading in OLD_HEADINGS.items():
        tables = work_tables(results, work, names, old=True)
        if tables:
            parts.append(f"## Beside the ancestors: {heading}\n\n" + "\n\n".join(tables))
    parts.append("## Circumstances\n\n" + circumstances(results, systems, missing, plan, noise))
    return "\n\n".join(parts) + "\n"


def goals(results: Results) -> str:
    """One line for each goal, its worst row named, and the other rows that miss it."""
    lines = ["| goal | worst | where | rows met | |", "|---|---|---|---|---|"]
    for goal in GOALS:
        verdicts = judge(goal, results)
        if not verdicts:
            lines.append(f"| {goal.text} | | | | not measured |")
            continue
        worst = verdicts[0]
        met = sum(verdict.met for verdict in verdicts)
        shown = f"{worst.value:.2f} x" if goal.against else _number(METRICS[goal.metric], worst.value)
        state = "met" if met == len(verdicts) else "**missed**"
        place = _place(worst.row) + (f", {worst.against}" if isinstance(goal.against, tuple) else "")
        lines.append(f"| {goal.text} | {shown} | {place} | {met} of {len(verdicts)} | {state} |")
    return "\n".join(lines)


def work_tables(results: Results, work: str, names: Sequence[str], *, old: bool = False) -> list[str]:
    """One table for each metric of a work; a row for each method and case, a column for each system.

    What is old has tables of its own: the ancestors can do nothing else, and hardly anybody else does that.
    """
    tables = []
    cell = _old_cell if old else _cell
    for metric in dict.fromkeys(row.metric for row in results.rows(work)):
        rows = [
            row for row in results.rows(work, metric=metric) if (is_old(row.method) and work in OLD_HEADINGS) is old
        ]
        if not rows:
            continue
        columns = [name for name in names if any(results.spread(row, name) for row in rows)]
        shown = METRICS[metric]
        lines = [
            f"**{shown.title}, {shown.unit}**\n",
            "| method | case | " + " | ".join(columns) + " |",
            "|---" * (len(columns) + 2) + "|",
        ]
        # The base is the same before idle and before stalled connections; once is enough.
        if metric == "base" and work == "stalled":
            continue
        for row in sorted(rows, key=lambda row: row.case):
            cells = [cell(results, row, name) for name in columns]
            lines.append(f"| {row.method} | {row.case} | " + " | ".join(cells) + " |")
        tables.append("\n".join(lines))
    return tables


def circumstances(
    results: Results, systems: Sequence[Found], missing: Mapping[str, str], plan: Plan, noise: Sequence[str]
) -> str:
    lines = [f"- {line}" for line in machine()]
    lines += [f"- {found.name} {found.version}" for found in systems]
    lines += [f"- {name}: {why}" for name, why in missing.items()]
    lines.append(
        f"- {plan.rounds} rounds; a bulk sample {plan.bulk >> 20} MiB, {plan.connections} short connections, "
        f"{plan.pings} round trips, {plan.idle} connections held, {plan.starts} starts; over UDP "
        f"{plan.trips} round trips, {plan.flow} s of a flow, {plan.sessions} sessions, {plan.strangers:,} strangers; "
        f"beside the ancestors at most {plan.memory_rounds} rounds and a quarter of these samples"
    )
    foreign = spread(results.foreign)
    if foreign is not None:
        lines.append(
            f"- share of the server's core that others took during a sample: {foreign.middle:.0%} (median), "
            f"at most {foreign.most:.0%}"
        )
    lines += [f"- {line}" for line in noise]
    lines += [f"- failed: {what}: {_one_line(why)}" for what, why in results.failures.items()]
    return "\n".join(lines)


def machine() -> list[str]:
    """CPU, cores, kernel, Python and the libraries; nothing that names the machine."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    kernel = re.match(r"\d+\.\d+", platform.release())
    libraries = []
    for name in ("cryptography", "blake3"):
        try:
            libraries.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            libraries.append(f"{name} missing")
    return [
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores; the server on one, the load on another",
        f"{platform.system()} {kernel[0] if kernel else ''}, {platform.python_implementation()} "
        f"{platform.python_version()}, {', '.join(libraries)}",
    ]


def _cell(results: Results, row: Row, name: str) -> str:
    seen = results.spread(row, name)
    if seen is None:
        return ""
    text = _spread(METRICS[row.metric], seen)
    if name == REFERENCE or row.metric in WITHOUT_RATIO:
        return text
    ratio = results.ratio(row, name, REFERENCE)
    return text if ratio is None else f"{text} x{ratio.middle:.2f}"


def _old_cell(results: Results, row: Row, name: str) -> str:
    """An ancestor's figure, and ours as a multiple of it; why there is none, where it failed."""
    seen = results.spread(row, name)
    if seen is None:
        return _why_not(results, row, name)
    text = _spread(METRICS[row.metric], seen)
    ratio = results.ratio(row, OURS, name)
    bare = name == OURS or row.metric in WITHOUT_RATIO or ratio is None
    return text if bare or ratio is None else f"{text} x{ratio.middle:.2f}"


def _why_not(results: Results, row: Row, name: str) -> str:
    """What is noted of one that should have a figure here; nothing where it was not asked."""
    for what in (f"{name}, {row.method}", f"{name}, {row.method}, {row.work}"):
        for failed, why in results.failures.items():
            if failed == what or failed.startswith((f"{what}, {row.case}", f"{what} {row.case}")):
                return f"failed: {_one_line(why)[:60]}"
    return ""


def _spread(metric: Metric, seen: Spread) -> str:
    middle = _number(metric, seen.middle, bare=True)
    if seen.count == 1:
        return middle
    return f"{middle} [{_number(metric, seen.least, bare=True)} - {_number(metric, seen.most, bare=True)}]"


def _number(metric: Metric, value: float, *, bare: bool = False) -> str:
    text = f"{value * metric.scale:,.{metric.digits}f}"
    return text if bare else f"{text} {metric.unit}"


def _place(row: Row) -> str:
    return f"{row.method}, {row.case}"


def _one_line(text: str) -> str:
    """Without line ends, and without anything that looks like a path or would end a table cell."""
    return re.sub(r"(?<!\w)/[\w./-]+", "…", " ".join(text.split())).replace("|", "/")[:160]


def headline(results: Results, names: Sequence[str]) -> str:
    """What `shadesocks` is compared with, in a line for TCP, names and UDP each; for the end on the terminal."""
    lines = []
    for title, works in (("server CPU", TCP), ("server CPU of names", NAMES), ("server CPU over UDP", UDP)):
        rows = [row for row in results.samples if row.work in works and row.metric in ("cpu_gb", "cpu")]
        parts = []
        for name in names:
            ratios = [seen.middle for row in rows if (seen := results.ratio(row, OURS, name)) is not None]
            if name != OURS and ratios:
                parts.append(f"{min(ratios):.2f} - {max(ratios):.2f} x {name}")
        if parts:
            lines.append(f"{title}: " + ", ".join(parts))
    return "\n".join(lines) or "nothing to compare"
