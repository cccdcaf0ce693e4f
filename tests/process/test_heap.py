"""What stays for life is not looked at by the collector, until it is released."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from shadesocks.process.heap import lasting, release, unswept


class Ring:
    """An object that only the collector can end."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def collects_again() -> Iterator[None]:
    """Leave the collector as it was."""
    yield
    release()
    gc.enable()


def lost() -> weakref.ref[Ring]:
    return weakref.ref(Ring())


def test_what_was_made_inside_stays_until_it_is_released() -> None:
    with lasting():
        assert not gc.isenabled()
        ring = lost()
    assert gc.isenabled()
    gc.collect()
    assert ring() is not None
    later = lost()
    gc.collect()
    assert later() is None
    release()
    gc.collect()
    assert ring() is None


def test_an_error_leaves_all_as_it_was() -> None:
    def fail() -> None:
        with lasting():
            raise OSError("no start")

    before = gc.get_freeze_count()
    with pytest.raises(OSError, match="no start"):
        fail()
    assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with lasting():
        pass
    assert not gc.isenabled()


def test_nothing_is_collected_while_much_is_made() -> None:
    with unswept():
        assert not gc.isenabled()
        ring = lost()
    assert gc.isenabled()
    assert ring() is not None
    gc.collect()
    assert ring() is None
