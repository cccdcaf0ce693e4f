"""The tool that dialects are made with: what people wrote goes before what is filled in, and keeps its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shadesocks.config.dialects.draft import LINK_LOCAL_AND_METADATA, Draft, end_of, listed, number
from shadesocks.config.findings import Findings
from shadesocks.config.reader import Mark, Node, plain, read
from shadesocks.core.networks import NetworkSet, parse_network
from shadesocks.net.origin import TABLE


def draft_of(keys: dict[str, Any] | str, findings: Findings | None = None) -> Draft:
    root = read(keys if isinstance(keys, str) else json.dumps(keys)).root
    assert root is not None
    return Draft(root, "some program", findings or Findings(None))


def built(draft: Draft) -> object:
    return plain(draft.build())


def test_what_stays_closed_is_what_the_table_of_origins_calls_link_local_and_metadata() -> None:
    closed = NetworkSet(map(parse_network, LINK_LOCAL_AND_METADATA))
    rows = [row for row in TABLE if row.word in ("link-local", "metadata")]
    assert len(rows) > 10
    for row in rows:
        network = parse_network(row.prefix)
        assert closed.holds(network.first.to_bytes(network.bits // 8)), row.prefix
    of_rows = {parse_network(row.prefix) for row in rows}
    assert {parse_network(text) for text in LINK_LOCAL_AND_METADATA} <= of_rows


def test_what_is_written_goes_before_what_is_filled_in() -> None:
    draft = draft_of({"a": 1, "b": None, "log": {"level": "info"}, "x": 5})
    draft.default("a", 2)
    draft.default("b", 2)
    draft.default("c", (1, "2"))
    draft.default("log.level", "debug")
    draft.default("log.style", "go")
    draft.default("new.key", True)
    draft.move("x", "a")
    assert built(draft) == {
        "a": 1,
        "b": 2,
        "c": [1, "2"],
        "log": {"level": "info", "style": "go"},
        "new": {"key": True},
    }


def test_a_group_that_is_none_is_left_alone() -> None:
    draft = draft_of({"log": 7})
    draft.default("log.level", "debug")
    assert built(draft) == {"log": 7}


def test_a_member_keeps_its_place_and_the_key_that_was_written() -> None:
    draft = draft_of('{\n"old": 1}')
    draft.move("old", "new")
    draft.move("new", "newest")
    member = draft.get("newest")
    assert member is not None
    assert (member.mark.line, member.said) == (2, "old")
    draft.default("other", 3)
    filled = draft.get("other")
    assert filled is not None
    assert (filled.mark, filled.node.mark.default) == (Mark("default of some program", default=True), True)


def test_the_items_of_a_list_have_their_own_places() -> None:
    draft = draft_of('{"one": 1, "many": [1,\n2, x]}')
    one, many = draft.get("one"), draft.get("many")
    assert one is not None
    assert many is not None
    assert [member.said for member in listed(one, "one")] == ["one"]
    assert [(member.said, member.mark.line) for member in listed(many, "many")] == [("many[0]", 1), ("many[1]", 2)]


def test_objects_go_before_those_of_a_list() -> None:
    draft = draft_of({"servers": [{"a": 1}], "locals": 7})
    draft.append("servers", [{"b": draft.made(2)}])
    draft.append("locals", [{"b": draft.made(2)}])
    draft.append("others", [{"c": draft.made(3)}])
    assert built(draft) == {"servers": [{"b": 2}, {"a": 1}], "locals": 7, "others": [{"c": 3}]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1.0), (1.5, 1.5), ("60", 60.0), ("-2", -2.0), ("1.5", 1.5), ("x", None), (True, None), (None, None)],
)
def test_numbers(value: str | float | None, expected: float | None) -> None:
    assert number(Node(value, Mark("c"))) == expected


@pytest.mark.parametrize("text", ["NaN", "1e999", "9" * 30])
def test_what_is_no_time(text: str) -> None:
    root = read(f'{{"timeout": {text}}}').root
    assert root is not None
    draft = Draft(root, "some program", Findings(None))
    draft.time_out(60)
    assert draft.has("idle_timeout")


def test_time_outs() -> None:
    draft = draft_of({"timeout": "5"})
    draft.time_out(60, least=7)
    assert built(draft) == {"idle_timeout": 7.0, "udp_timeout": 10.0}
    draft = draft_of({})
    draft.time_out(60)
    assert built(draft) == {"idle_timeout": 60, "udp_timeout": 60}
    draft = draft_of({"timeout": 0, "udp_timeout": 20})
    draft.time_out(None, none=100)
    assert built(draft) == {"udp_timeout": 20, "idle_timeout": 100}
    draft = draft_of({})
    draft.time_out(None)
    assert built(draft) == {}


def test_ones_are_true() -> None:
    draft = draft_of({"a": 1, "b": 0, "c": True, "d": 2, "e": "1"})
    draft.flags("a", "b", "c", "d", "e", "f")
    assert built(draft) == {"a": True, "b": False, "c": True, "d": 2, "e": "1"}


def test_messages_name_what_was_written() -> None:
    findings = Findings(None)
    draft = draft_of('{"old": 1}', findings)
    draft.move("old", "new")
    member = draft.get("new")
    assert member is not None
    draft.warn(member, "new", "is odd")
    draft.problem(member, "new", "is wrong")
    assert [found.key for found in (*findings.warnings, *findings.problems)] == ["old", "old"]


def test_the_end_that_a_file_was_written_for() -> None:
    assert end_of(draft_of({"local_port": 1}), None) == "local"
    assert end_of(draft_of({"server_port": 1}), None) == "server"
    assert end_of(draft_of({"local_port": 1}), "server") == "server"
