"""The lines of the Python original that tools match."""

from __future__ import annotations

import json
import logging

import pytest

from shadesocks.cli.family.program import NOTE
from shadesocks.cli.family.python_words import PythonWords
from shadesocks.config.load import load
from shadesocks.config.reader import Mark, Member, Node
from shadesocks.core.errors import Problem

OLD = {"allow_legacy": "true"}
WARNING, ERROR = logging.WARNING, logging.ERROR


def said(keys: str) -> list[tuple[int, str]]:
    given = {"server": "192.0.2.1", "password": "x", **json.loads(f"{{{keys}}}")}
    config = load(json.dumps(given), role="local", dialect="python", fallbacks=OLD)
    return list(PythonWords().warnings(config))


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        ('"timeout": 300', []),
        ('"timeout": 100', []),
        ('"timeout": 600', []),
        ('"timeout": 10', [(WARNING, "warning: your timeout 10 seems too short")]),
        ('"timeout": "1000"', [(WARNING, "warning: your timeout 1000 seems too long")]),
        ('"local_address": "0.0.0.0"', [(WARNING, "warning: local set to listen on 0.0.0.0, it's not safe")]),
        (
            '"server": "127.0.0.1"',
            [(WARNING, "warning: server set to listen on 127.0.0.1:8388, are you sure?")],
        ),
        (
            '"server": "localhost", "server_port": 1',
            [(WARNING, "warning: server set to listen on localhost:1, are you sure?")],
        ),
        (
            '"server": "127.0.0.1", "server_port": [8384, 8345]',
            [(WARNING, "warning: server set to listen on 127.0.0.1:8384, are you sure?")],
        ),
        (
            '"method": "table"',
            [(WARNING, "warning: table is not safe; please use a safer cipher, like AES-256-CFB")],
        ),
        ('"method": "RC4"', [(WARNING, "warning: RC4 is not safe; please use a safer cipher, like AES-256-CFB")]),
        ('"method": "rc4-md5"', []),
        (
            '"password": "mypassword"',
            [(ERROR, "DON'T USE DEFAULT PASSWORD! Please change it in your config.json!")],
        ),
    ],
)
def test_each_warning_in_its_words(keys: str, lines: list[tuple[int, str]]) -> None:
    assert said(keys) == lines


def test_they_come_in_the_old_order() -> None:
    keys = '"server": "127.0.0.1", "password": "mypassword", "method": "rc4", "timeout": 1, "local_address": "0.0.0.0"'
    starts = ["warning: local", "warning: server", "warning: RC4", "warning: your", "DON'T USE"]
    assert [text[: len(start)] for (_, text), start in zip(said(keys), starts, strict=True)] == starts


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("127.0.0.1/4a", "Not a valid CIDR notation: 127.0.0.1/4a"),
        ("::1/128, 10.0.0.0/40,x", "Not a valid CIDR notation: 10.0.0.0/40"),
        ("::1/128,", "--forbidden-ip: this is wrong"),
    ],
)
def test_a_wrong_network_of_a_flag_is_told_in_its_words(value: str, line: str) -> None:
    mark = Mark("--forbidden-ip")
    problem = Problem("--forbidden-ip", None, "", "this is wrong")
    assert PythonWords().error(problem, {"forbidden_ip": Member(mark, Node(value, mark))}) == line


def test_all_other_problems_are_told_in_ours() -> None:
    problem = Problem("config.json", 3, "method", "no such method")
    assert PythonWords().error(problem, {}) == "config.json:3: method: no such method"


def test_a_table_of_passwords_beside_one_is_warned_of_in_its_words() -> None:
    text = json.dumps({"server_port": 8388, "password": "x", "port_password": {"8389": "y"}})
    config = load(text, role="server", dialect="python", fallbacks=OLD)
    expected = "warning: port_password should not be used with server_port and password. "
    expected += "server_port and password will be ignored"
    remarks = [PythonWords().remark(problem) for problem in config.warnings]
    assert [text for level, text in remarks if level == WARNING] == [expected]
    assert {level for level, _ in remarks} == {WARNING, NOTE}
