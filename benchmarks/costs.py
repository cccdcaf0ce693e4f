"""What each feature costs a connection of ours, in microseconds (`make bench PROFILE=1`).

Two looks at the same work, 16 short connections at once. First by switching:
one server for each variant of the configuration, rounds alternating, and the
difference to the default. Then by looking inside: one server under cProfile,
whose shares are laid over the CPU time that was measured without it (the
profiler itself costs more than what it measures).
"""

from __future__ import annotations

import contextlib
import pstats
import shutil
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Protocol

from . import load
from .figures import spread
from .plan import AFTERMATH, WARM_CONNECTIONS, Plan, alternate
from .process import BenchError, Cores, Server, TargetProcess
from .systems import Found, Launch, launch_ours
from .target import ANSWER, SHORT
from .wire import METHODS, Account, answer_size, make_account
from .works import SHORT_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

DEPTH: Final = 16
INSIDE: Final = 4000  # connections at least, so that what the start calls often stays below one for two of them
FUNCTIONS: Final = 25  # lines of the second table: below them nothing is above a percent


WAITING: Final = ("<method 'poll' of 'select.epoll' objects>",)
"""Left out of the look inside: the profiler's clock is the wall's, and runs on while the server waits for work."""
KINDS: Final = {
    "sockets and epoll": ("_socket.", "select."),
    "ciphers and keys": ("cryptography.", "blake3", "_hashlib", "hmac"),
}
"""What the built-in functions belong to, by a part of their names."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One change of the configuration."""

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


VARIANTS: Final = (
    Variant("as it comes"),
    Variant("no log", {"log": {"level": "error"}}),
    Variant("log names the target", {"log_targets": True}),
    Variant("debug log", {"log": {"level": "debug"}}),
    # A directory below a device cannot be made, not even by root.
    Variant("replay store in memory only", {"state_dir": "/dev/null/none"}),
    Variant("no keep-alive, no user time-out", {"keep_alive": 0, "user_timeout": 0}),
    Variant("TCP_NODELAY", {"no_delay": True}),
    Variant("portable event model", {"event_model": "portable"}),
)


class Bench(Protocol):
    """What the profile takes over from a run."""

    plan: Plan
    methods: list[str]
    directory: Path
    cores: Cores

    @property
    def say(self) -> Callable[[str], None]: ...


def profile(bench: Bench, ours: Found) -> str:
    """Both tables for each method of the short works."""
    parts = ["# What a connection costs"]
    for name in bench.methods:
        if name in SHORT_METHODS:
            account = make_account(METHODS[name])
            switched, base = _by_switching(bench, ours, account)
            parts += [f"## {name}", switched, _by_looking(bench, ours, account, base)]
    return "\n\n".join(parts) + "\n"


def _by_switching(bench: Bench, ours: Found, account: Account) -> tuple[str, float]:
    """The table of variants, and the CPU seconds of a connection as it comes."""
    costs: dict[str, dict[int, float]] = defaultdict(dict)
    failed: dict[str, str] = {}
    for turn in range(bench.plan.rounds):
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(TargetProcess())
            servers: list[tuple[str, Server]] = []
            for variant in VARIANTS:
                directory = bench.directory / f"profile-{account.method.name}-{turn}-{variant.name.replace(' ', '-')}"
                try:
                    server = _server(bench, ours, account, directory, variant)
                except BenchError as error:
                    failed[variant.name] = str(error)
                    continue
                servers.append((variant.name, stack.enter_context(server)))
            for name, server in alternate(servers, turn):
                try:
                    costs[name][turn] = _cost(server, target, bench.plan.connections)
                except (BenchError, OSError) as error:
                    failed[name] = str(error)
        bench.say(f"profile  {account.method.name}  round {turn + 1}/{bench.plan.rounds}")
    default = costs[VARIANTS[0].name]
    lines = ["| variant | CPU us a connection | difference to as it comes |", "|---|---|---|"]
    for name, values in costs.items():
        seen = spread(values.values())
        pairs = [value - default[turn] for turn, value in values.items() if turn in default]
        if seen is None or not pairs:
            continue
        lines.append(
            f"| {name} | {seen.middle * 1e6:.1f} [{seen.least * 1e6:.1f} - {seen.most * 1e6:.1f}] "
            f"| {median(pairs) * 1e6:+.1f} |"
        )
    lines += [f"| {name} | {why} | |" for name, why in failed.items()]
    return "\n".join(lines), median(default.values()) if default else 0.0


