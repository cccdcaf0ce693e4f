"""What a manager tells of: of one process, and of several."""

from __future__ import annotations

import json

from shadesocks.config.load import load
from shadesocks.service.manager.figures import AllFigures, OwnFigures
from shadesocks.service.manager.tally import Share, Tally

from .test_manager import Table


def table(**sizes: int) -> Table:
    made = Table(load(json.dumps({"manager_listen": "127.0.0.1:0"}), role="server"))
    made.sizes = {int(port[1:]): size for port, size in sizes.items()}
    return made


def test_one_process_tells_of_itself_and_forgets_all_with_its_end() -> None:
    figures = OwnFigures(table(p1=5))
    assert figures.passed() == {1: 5}
    assert (figures.passed_at(1), figures.passed_at(2)) == (5, 0)
    figures.told[1] = 3
    assert (figures.told[1], figures.told[2], figures.heard[1]) == (3, 0, 0)
    figures.remember(["tool"])
    assert list(OwnFigures(table()).senders()) == []


def test_several_tell_of_all_and_the_next_one_knows_what_the_last_one_did() -> None:
    tally = Tally(2)
    Share(tally, 1).tell({1: 100, 2: 1})
    figures = AllFigures(table(p1=5), Share(tally, 0))
    assert figures.passed_at(1) == 105
    assert figures.passed() == {1: 105, 2: 1}
    assert (figures.passed_at(2), figures.passed_at(9)) == (1, 0)
    figures.told[1], figures.heard[2] = 7, 8
    figures.remember(["tool"])
    follower = AllFigures(table(p1=1), Share(tally, 0))
    assert follower.passed() == {1: 106, 2: 1}
    assert (follower.told[1], follower.heard[2], list(follower.senders())) == (7, 8, ["tool"])
    tally.close()
