"""What an old program is, and the promises of all tables."""

from __future__ import annotations

import pytest

import shadesocks
from shadesocks.cli.family import HOMES, find_program
from shadesocks.cli.family.program import Act, OldProgram
from shadesocks.config.dialects import DIALECTS
from shadesocks.config.settings import SETTINGS

PROGRAMS = [find_program(name) for name in HOMES]
IDS = list(HOMES)


@pytest.mark.parametrize("program", PROGRAMS, ids=IDS)
def test_each_is_what_its_name_says(program: OldProgram) -> None:
    assert find_program(program.name) is program
    assert program.dialect in DIALECTS
    assert {*program.fallbacks, *program.fixed} <= SETTINGS.keys()
    assert program.fallbacks.get("allow_legacy") == "true" or program.later


@pytest.mark.parametrize("program", PROGRAMS, ids=IDS)
def test_no_flag_stands_twice_and_each_does_something(program: OldProgram) -> None:
    names = [name for flag in program.flags for name in flag.names]
    assert len(names) == len(set(names))
    for flag in program.flags:
        assert flag.help
        assert bool(flag.key or flag.setting) == (flag.act in (Act.SET, Act.COUNT))
        assert not flag.setting or flag.setting in SETTINGS
        assert bool(flag.note) == (flag.act in (Act.NOTHING, Act.REFUSE))


@pytest.mark.parametrize("program", PROGRAMS, ids=IDS)
def test_the_help_begins_with_the_usage_and_has_every_flag(program: OldProgram) -> None:
    lines = program.help().splitlines()
    assert lines[0].lower().startswith(("usage: ", "usage of "))
    assert program.name in lines[0]
    rows = "\n".join(lines[3:])
    for flag in program.flags:
        assert all(name in rows for name in flag.names)
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("program", PROGRAMS, ids=IDS)
def test_the_version_is_the_package_s(program: OldProgram) -> None:
    assert shadesocks.__version__ in program.version_text()


def test_a_name_that_no_program_had_is_an_error() -> None:
    with pytest.raises(KeyError):
        find_program("ss-nat")
