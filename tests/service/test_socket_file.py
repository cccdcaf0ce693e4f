"""The file of a Unix socket, and another one in its place."""

from __future__ import annotations

from pathlib import Path

from shadesocks.service.socket_file import identity


def test_another_file_of_that_name_is_another(tmp_path: Path) -> None:
    path, other = tmp_path / "a.sock", tmp_path / "b.sock"
    assert identity(str(path)) is None
    path.touch()
    other.touch()
    ours = identity(str(path))
    assert ours is not None
    assert identity(str(path)) == ours
    other.replace(path)
    assert identity(str(path)) not in (None, ours)
