"""The reader: JSON and what people write beside it, places, faults, and that nothing makes it raise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config.reader import (
    BROKEN,
    DEPTH_MAX,
    DIGITS_MAX,
    FAULTS_MAX,
    KEY_SHOWN_MAX,
    SIZE_MAX,
    Mark,
    Node,
    plain,
    printable,
    read,
)

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def value_of(text: str) -> object:
    reading = read(text)
    assert reading.faults == ()
    assert reading.root is not None
    return plain(reading.root)


def faults_of(text: str) -> list[tuple[int | None, str]]:
    return [(fault.mark.line, fault.text) for fault in read(text).faults]


@given(_VALUES, st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_agrees_with_json_on_every_valid_text(value: object, indent: int | str | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert value_of(text) == json.loads(text)


@given(st.text() | st.text(alphabet="{}[]:,\"'\\/*#\nab01.-+eExu \r"))
def test_never_raises_and_tells_when_it_has_nothing(text: str) -> None:
    reading = read(text)
    assert reading.root is not None or reading.faults


@given(_VALUES, st.data())
def test_survives_a_cut_and_a_lost_character(value: object, data: st.DataObject) -> None:
    text = json.dumps(value, indent=1)
    at = data.draw(st.integers(0, len(text) - 1))
    read(text[:at])
    read(text[:at] + text[at + 1 :])


def test_every_cut_of_an_object_is_a_fault() -> None:
    text = '{"server": "::1", "server_port": 8388, "servers": [{"a": null}, {}], "_": 1e3}'
    for size in range(len(text)):
        assert read(text[:size]).faults, text[:size]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, // note\n "b": 2}', {"a": 1, "b": 2}),
        ('{"a": 1, # note\n "b": 2}', {"a": 1, "b": 2}),
        ('{"a": /* two\n lines */ 1}', {"a": 1}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ("{'a': 'it\\'s \"so\"'}", {"a": 'it\'s "so"'}),
        ("{server: 1, _x: 2, $y: 3}", {"server": 1, "_x": 2, "$y": 3}),
        ('{"url": "http://example.org/#a /* b */"}', {"url": "http://example.org/#a /* b */"}),
        ("[0x1F, +1, -2, .5, 5., 1e3, -0]", [31, 1, -2, 0.5, 5.0, 1000.0, 0]),
        ('["，：“”"]', ["，：“”"]),
        (r'["\u00e9\ud83d\ude00\x41\v\/"]', ["é😀A\v/"]),
        ('["a\\\nb"]', ["ab"]),
        ("\ufeff{}", {}),
        ("\u00a0[ ]\u2028", []),
    ],
)
def test_reads_what_people_write(text: str, value: object) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_keeps_the_place_of_every_key_and_value(end: str) -> None:
    text = end.join(["{", '  "a": 1,', '  "list": [', '    "x",', '    {"y":', "      2}", "  ]", "}"])
    root = read(text, "c.json").root
    assert root is not None
    assert isinstance(root.value, dict)
    assert root.mark == Mark("c.json", 1, 1)
    assert root.value["a"].mark == Mark("c.json", 2, 3)
    assert root.value["a"].node.mark == Mark("c.json", 2, 8)
    items = root.value["list"].node.value
    assert isinstance(items, tuple)
    assert [item.mark.line for item in items] == [4, 5]
    inner = items[1].value
    assert isinstance(inner, dict)
    assert inner["y"].mark == Mark("c.json", 5, 6)
    assert inner["y"].node.mark == Mark("c.json", 6, 7)


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("", 1, 'the file is empty; a configuration begins with "{"'),
        (" // nothing\n", 2, 'the file is empty; a configuration begins with "{"'),
        ('{"a": 1\n "b": 2}', 1, "a comma is missing after this value"),
        ('{"a"\n: 1, "b"}', 2, "a colon and a value are expected after this key"),
        ('{\n"a": hunter2}', 2, "text goes in quotes; the only words without them are true, false and null"),
        ('{"a": 12ab}', 1, "this is not a number of JSON; text goes in quotes"),
        ('{"a": 010}', 1, "this is not a number of JSON; text goes in quotes"),
        ('{"a": }', 1, "a value is missing here"),
        ('{\n"a": "x,\n"b": 1}', 2, "this text has no closing quote on its line"),
        (r'{"a": "C:\dir"}', 1, r"this backslash begins no known escape; a backslash itself is written \\"),
        (r'{"a": "\ud83d"}', 1, "this text holds half of a \\u pair; write both halves or the character itself"),
        ("{,}", 1, "a key is expected here: a name in quotes, then a colon and a value"),
        ('{"a": [1}', 1, "} does not close the list that begins in line 1; that takes ]"),
        ("{}\n}", 2, "there is something after the end of the configuration; look for a bracket too many"),
        ('{"a": 1,\n"a": 2}', 2, "this key stands twice, first in line 1; remove one"),
        ('{"a": {\n"b": 1', 1, "the object that begins in line 1 is not closed; add }"),
        ("{} /* ", 1, "this comment is not closed; end it with */"),
        ('{"a": 1， "b": 2}', 1, "， only looks like a character of JSON: a comma is written ,"),
        ('{"a": "x"\n， "b": 2}', 2, "， only looks like a character of JSON: a comma is written ,"),
        ('{"a"： 1}', 1, "： only looks like a character of JSON: a colon is written :"),
        ("{“a”: 1}", 1, '“ only looks like a character of JSON: a quote is written "'),
        ('{"a": “x”}', 1, '“ only looks like a character of JSON: a quote is written "'),
        ('｛"a": 1}', 1, "｛ only looks like a character of JSON: brackets are written {} and []"),
    ],
)
def test_a_fault_says_what_to_do(text: str, line: int, sentence: str) -> None:
    assert (line, sentence) in faults_of(text)


def test_goes_on_after_a_fault() -> None:
    text = """{
        "a": tru,
        "b" 2,
        "c": [1 2, "x", nope],
        "d": "open,
        "e": {"f": 1, "f": 2},
        "g": 7
    }"""
    reading = read(text)
    assert [fault.mark.line for fault in reading.faults] == [2, 3, 4, 4, 5, 6]
    assert reading.root is not None
    assert plain(reading.root) == {"a": None, "c": [1, 2, "x", None], "d": None, "e": {"f": 2}, "g": 7}


def test_the_debris_of_a_fault_is_not_a_second_one() -> None:
    assert faults_of('{"password": "abc"def", \n"x": 1}') == [(1, "a comma is missing after this value")]


def test_a_fault_names_the_value_it_stands_in() -> None:
    assert [fault.key for fault in read('{"servers": [{}, {"port": x}]}').faults] == ["servers[1].port"]


@pytest.mark.parametrize(
    "text",
    [
        '{"password": hunter2}',
        '{"password": "hunter2}',
        '{"password" "hunter2"}',
        '{"password": "hunter2" "hunter2"}',
        '{"password", "hunter2"}',
        '{"password": "\\hunter2"}',
        '{"password": hunter2: 1}',
        "hunter2",
        '["password" hunter2]',
    ],
)
def test_no_fault_repeats_the_text(text: str) -> None:
    faults = read(text).faults
    assert faults
    assert not any("hunter2" in fault.text or "hunter2" in fault.key for fault in faults)


def test_depth_is_bounded() -> None:
    assert not read("[" * DEPTH_MAX + "]" * DEPTH_MAX).faults
    deeper = read("[" * 100_000)
    assert [fault.text for fault in deeper.faults] == [
        f"values are nested deeper than {DEPTH_MAX}, deeper than any setting is"
    ]


def test_size_is_bounded() -> None:
    assert not read("[]".ljust(SIZE_MAX)).faults
    assert "longer than" in read("[]".ljust(SIZE_MAX + 1)).faults[0].text


def test_digits_are_bounded() -> None:
    assert value_of("9" * DIGITS_MAX) == int("9" * DIGITS_MAX)
    assert read("9" * 5000).faults


def test_faults_are_bounded() -> None:
    assert len(read("[" + "x,\n" * 1000).faults) == FAULTS_MAX


def test_a_broken_value_is_null_in_plain() -> None:
    assert plain(Node(BROKEN, Mark("x"))) is None


def test_a_key_cannot_forge_a_line() -> None:
    assert printable("a\nb\x1b[31m") == "a\\u000ab\\u001b[31m"
    assert printable("k" * 500) == "k" * KEY_SHOWN_MAX + "…"
