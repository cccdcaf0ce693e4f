"""`python -m benchmarks`: the command line of the bench. What it does and how to read it: `benchmarks/README.md`."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import ancestors, costs, crowd, report
from .plan import FULL, QUICK, Plan
from .process import pick_cores
from .systems import OURS, SYSTEMS, find
from .works import BULK_METHODS, WORKS, Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .figures import Results

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
ANCESTORS = "ancestors"
"""For `--peers`: ours and all of those."""
DESCRIPTORS = 3 * FULL.idle + 1000
"""The target, the server and the load hold one or two for each idle connection."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    if not sys.platform.startswith("linux"):
        say("the bench reads CPU clocks and memory of other processes the way Linux shows them: run it there")
        return 1
    plan = choose_plan(options)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        plan = replace(plan, idle=min(plan.idle, hard // 4))
        say(f"the descriptor limit is {hard}: {plan.idle} idle connections")
    if hard != resource.RLIM_INFINITY and crowd.most(hard) < plan.crowd:
        plan = replace(plan, crowd=crowd.most(hard))
        say(f"the descriptor limit is {hard}: a crowd of {plan.crowd} connections")
    cores = pick_cores()
    if cores.server is None:
        say("there is one core only: server and load share it, read nothing but the CPU figures")
    systems, missing = find(options.peers)
    for found in systems:
        say(f"{found.name} {found.version}")
    for name, why in missing.items():
        say(f"{name}: {why}")
    cores.settle_here()
    with tempfile.TemporaryDirectory(prefix="shadesocks-bench-") as directory:
        bench = Bench(plan, systems, options.methods, options.only, Path(directory), cores, say)
        if options.profile:
            ours = next((found for found in systems if found.name == OURS), None)
            if ours is None:
                say(f"{OURS} is not installed here: nothing to profile")
                return 1
            sys.stdout.write(costs.profile(bench, ours))
            return 0
        try:
            results = bench.run()
        except KeyboardInterrupt:
            say("interrupted; this is what there is")
            bench.cut_short = "interrupted"
            results = bench.results
    noise = [f"load average at the end {os.getloadavg()[0]:.1f}"]
    if bench.cut_short:
        noise.append(bench.cut_short)
    text = report.render(results, systems, missing, plan, noise)
    sys.stdout.write(f"{text}\n{report.headline(results, [found.name for found in systems])}\n")
    if options.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
        say(f"written to docs/{PAGE.name}")
    if options.json is not None:
        options.json.write_text(as_json(results), encoding="utf-8")
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    def listed(allowed: Sequence[str]) -> Callable[[str], list[str]]:
        def split(text: str) -> list[str]:
            words = [word for word in text.split(",") if word]
            for word in words:
                if word not in allowed:
                    raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(allowed)}")
            return words

        return split

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare shadesocks with its peers.")
    parser.add_argument("--quick", action="store_true", help="small samples and two rounds: tries the bench itself")
    parser.add_argument("--profile", action="store_true", help="what each feature of ours costs a connection, in us")
    parser.add_argument("--only", type=listed(WORKS), default=list(WORKS), help=f"of {','.join(WORKS)}")
    parser.add_argument("--methods", type=listed(BULK_METHODS), default=list(BULK_METHODS), help="default: all")
    names = [system.name for system in SYSTEMS]
    parser.add_argument("--peers", type=listed([*names, ANCESTORS]), help=f"systems to run, of {','.join(names)}")
    parser.add_argument("--rounds", type=int, default=None, help="how many rounds instead of the plan's")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--json", type=Path, default=None, help="write every sample to this file")
    options = parser.parse_args(argv)
    if options.peers is not None and ANCESTORS in options.peers:
        options.peers += [OURS, "shadowsocks-libev", *ancestors.RACED]
    return options


def choose_plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    if options.rounds is not None:
        rounds = max(1, options.rounds)
        plan = replace(plan, rounds=rounds, memory_rounds=min(plan.memory_rounds, rounds))
    return plan


def as_json(results: Results) -> str:
    samples = [
        {"work": row.work, "case": row.case, "metric": row.metric, "method": row.method, "systems": systems}
        for row, systems in results.samples.items()
    ]
    return json.dumps({"samples": samples, "failures": results.failures, "foreign": results.foreign}, indent=1)


def say(text: str) -> None:
    """Progress goes to standard error, the report to standard output."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
