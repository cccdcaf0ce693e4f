"""Who goes where there is one too many, and what is remembered of those that went."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from shadesocks.net.crowd import Crowd, PacketCounts


class Port:
    """A relay, as a crowd sees one: sessions in the order of their last use."""

    def __init__(self, crowd: Crowd) -> None:
        self.sessions: dict[int, Any] = {}
        self.dropped: Counter[str] = Counter()
        self.gone: list[int] = []
        self.sweeps = 0
        self._crowd = crowd
        crowd.relays.append(self)  # type: ignore[arg-type]  # the part of a relay that is used

    def enter(self, number: int, group: bytes = b"g") -> None:
        self._crowd.enter(self, group)  # type: ignore[arg-type]  # as above
        self.sessions[number] = SimpleNamespace(key=number, group=group, relay=self, seen_at=number)

    def sweep(self) -> None:
        self.sweeps += 1

    def evict(self) -> None:
        self.end(next(iter(self.sessions.values())), "crowded")

    def end(self, session: Any, word: str) -> None:
        assert word == "crowded"
        del self.sessions[session.key]
        self.gone.append(session.key)
        self._crowd.leave(self, session.group)  # type: ignore[arg-type]  # as above

    def sums(self) -> tuple[int, int, int, int]:
        return 1, 20, 3, 40


def test_one_port_too_full_gives_up_its_own() -> None:
    crowd = Crowd(100, 2, 100)
    full, other = Port(crowd), Port(crowd)
    other.enter(9)
    for number in range(3):
        full.enter(number)
    assert (full.gone, other.gone, crowd.live) == ([0], [], 3)


def test_a_process_too_full_takes_from_the_fullest_port() -> None:
    crowd = Crowd(3, 100, 100)
    full, other = Port(crowd), Port(crowd)
    for number in range(3):
        full.enter(number)
    other.enter(9)
    assert (full.gone, list(other.sessions), crowd.live) == ([0], [9], 3)


def test_a_source_too_busy_gives_up_its_own_here_or_elsewhere() -> None:
    crowd = Crowd(100, 100, 2)
    here, there = Port(crowd), Port(crowd)
    here.enter(0, b"other")
    there.enter(1, b"busy")
    there.enter(2, b"busy")
    here.enter(3, b"busy")
    assert (here.gone, there.gone) == ([], [1])
    here.enter(4, b"busy")
    assert (here.gone, there.gone) == ([], [1, 2]), "the one unused for longest, not the one of the same port"
    there.enter(5, b"busy")
    assert (here.gone, there.gone) == ([3], [1, 2])
    assert crowd.live == 3


def test_sources_are_forgotten_with_their_last_session() -> None:
    crowd = Crowd(100, 100, 100)
    port = Port(crowd)
    for number in range(50):
        port.enter(number, bytes([number]))
    for _ in range(50):
        port.evict()
    assert crowd.live == 0
    assert not crowd._groups


def test_what_passed_is_not_forgotten_with_its_relay() -> None:
    crowd = Crowd(100, 100, 100)
    one, two = Port(crowd), Port(crowd)
    one.dropped["auth"] = 2
    two.dropped["auth"] = two.dropped["replay"] = 1
    assert crowd.counts() == PacketCounts(0, 2, 40, 6, 80, {"auth": 3, "replay": 1})
    crowd.close(one)  # type: ignore[arg-type]  # as above
    assert len(crowd.relays) == 1
    assert crowd.counts() == PacketCounts(0, 2, 40, 6, 80, {"auth": 3, "replay": 1})


def test_only_ports_that_had_a_session_are_looked_at_and_once_after_its_end() -> None:
    crowd = Crowd(100, 100, 100)
    busy, idle = Port(crowd), Port(crowd)
    busy.enter(1)
    crowd.sweep()
    crowd.sweep()
    assert (busy.sweeps, idle.sweeps) == (2, 0)
    busy.evict()
    crowd.sweep()
    crowd.sweep()
    assert (busy.sweeps, idle.sweeps) == (3, 0)
    idle.enter(2)
    crowd.sweep()
    assert (busy.sweeps, idle.sweeps) == (3, 1)


def test_a_port_that_is_closed_is_looked_at_no_more() -> None:
    crowd = Crowd(100, 100, 100)
    port = Port(crowd)
    port.enter(1)
    port.evict()
    crowd.close(port)  # type: ignore[arg-type]  # the part of a relay that is used
    crowd.sweep()
    assert port.sweeps == 0
