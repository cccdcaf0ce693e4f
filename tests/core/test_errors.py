"""Errors: one root, stable words, messages with a place."""

from __future__ import annotations

import inspect

from shadesocks.core import errors
from shadesocks.core.errors import ConfigError, DialError, Problem, ReplayError, ShadesocksError


def test_there_is_one_root() -> None:
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, Exception):
            assert issubclass(kind, ShadesocksError), name


def test_a_problem_says_where() -> None:
    assert str(Problem("a.json", 3, "servers[0].port", "is no port")) == "a.json:3: servers[0].port: is no port"
    assert str(Problem("--port", None, "", "is no port")) == "--port: is no port"


def test_a_configuration_error_holds_every_problem() -> None:
    problems = [Problem("a.json", 1, "x", "one"), Problem("a.json", 2, "y", "two")]
    error = ConfigError(problems)
    assert error.problems == tuple(problems)
    assert str(error).splitlines() == ["a.json:1: x: one", "a.json:2: y: two"]


def test_words_become_texts_where_none_is_given() -> None:
    assert str(ReplayError()) == "salt reused"
    assert ReplayError().code == "salt_reused"
    assert DialError("refused").stage == "dial"
    assert DialError("no_name", "no such name", "resolve").stage == "resolve"
