"""The table of dialects."""

from __future__ import annotations

from typing import Any

import pytest

from shadesocks.config import dump, load
from shadesocks.config.dialects import DIALECTS, find_dialect
from shadesocks.config.findings import Findings
from shadesocks.config.load import examine
from shadesocks.config.reader import read
from shadesocks.config.setting import Role
from shadesocks.wire.uri import parse_link

from .dialects import test_go as old_go
from .dialects import test_libev as old_libev
from .dialects import test_lite as old_lite
from .dialects import test_node as old_node
from .dialects import test_python as old_python
from .dialects.samples import config_of


def test_our_own_is_found_and_changes_nothing() -> None:
    root = read("{}").root
    assert root is not None
    assert find_dialect(None, root).dialect is find_dialect("rust", root).dialect is DIALECTS["rust"]
    assert DIALECTS["rust"].translate(root, None, Findings(None)) is root


def test_names_are_those_of_the_rows() -> None:
    assert all(name == dialect.name for name, dialect in DIALECTS.items())
    root = read("{}").root
    assert root is not None
    with pytest.raises(KeyError):
        find_dialect("klingon", root)


@pytest.mark.parametrize("dialect", [None, "sip008", "outline"])
def test_a_form_that_is_not_read_is_told_once(dialect: str | None) -> None:
    report = examine("proxies:\n  - type: ss\n", where="c.yaml", dialect=dialect, read_link=parse_link)
    assert [str(problem).partition(",")[0] for problem in report.problems] == ["c.yaml: this is YAML of Clash"]
    assert report.config is None


FILES = [
    *[
        ("python", keys)
        for keys in (old_python.AES, old_python.MULTI_PORTS, old_python.MULTI_PASSWORDS, old_python.OTA)
    ],
    *[("python", keys) for keys in (old_python.TABLE, old_python.IPV6, old_python.DNS)],
    *[("go", keys) for keys in (old_go.SAMPLE, old_go.DEPRECATED)],
    *[("libev", keys) for keys in (old_libev.SAMPLE, old_libev.ONE, old_libev.MANAGER)],
    *[("node", keys) for keys in (old_node.ONE, old_node.CLIENT_PLACES, old_node.SERVER_PASSWORDS)],
    ("lite", old_lite.SAMPLE),
]


@pytest.mark.parametrize(("name", "keys"), FILES)
@pytest.mark.parametrize("role", ["server", "local", None])
def test_what_was_read_is_the_same_in_our_own_form(name: str, keys: dict[str, Any], role: Role | None) -> None:
    config = config_of(keys, role, name)
    assert load(dump(config), role=role, read_link=parse_link) == config
