"""What the pages say of the tree is true: files, links, make targets and commands exist, and the code map is whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click
import pytest

from shadesocks.cli.programs import group

ROOT: Final = Path(__file__).parent.parent
SOURCE: Final = ROOT / "src" / "shadesocks"
GENERATED: Final = {"config.md", "benchmarks.md"}
"""Written by programs, which have tests of their own."""
PAGES: Final = sorted(
    page for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if page.name not in GENERATED
)
FOLDERS: Final = {path.name for path in (*ROOT.iterdir(), *SOURCE.iterdir()) if path.is_dir()}
TARGETS: Final = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@every_page
def test_named_files_exist(page: Path) -> None:
    for name in re.findall(r"`([\w*./-]+/[\w*./-]*)`", page.read_text(encoding="utf-8")):
        if name.split("/")[0] in FOLDERS:
            assert any(root.glob(name.rstrip("/")) for root in (ROOT, SOURCE)), name


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (page.parent / link).exists(), link


@every_page
def test_named_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:`|^    )make ([a-z]+)", text, re.MULTILINE)) <= TARGETS
    commands = group.list_commands(click.Context(group))
    assert set(re.findall(r"(?:`|^    |\$ )shadesocks ([a-z]+)", text, re.MULTILINE)) <= set(commands)


def test_make_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == TARGETS


def test_the_code_map_names_every_file() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", page.partition("## Code map")[2].partition("## Invariants")[0]))
    missing = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if not path.stem.startswith("__") and path.stem not in words
    ]
    assert not missing


def test_the_first_screen_shows_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20]
    assert [word for line in lines for word in re.findall(r"^    make (\w+)", line)] == ["up", "test"]
    assert any("pipx install ." in line for line in lines)
