"""A program that we started: how it begins, what it says at the end, how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import pytest

from shadesocks.service.plugins.child import Child, launched, told
from shadesocks.service.plugins.output import Output

from ..rig import run
from ..stubs import alive, children

SHELL = "/bin/sh"


def start(words: Sequence[str], lines: list[str] | None = None) -> Child:
    tell = (lambda _line: None) if lines is None else lines.append
    return Child(words, {"PATH": os.defpath}, tell, Output())


def test_all_it_says_is_told_and_its_status() -> None:
    lines: list[str] = []

    async def story() -> None:
        child = start((SHELL, "-c", "echo one; echo two >&2; printf three; exit 7"), lines)
        assert await child.ended == 7
        assert child.is_over
        await child.end()

    run(story())
    assert lines == ["one", "two", "three"]


def test_signals_have_their_first_meaning() -> None:
    """Python ignores SIGPIPE, and what is ignored stays so in a program that it starts."""
    ignored = "while read -r key value; do [ $key = SigIgn: ] && echo $value; done < /proc/self/status"
    lines: list[str] = []

    async def story() -> None:
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            await start((SHELL, "-c", ignored), lines).ended
        finally:
            signal.signal(signal.SIGTERM, before)

    run(story())
    mask = int(lines[0], 16)
    assert not mask & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGTERM - 1)


def test_sigterm_then_sigkill() -> None:
    async def story() -> None:
        polite = start((SHELL, "-c", "sleep 1000"))
        await polite.end()
        assert polite.ended.result() == -signal.SIGTERM
        lines: list[str] = []
        deaf = start((SHELL, "-c", "trap '' TERM; echo ready; sleep 1000; sleep 1000"), lines)
        while not lines:  # noqa: ASYNC110 - a line tells nobody that it came
            await asyncio.sleep(0.01)
        await deaf.end(0.2)
        assert deaf.ended.result() == -signal.SIGKILL
        while alive(deaf.pid):  # noqa: ASYNC110 - nor does the end of a grandchild
            await asyncio.sleep(0.01)

    run(story())
    assert children() == []


def test_who_left_the_group_does_not_keep_its_pipe_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shadesocks.service.plugins.child.launched", list)  # which would have ended it, too

    async def story() -> None:
        lines: list[str] = []
        child = start((SHELL, "-c", "setsid sleep 3 & echo $!"), lines)
        assert await child.ended == 0
        os.kill(int(lines[0]), signal.SIGKILL)

    run(story())


def test_an_end_that_is_cancelled_is_a_quick_one() -> None:
    async def story() -> None:
        lines: list[str] = []
        child = start((SHELL, "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"), lines)
        while not lines:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await child.end()
        assert await child.ended == -signal.SIGKILL

    run(story())


@pytest.mark.skipif(sys.platform != "linux", reason="there is no launcher elsewhere")
def test_what_cannot_be_executed_is_told() -> None:
    lines: list[str] = []

    async def story() -> None:
        assert launched()[0] == sys.executable
        assert await start(("/nowhere/plugin",), lines).ended == 127

    run(story())
    assert lines == ["cannot be started: No such file or directory"]


def test_a_start_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shadesocks.service.plugins.child.launched", lambda: ["/nowhere/python"])

    async def story() -> None:
        with pytest.raises(FileNotFoundError):
            start((SHELL,))

    run(story())


def test_ends_in_words() -> None:
    assert told(3) == "it exited with status 3"
    assert told(-signal.SIGKILL) == "it was ended by SIGKILL"
    assert told(-63) == "it was ended by signal 63"


@pytest.mark.parametrize(("name", "value"), [("frozen", True), ("executable", ""), ("platform", "darwin")])
def test_where_there_is_no_python_to_launch_with_the_program_starts_itself(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(sys, name, value, raising=False)
            assert launched() == []
        monkeypatch.setattr("shadesocks.service.plugins.child.launched", list)
        assert await start((SHELL, "-c", "exit 5")).ended == 5

    run(story())
