"""Configurations that the tests of this folder share. The keys in them are nobody's."""

from __future__ import annotations

import json
from collections.abc import Mapping

from shadesocks.config.flags import Given
from shadesocks.config.load import Report, examine
from shadesocks.config.setting import Role
from shadesocks.wire.uri import parse_link

METHOD = "2022-blake3-aes-256-gcm"
KEY = "hAxTKdG9cJIWmI2jPpxVQ1nBtC0uRmZkYp7sLqEwXyM="
STRONG = "mVt5-kd93Qpz_0Lr2xWc"

SERVER: dict[str, object] = {"server": "203.0.113.5", "server_port": 8388, "method": METHOD, "password": KEY}


def text_of(*parts: Mapping[str, object], **more: object) -> str:
    """Return a configuration of the sample server with other keys over it."""
    keys: dict[str, object] = dict(SERVER)
    for part in (*parts, more):
        keys |= part
    return json.dumps({key: value for key, value in keys.items() if value is not ...})


def look(
    text: str | None,
    role: Role | None = None,
    *,
    strict: bool = False,
    overrides: Mapping[str, Given] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Report:
    """Examine with a reader of links and an empty environment."""
    return examine(
        text,
        where="c.json",
        role=role,
        strict=strict,
        overrides=overrides,
        environ=environ or {},
        read_link=parse_link,
    )


def problems(text: str | None, role: Role | None = None, **options: Mapping[str, Given]) -> list[str]:
    """Return the problems as lines."""
    return [str(problem) for problem in look(text, role, **options).problems]  # type: ignore[arg-type]


def warnings(text: str | None, role: Role | None = None, **options: Mapping[str, Given]) -> list[str]:
    """Return the warnings of a configuration that has no problems, as lines."""
    report = look(text, role, **options)  # type: ignore[arg-type]
    assert report.problems == ()
    return [str(warning) for warning in report.warnings]
