"""docs/heritage.md names every old defect and every point of disagreement, with tests that exist, and all of them."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

HERE: Final = Path(__file__).parent
PAGE: Final = (HERE.parent.parent / "docs" / "heritage.md").read_text(encoding="utf-8")
IDS: Final = [
    f"{letter}{number}" for letter, last in (("P", 32), ("G", 11), ("C", 5), ("N", 5)) for number in range(1, last + 1)
]
"""Of the defects that the project's reference lists (§8)."""
SYSTEMS: Final = {
    "test_socks_answer": {"python", "go", "lite", "node", "procurator"},
    "test_stat": {"python", "go"},
    "test_add_of_an_open_port": {"python", "go"},
    "test_bad_add_and_remove": {"python", "go"},
    "test_one_time_auth_switch": {"python", "go"},
    "test_many_servers": {"python", "go", "lite", "node"},
    "test_udp_nat": {"python", "go", "lite", "node", "procurator"},
    "test_default_bind": {"python", "go", "lite", "node", "procurator"},
    "test_bad_handshake": {"python", "go", "lite", "node", "procurator"},
    "test_reload": {"python", "go", "lite", "node"},
}
"""The points on which the systems disagree (§6), and which of them have a say in each."""


def find_tests(pattern: str) -> dict[str, Any]:
    """Return the test functions of the files of this folder that match."""
    found: dict[str, Any] = {}
    for path in sorted(HERE.glob(pattern)):
        module = import_module(f"{__package__}.{path.stem}")
        found |= {name: getattr(module, name) for name in vars(module) if name.startswith("test_")}
    return found


DEFECTS: Final = find_tests("test_*_defects.py")


def entry(ident: str) -> str:
    """Return what the page says of a defect."""
    found = re.search(rf"^- \*\*{ident}\*\* (.*?)(?=^- \*\*|^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"{ident} is not on the page"
    return found[1]


@pytest.mark.parametrize("ident", IDS)
def test_each_defect_has_its_tests(ident: str) -> None:
    mark = f"_{ident[0].lower()}{int(ident[1:]):02}_"
    named = set(re.findall(r"`(test_\w+)`", entry(ident)))
    assert named == {name for name in DEFECTS if mark in name}
    assert named


def test_each_test_says_what_it_was() -> None:
    for name, test in DEFECTS.items():
        assert re.match(r"test(_[pgcn]\d\d)+_", name), name
        assert (test.__doc__ or "").startswith("Old: "), name


def systems(test: Any) -> set[str]:
    """Return the systems that a test has cases for."""
    for mark in test.pytestmark:
        if mark.name == "parametrize":
            names = (
                [name.strip() for name in mark.args[0].split(",")] if isinstance(mark.args[0], str) else mark.args[0]
            )
            at = list(names).index("system")
            return {value[at] if len(names) > 1 else value for value in mark.args[1]}
    raise AssertionError("it has no cases")


@pytest.mark.parametrize("point", SYSTEMS)
def test_each_cell_has_its_test(point: str) -> None:
    disagreements = find_tests("test_disagreements.py")
    assert set(disagreements) == set(SYSTEMS)
    row = re.search(rf"^\|.*\| `{point}`: ([a-z, ]+) \|$", PAGE, re.MULTILINE)
    assert row, f"the table has no row with {point}"
    assert set(row[1].split(", ")) == systems(disagreements[point]) == SYSTEMS[point]
