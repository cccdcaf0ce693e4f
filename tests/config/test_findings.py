"""Findings are told in the order of the file, and only to whom they concern."""

from __future__ import annotations

from shadesocks.config.findings import Findings, left_out
from shadesocks.config.reader import Mark
from shadesocks.config.setting import LOCAL_END, SERVER_END
from shadesocks.core.errors import Problem


def test_order_is_that_of_the_file() -> None:
    findings = Findings(None)
    for key, line, column in (("e", 3, 1), ("c", 2, 7), ("d", 2, 9), ("a", None, None), ("b", 2, 1)):
        findings.problem(Mark("f", line, column), key, "text")
    assert [problem.key for problem in findings.problems] == ["a", "b", "c", "d", "e"]


def test_warnings_are_for_an_end() -> None:
    findings = Findings("local")
    findings.warn(Mark("f", 1), "a", "text", SERVER_END)
    findings.warn(Mark("f", 1), "b", "text", LOCAL_END)
    findings.warn(Mark("f", 1), "c", "text")
    assert [warning.key for warning in findings.warnings] == ["b", "c"]
    assert not findings.concerns(SERVER_END)
    assert Findings(None).concerns(SERVER_END)


def test_what_many_places_have_is_said_of_the_first_and_counted() -> None:
    findings = Findings(None)
    for line in (3, 4, 4, 5):
        findings.warn_once(Mark("c.json", line), "method", "this is old")
    findings.warn_once(Mark("c.json", 9), "method", "that is old")
    assert [(found.line, found.text) for found in findings.warnings] == [
        (3, "this is old (and 2 more like this)"),
        (9, "that is old"),
    ]


def test_what_was_found_apart_is_taken_over() -> None:
    findings = Findings("local")
    findings.warn_once(Mark("f", 1), "a", "old")
    for line in (2, 3):
        other = findings.apart()
        other.warn_once(Mark("f", line), "b", "old")
        other.warn_once(Mark("f", line), "b", "new")
        other.warn(Mark("f", line), "c", "server's", SERVER_END)
        other.problem(Mark("f", line), "d", "bad")
        findings.adopt(other)
    assert [str(found) for found in findings.warnings] == [
        "f:1: a: old (and 2 more like this)",
        "f:2: b: new (and 1 more like this)",
    ]
    assert [found.line for found in findings.problems] == [2, 3]


def test_why_a_server_is_left_out() -> None:
    texts = (("servers[1].method", "is old"), ("", "is no server"), ("servers[1]", "is nothing"))
    problems = tuple(Problem("f", 1, key, text) for key, text in texts)
    assert left_out(problems) == "this server is left out: method: is old; is no server; is nothing"
