"""What a master knows of its workers."""

from __future__ import annotations

import signal

import pytest

from shadesocks.process.line import make_line
from shadesocks.process.places import Member, Place, how_ended


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "with exit code 0"), (70, "with exit code 70"), (-signal.SIGKILL, "by SIGKILL"), (-64, "by SIGRTMAX")],
)
def test_the_end_of_a_process_has_words(code: int, words: str) -> None:
    assert how_ended(code) == words


def test_a_place_wants_a_worker_at_once_and_each_has_a_patience_of_its_own() -> None:
    one, other = Place(0), Place(1)
    assert one.due_at == 0.0
    assert one.worker is None
    assert one.backoff is not other.backoff


def test_a_place_is_current_when_its_worker_serves_all_that_it_was_told() -> None:
    ours, theirs = make_line()
    place, worker = Place(0), Member(0, 100, ours, 0.0, 0.0, 0)
    seen = [place.is_current]
    place.worker = worker
    seen.append(place.is_current)
    worker.serves = True
    seen.append(place.is_current)
    worker.behind = 1
    seen.append(place.is_current)
    assert seen == [False, False, True, False]
    ours.close()
    theirs.close()