def _server(bench: Bench, ours: Found, account: Account, directory: Path, variant: Variant) -> Server:
    def launch(port: int) -> Launch:
        return launch_ours(ours.program, directory, port, account, variant.config, variant.env)

    return Server(ours, account, directory, bench.cores, launch)


def _cost(server: Server, target: TargetProcess, count: int) -> float:
    """CPU seconds of the server for one short connection."""
    wanted = answer_size(server.account.method, len(ANSWER))

    def connect(connections: int) -> None:
        requests = load.make_requests(server.account, target.address(), SHORT, connections)
        with load.quiet():
            load.short_connections(server.address, requests, wanted, DEPTH, to_end=False)

    connect(WARM_CONNECTIONS)
    time.sleep(AFTERMATH)
    before = server.cpu()
    connect(count)
    time.sleep(AFTERMATH)
    return (server.cpu() - before) / count


def _by_looking(bench: Bench, ours: Found, account: Account, base: float) -> str:
    """Where the time goes, by function; shares of cProfile laid over the measured cost."""
    directory = bench.directory / f"inside-{account.method.name}"
    output = directory / "profile"
    count = max(INSIDE, bench.plan.connections)

    def launch(port: int) -> Launch:
        plain = launch_ours(ours.program, directory, port, account)
        argv = [sys.executable, "-m", "cProfile", "-o", str(output), *plain.argv]
        return Launch(argv, plain.env)

    try:
        with Server(ours, account, directory, bench.cores, launch) as server, TargetProcess() as target:
            _cost(server, target, count)
    except (BenchError, OSError) as error:
        return f"(no look inside: {error})"
    if not output.exists():
        return "(no look inside: the server did not end in order)"
    table = by_function(output, count + WARM_CONNECTIONS, base)
    shutil.rmtree(directory, ignore_errors=True)
    return table


def by_function(output: Path, connections: int, base: float) -> str:
    """Two tables of one profile: microseconds for each connection by kind, and by function, dearest first."""
    # A function is (file, line, name); its figures are (primitive calls, calls, own time, time with callees, callers).
    raw: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = pstats.Stats(str(output)).stats  # type: ignore[attr-defined]
    # Only what runs at least once for two connections belongs to them; the rest is the start, or the sweep.
    seen = {
        where: (calls, own)
        for where, (_, calls, own, _, _) in raw.items()
        if calls >= connections / 2 and where[2] not in WAITING
    }
    total = sum(own for _, own in seen.values())
    if not total:
        return "(no look inside: nothing in the profile runs for each connection)"
    kinds: dict[str, float] = defaultdict(float)
    for where, (_, own) in seen.items():
        kinds[_kind(where)] += own / total
    lines = ["| kind | us |", "|---|---|"]
    lines += [
        f"| {kind} | {share * base * 1e6:.1f} |" for kind, share in sorted(kinds.items(), key=lambda item: -item[1])
    ]
    lines += ["", "| function | calls | us |", "|---|---|---|"]
    for where, (calls, own) in sorted(seen.items(), key=lambda item: -item[1][1])[:FUNCTIONS]:
        lines.append(f"| {_name(where)} | {calls / connections:.1f} | {own / total * base * 1e6:.1f} |")
    return "\n".join(lines)


def _kind(where: tuple[str, int, str]) -> str:
    file, _, function = where
    if file != "~":
        return "Python: ours" if "/shadesocks/" in file else "Python: library"
    return next((kind for kind, marks in KINDS.items() if any(mark in function for mark in marks)), "other built-ins")


def _name(where: tuple[str, int, str]) -> str:
    file, _, function = where
    if file == "~":
        return "`" + function.replace("|", "/").strip("<>") + "`"
    return f"`{'/'.join(Path(file).parts[-2:])}:{function}`"
