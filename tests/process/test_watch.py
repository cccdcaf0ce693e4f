"""When a file counts as changed: once it stands still, however it was written, and never while it is away."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as some

from shadesocks.process.watch import FileWatch


def watch(*paths: Path) -> FileWatch:
    return FileWatch(lambda: map(str, paths))


def test_a_file_that_stands_still_is_no_news(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text("{}")
    watching = watch(file)
    assert not any(watching.look() for _ in range(5))


def test_a_change_counts_at_the_second_look(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text("{}")
    watching = watch(file)
    file.write_text("{ }")
    assert [watching.look() for _ in range(4)] == [False, True, False, False]


def test_what_is_still_being_written_waits(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text("{}")
    watching = watch(file)
    for size in range(3, 10):
        file.write_text(" " * size)
        assert not watching.look()
    assert watching.look()
    assert not watching.look()


def test_a_file_put_in_its_place_counts(tmp_path: Path) -> None:
    """As editors save, and as whoever wants a whole file does: another file of the same size and time."""
    file, other = tmp_path / "c.json", tmp_path / "new"
    file.write_text("12")
    other.write_text("34")
    found = file.stat()
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    watching = watch(file)
    other.replace(file)
    assert [watching.look() for _ in range(3)] == [False, True, False]


def test_a_link_that_points_elsewhere_counts(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "c.json"
    link.symlink_to("one")
    watching = watch(link)
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)
    assert [watching.look() for _ in range(3)] == [False, True, False]


def test_one_that_is_away_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text("{}")
    watching = watch(file)
    file.unlink()
    assert not any(watching.look() for _ in range(5))
    file.write_text("{ }")
    assert [watching.look() for _ in range(3)] == [False, True, False]


def test_which_files_they_are_may_change(tmp_path: Path) -> None:
    files = [tmp_path / "c.json"]
    files[0].write_text("{}")
    watching = FileWatch(lambda: map(str, files))
    files.append(tmp_path / "rules.acl")
    files[1].write_text("x")
    assert not any(watching.look() for _ in range(3)), "it was read with the config that names it"
    files[1].write_text("xy")
    assert [watching.look() for _ in range(3)] == [False, True, False]
    files.pop()
    (tmp_path / "rules.acl").unlink()
    assert not any(watching.look() for _ in range(3))


@given(some.lists(some.one_of(some.none(), some.just(True)), max_size=12))
def test_each_change_is_told_once_whatever_comes_between(steps: list[bool | None]) -> None:
    """None is a look, True a change; the last change is never lost."""
    said = ["0"]
    marks = {"c": 0}
    watching = FileWatch(lambda: ["c"])
    watching._marks = lambda: {"c": (0, 0, 0, marks["c"])}  # type: ignore[method-assign]
    watching._known = watching._marks()
    told = 0
    for step in steps:
        if step:
            marks["c"] += 1
            said.append(str(marks["c"]))
        else:
            told += watching.look()
    told += sum(watching.look() for _ in range(3))
    assert told <= marks["c"]
    assert (told > 0) == (marks["c"] > 0)
    assert not watching.look()
