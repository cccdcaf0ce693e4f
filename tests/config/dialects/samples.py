"""How the tests of this folder look at files of old programs. The keys in them are nobody's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shadesocks.config import Config
from shadesocks.config.load import Report, examine
from shadesocks.config.reader import Mark, Member, Node
from shadesocks.config.setting import Role
from shadesocks.wire.uri import parse_link

PASSWORD = "Xk29-fkqLm_38sW0"
OLD_NAME = {"allow_legacy": "true"}


def look(
    keys: Mapping[str, object] | None,
    role: Role | None = None,
    dialect: str | None = None,
    flags: Mapping[str, object] | None = None,
) -> Report:
    """Read keys as a program of that dialect would that was started by its own name."""
    return examine(
        None if keys is None else json.dumps(keys, indent=0),
        where="c.json",
        role=role,
        dialect=dialect,
        environ={},
        read_link=parse_link,
        fallbacks=OLD_NAME,
        overlay={key: _flag(f"--{key}", value) for key, value in (flags or {}).items()},
    )


def _flag(name: str, value: Any) -> Member:
    mark = Mark(name)
    if isinstance(value, list):
        return Member(mark, Node(tuple(Node(item, mark) for item in value), mark))
    return Member(mark, Node(value, mark))


def config_of(
    keys: Mapping[str, object] | None,
    role: Role | None = None,
    dialect: str | None = None,
    flags: Mapping[str, object] | None = None,
) -> Config:
    """Return the configuration; the keys must have no problem."""
    report = look(keys, role, dialect, flags)
    assert report.problems == ()
    assert report.config is not None
    return report.config


def problems(keys: Mapping[str, object], role: Role | None = None, dialect: str | None = None) -> list[str]:
    """Return the problems as lines without the name of the file."""
    return [f"{problem.key}: {problem.text}" for problem in look(keys, role, dialect).problems]


_COMMON = ("this password is weak", "a 2022 method at both ends mends that", "private networks are open to clients")


def warnings(
    keys: Mapping[str, object] | None,
    role: Role | None = None,
    dialect: str | None = None,
    flags: Mapping[str, object] | None = None,
) -> list[str]:
    """Return the warnings, but those that nearly every old file earns: old method, weak password, open networks."""
    report = look(keys, role, dialect, flags)
    return [
        f"{warning.key or warning.where}: {warning.text}"
        for warning in report.warnings
        if not any(text in warning.text for text in _COMMON)
    ]


def servers(config: Config) -> list[str]:
    """Return where the servers are, each with its password."""
    return [f"{server.address} {server.password.reveal()}" for server in config.servers]
