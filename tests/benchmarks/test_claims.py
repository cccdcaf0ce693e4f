"""docs/heritage.md has a verdict for each figure that the ancestors' authors published."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

PAGE: Final = (Path(__file__).parents[2] / "docs" / "heritage.md").read_text(encoding="utf-8")
HEADING: Final = "## What they were proud of\n"
SECTION: Final = PAGE[PAGE.index(HEADING) + len(HEADING) :].partition("\n## ")[0]
ROWS: Final = [line for line in SECTION.splitlines() if re.match(r"\| (?!claim|figure)\w", line)]
CLAIMS: Final = (
    *("10,000 connections", "5,000 connections", "100 connections in 300 MB", "about 30 MB", "3,980 kB"),
    *("100 Mbit/s", "2,000 ports", "about 3 MB", "less than 4 us", "aes-128-cfb", "8.4 MB"),
    *("twice as fast as rc4", "best efficiency", "eats memory", "pool spares", "until a write blocks"),
    *("O(1)", "like nginx", "failures + 20", "reusable quality"),
    *("89%", "70 MB", "1,000 sockets", "25 connections", "790 MB", "11,300"),
)


@pytest.mark.parametrize("claim", CLAIMS)
def test_each_claim_has_one_row(claim: str) -> None:
    assert len([row for row in ROWS if claim in row.split(" | ")[0]]) == 1


def test_each_row_has_its_verdict() -> None:
    assert len(ROWS) == len(CLAIMS)
    for row in ROWS:
        verdict = row.removesuffix(" |").rpartition(" | ")[2]
        assert re.match(r"met|\*\*not met\*\*|not measured|not offered", verdict), row


def test_the_files_it_names_are_there() -> None:
    named = re.findall(r"`((?:tests|docs)/[\w/.]+)`", SECTION)
    assert named
    assert [name for name in named if not (Path(__file__).parents[2] / name).exists()] == []
