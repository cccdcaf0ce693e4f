"""The reference says all there is, and the files in docs/ are what the generator writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadesocks.config.__main__ import generated, main
from shadesocks.config.foreign import FOREIGN
from shadesocks.config.reference import reference
from shadesocks.config.setting import Setting
from shadesocks.config.settings import TABLE

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("setting", TABLE, ids=lambda row: row.name)
def test_every_setting_is_in_it(setting: Setting) -> None:
    page = reference()
    for word in (*setting.flags, *(() if not setting.places else (setting.path, *setting.aliases))):
        assert f"`{word}`" in page
    assert setting.help in page
    assert setting.default_words in page


def test_every_foreign_key_is_in_it() -> None:
    page = reference()
    assert [key for _, key in FOREIGN if f"`{key}`" not in page] == []


@pytest.mark.parametrize("name", generated())
def test_the_files_in_docs_are_current(name: str) -> None:
    hint = "run: python -m shadesocks.config docs"
    assert (DOCS / name).read_text(encoding="utf-8") == generated()[name], hint


def test_the_generator_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "docs")]) == 0
    assert {path.name for path in (tmp_path / "docs").iterdir()} == generated().keys()
    assert main([]) == 64
    assert "usage:" in capsys.readouterr().err
