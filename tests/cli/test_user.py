"""`shadesocks user`: the help of the group and of each of its commands."""

from __future__ import annotations

import click
import pytest

from shadesocks.cli.exits import OK, USAGE, run
from shadesocks.cli.programs import group
from shadesocks.cli.user import command_user

WORDS = command_user.list_commands(click.Context(command_user))


def test_the_group_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", ["user", "--help"]) == OK
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.partition("Commands:\n")[2].splitlines()] == WORDS
    assert WORDS == ["list", "show", "add", "set", "reset", "del", "link", "export", "move"]
    assert run(group, "shadesocks", ["user"]) == USAGE
    assert run(group, "shadesocks", ["user", "ad", "anna"]) == USAGE
    assert "did you mean 'add'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("remove", "did you mean 'del'?"),
        ("qr", "did you mean 'link'?"),
        ("rename", "a new name is a new user"),
        ("kick", "it is `shadesocks kick --user NAME`"),
        ("xyz", "there are list, show, add"),
    ],
)
def test_what_others_call_a_command_leads_to_it(word: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", ["user", word, "anna"]) == USAGE
    assert f"no such command '{word}'; {hint}" in capsys.readouterr().err


@pytest.mark.parametrize("word", WORDS)
def test_each_command_has_usage_text_and_examples(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(group, "shadesocks", ["user", word, "-h"]) == OK
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: shadesocks user {word} ")
    assert text.partition("Examples:\n")[2].startswith(f"  shadesocks user {word}")
    assert "--store FILE" in text
    assert max(map(len, text.splitlines())) <= 100
