"""What all dialects have in common."""

from __future__ import annotations

import pytest

from shadesocks.wire.manager import DIALECTS
from shadesocks.wire.manager.command import COMMANDS
from shadesocks.wire.manager.dialect import compact


@pytest.mark.parametrize("name", DIALECTS)
def test_each_knows_the_commands_of_all_and_says_ok(name: str) -> None:
    dialect = DIALECTS[name]
    assert dialect.name == name
    assert dialect.commands >= COMMANDS
    assert dialect.answers["ok"] == "ok"


def test_whoever_pushes_says_pong_and_the_others_tell_at_once() -> None:
    for dialect in DIALECTS.values():
        assert ("pong" in dialect.answers) == bool(dialect.pushes)


def test_compact() -> None:
    assert compact({"a": 1, "b": "\u00fc"}) == '{"a":1,"b":"\u00fc"}'
