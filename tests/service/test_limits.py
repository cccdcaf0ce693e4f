"""The descriptor limit: raised, set, or left where the system refuses."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from shadesocks.service.limits import raise_nofile


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_becomes_the_hard_one() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    assert raise_nofile(None) == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_it_can_be_set_lower() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_nofile(512) == 512
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (512, hard)


def test_a_refusal_leaves_what_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_which: int, _limits: tuple[int, int]) -> None:
        raise PermissionError

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_nofile(10**9) == soft
    monkeypatch.undo()
