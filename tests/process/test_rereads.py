"""Configs read again: who asked hears of it once the worker of every place serves them, or when the time is over."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from shadesocks.core.errors import Problem
from shadesocks.process import line as said
from shadesocks.process.line import Line, make_line, unpack
from shadesocks.process.places import Member, Place
from shadesocks.process.rereads import LIMIT, Rereads, refuse

WRONG = Problem("c.json", 3, "method", "no")
NOW = 1000.0


class Master:
    """Two places with a worker each, and who waits."""

    def __init__(self) -> None:
        self.ours, self.theirs = make_line()
        self.places = [Place(0), Place(1)]
        for place in self.places:
            self.put(place)
        self.overs: list[None] = []
        self.rereads = Rereads(self.places, self._count)

    def _count(self) -> None:
        self.overs.append(None)

    def put(self, place: Place, *, serves: bool = True) -> Member:
        place.worker = Member(place.number, 100 + place.number, self.ours, NOW, NOW, 0, serves=serves)
        return place.worker

    def tell(self) -> list[Member]:
        """Tell every worker to serve a config."""
        workers = [place.worker for place in self.places if place.worker is not None]
        for worker in workers:
            worker.behind += 1
        self.rereads.begin(NOW)
        return workers

    def heard(self) -> list[tuple[int, bool, tuple[Problem, ...]]]:
        return heard(self.theirs)


def heard(line: Line) -> list[tuple[int, bool, tuple[Problem, ...]]]:
    found = []
    for message in line.receive():
        assert message is not None
        assert message.kind == said.REREAD
        found.append((message.number, *unpack(message.descriptors[0])))
    return found


@pytest.fixture
def master() -> Iterator[Master]:
    master = Master()
    yield master
    master.ours.close()
    master.theirs.close()


def test_who_asked_is_told_when_the_last_one_serves_it(master: Master) -> None:
    one, other = master.tell()
    master.rereads.asked(master.ours, 7, (WRONG,))
    master.rereads.look(NOW)
    one.behind -= 1
    master.rereads.look(NOW + 1)
    assert master.heard() == []
    assert not master.overs
    other.behind -= 1
    master.rereads.look(NOW + 2)
    assert master.heard() == [(7, True, (WRONG,))]
    assert len(master.overs) == 1
    master.rereads.look(math.inf)
    assert (master.heard(), len(master.overs), master.rereads.due_at) == ([], 1, math.inf)


def test_a_place_counts_by_the_worker_that_has_it_now(master: Master) -> None:
    one, _ = master.tell()
    one.behind -= 1
    master.rereads.asked(master.ours, 1, ())
    master.places[1].worker = None  # it died, or left
    master.rereads.look(NOW)
    assert master.heard() == []
    new = master.put(master.places[1], serves=False)
    master.rereads.look(NOW)
    assert master.heard() == []
    new.serves = True
    master.rereads.look(NOW)
    assert master.heard() == [(1, True, ())]


def test_after_a_time_it_is_said_who_does_not_serve_it(master: Master) -> None:
    one, _ = master.tell()
    one.behind -= 1
    master.rereads.asked(master.ours, 1, (WRONG,))
    assert master.rereads.due_at == NOW + LIMIT
    master.rereads.begin(NOW + 5)
    assert master.rereads.due_at == NOW + LIMIT, "who is waited for already has no more time"
    master.rereads.look(NOW + LIMIT - 0.1)
    assert master.heard() == []
    master.rereads.look(NOW + LIMIT)
    [(number, applied, (known, late))] = master.heard()
    assert (number, applied, known) == (1, True, WRONG)
    assert str(late) == "worker 2: it does not serve the new config yet; the log may say why"
    assert len(master.overs) == 1


def test_all_who_ask_are_answered_and_nobody_is_left_waiting_at_the_end(master: Master) -> None:
    master.tell()
    for number in (1, 2):
        master.rereads.asked(master.ours, number, ())
    master.rereads.end([WRONG])
    assert master.heard() == [(1, True, (WRONG,)), (2, True, (WRONG,))]
    master.rereads.end([WRONG])
    assert (master.heard(), len(master.overs)) == ([], 1)


def test_mistakes_are_told_to_all(master: Master) -> None:
    refuse([place.worker for place in master.places if place.worker is not None], (WRONG,))
    assert master.heard() == [(0, False, (WRONG,))] * 2
