"""`shadesocks status` and `reload`: how what runs here is, and its config read again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from .asking import (
    NOTHING,
    Report,
    ask,
    control_option,
    explained,
    heading,
    json_option,
    one_of_each,
    report_of,
    services,
    time_text,
    together,
)
from .asking import reports as ask_all
from .command import command
from .exits import OK, say
from .running import shown
from .status import size_text

RELOAD_LIMIT: Final = 60.0
"""Seconds that a reload may take: thousands of ports are a matter of seconds."""
_SHOWN: Final = 3
"""Addresses that are named; the others are counted."""


@command(
    "status",
    usage="[--json] [--control PATH]",
    examples="""
shadesocks status                                 how long, how much, the last reload
shadesocks status --json                          for programs
""",
)
@json_option
@control_option
def command_status(as_json: bool, path: str | None) -> int:
    """Show how every client and server is that runs on this machine and may be asked.

    Exit code 1 where nothing runs that can be asked.
    """
    with services(path) as found:
        reports = ask_all(found, "status")
    say(json.dumps(reports, indent=2) if as_json else "\n\n".join(map(_text, together(reports))))
    return OK


def _text(group: Sequence[Report]) -> str:
    return explained(group, lambda: "\n".join((heading(group), *(f"  {line}" for line in _status(group)))))


def _status(group: Sequence[Report]) -> Iterator[str]:
    first = group[0]
    memory = sum(int(report["memory"]) for report in group)
    yield f"running for {time_text(max(float(report['uptime']) for report in group))}, {size_text(memory)} of memory"
    addresses = [shown(address) for address in first["addresses"]]
    more = f" and {len(addresses) - _SHOWN} more" if len(addresses) > _SHOWN else ""
    yield f"listening on {', '.join(addresses[:_SHOWN])}{more}" if addresses else "listening nowhere"
    stages = _sum(report["stages"] for report in group)
    parts = [f"{count} {shown(stage)}" for stage, count in stages.items() if count]
    total = sum(int(report["accepted"]) for report in group) + sum(stages.values())
    yield f"connections: {', '.join(parts) or 'none'}; {total} in all"
    yield from _users(group)
    if strangers := sum(int(report["strangers"]) for report in group):
        yield f"strangers, who have not authenticated: {strangers}"
    tcp, udp = (_sum({**report[way], "dropped": 0} for report in group) for way in ("tcp", "udp"))
    yield f"TCP: up {size_text(tcp['up'])}, down {size_text(tcp['down'])}"
    dropped = _sum(report["udp"]["dropped"] for report in group)
    if udp["up_packets"] or udp["sessions"] or dropped:
        count = f"{udp['sessions']} session{'' if udp['sessions'] == 1 else 's'}"
        yield (
            f"UDP: {count}, up {size_text(udp['up'])}, down {size_text(udp['down'])}"
            f"{'; dropped: ' + _counts(dropped) if dropped else ''}"
        )
    if reasons := _sum(report["reasons"] for report in group):
        yield f"ended: {_counts(reasons)}"
    if first["reloaded"] is not None:
        yield from _reloaded(first["reloaded"], "last reload: ")


def _users(group: Sequence[Report]) -> Iterator[str]:
    """Yield how many have a name: all workers know the same, each at its own second."""
    people = [report["users"] for report in group if report.get("users")]
    if people:
        refused = Counter({word: int(count) for told in people for word, count in told["refused"].items()})
        count = max(int(told["count"]) for told in people)
        yield f"users: {count}{'; refused: ' + _counts(refused) if refused else ''}"
        for trouble in sorted({told["trouble"] for told in people if told.get("trouble")}):
            yield f"what passes for them is kept in memory, for it cannot be written: {shown(trouble)}"
        for remark in sorted({told["remark"] for told in people if told.get("remark")}):
            yield f"their store: {shown(remark)}"


def _sum(counts: Any) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        for word, count in each.items():
            total[word] += int(count)
    return total


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{shown(word)} {count}" for word, count in counts.most_common() if count)


@command(
    "reload",
    usage="[--json] [--control PATH]",
    examples="""
shadesocks reload                                 as by SIGHUP, and say what came of it
shadesocks reload --json                          for programs
""",
)
@json_option
@control_option
def command_reload(as_json: bool, path: str | None) -> int:
    """Let every client and server that runs on this machine, and may be asked, read its config again.

    What changed is told. A config with mistakes changes nothing. Exit code 1 where that, or anything else, went wrong.
    """
    with services(path) as found:
        asked = [service for service in one_of_each(found) if "reload" in service.words]
        answers = []
        for service in asked:
            service.sock.settimeout(RELOAD_LIMIT)
            answer = ask(service, "reload")
            if answer is not None:
                answers.append(report_of(service, answer))
    if as_json:
        say(json.dumps(answers, indent=2))
    else:
        say("\n\n".join(map(_came_of, answers)))
    if not asked:
        from .exits import tell

        tell("error: nothing that runs here has a config that can be read again")
    good = all(answer.get("applied") is True and not answer.get("problems") for answer in answers)
    return OK if asked and good and len(answers) == len(asked) else NOTHING


def _came_of(answer: Report) -> str:
    head = heading([answer], counted=False)
    return explained([answer], lambda: "\n".join((head, *_reloaded(answer, "  "))))


def _reloaded(answer: Report, start: str) -> Iterator[str]:
    """Yield what came of a reload."""
    rows = [
        f"{word}: {', '.join(map(shown, answer[key]))}"
        for key, word in (
            ("added", "added"),
            ("removed", "removed"),
            ("changed", "changed"),
            ("lists", "changed access lists"),
            ("reset", "reset"),
            ("settings", "in force now"),
            ("restart", "in force after a restart only"),
        )
        if answer.get(key)
    ]
    rows += [f"problem: {shown(problem)}" for problem in answer.get("problems") or ()]
    if not answer.get("applied"):
        rows.insert(0, "nothing changed")
    for row in rows or ["all is as before"]:
        yield start + row
