"""The text of a configuration, from its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadesocks.config import load, read_config
from shadesocks.config.reader import SIZE_MAX
from shadesocks.core.errors import ConfigError

from .samples import text_of


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(b"\xef\xbb\xbf" + text_of().replace("{", "{\r\n").encode())
    assert load(read_config(path), where=str(path)).servers


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'{\n"a": "\xff"}', ":2: there are bytes here that are not UTF-8; save the file as UTF-8"),
        ("{}".encode("utf-16"), ":1: this file is UTF-16; save it as UTF-8"),
        (b" " * (4 * SIZE_MAX + 1), f": this file is larger than {4 * SIZE_MAX} bytes; it is no configuration"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value) == f"{path}{sentence}"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"c\.json: this file cannot be read: no such file or directory"):
        read_config(tmp_path / "c.json")
    with pytest.raises(ConfigError, match="this file cannot be read: is a directory"):
        read_config(tmp_path)
