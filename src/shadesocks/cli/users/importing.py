"""Many users from one file: CSV with a line of names above, or JSON.

    name,quota,expires,note
    anna,50G,2027-01-31,third floor

    [{"name": "anna", "quota": {"size": "50G", "window": "month"}}, ...]        members as in a config

Columns are the options of `shadesocks user add` with _ in the place of -, `password` and `port` among them.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import click

from ...config.user import MEMBERS
from ..exits import CONFIG, Failed, why
from ..running import shown
from .entries import NAMES, NONE, members_of

STDIN: Final = "-"
_DIGITS_MOST: Final = 5
"""Of a port."""
_COLUMNS: Final = ("name", "password", "port", "enabled", *NAMES)
"""Of CSV."""
_WORDS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_users(file: str, common: Mapping[str, Any], now: float) -> list[tuple[str, dict[str, Any]]]:
    """Return names and members of the users of a file; what it does not say is as in `common`. `-` is stdin.

    Raises:
        Failed: it cannot be read, or one is none; nothing of it is repeated but names.
    """
    text = _text(file)
    source = "stdin" if file == STDIN else file
    rows = _of_json(text, source, common) if text.lstrip()[:1] in ("[", "{") else _of_csv(text, source, common, now)
    found: dict[str, dict[str, Any]] = {}
    for name, members in rows:
        if name in found:
            raise Failed(f"{source}: {shown(name)} stands there twice; nothing is changed", CONFIG)
        found[name] = members
    if not found:
        raise Failed(f"{source}: there is no user in it", CONFIG)
    return list(found.items())


def _text(file: str) -> str:
    try:
        if file == STDIN:
            return sys.stdin.read()
        with open(file, encoding="utf-8-sig", newline="") as opened:  # spreadsheets write a byte order mark
            return opened.read()
    except OSError as error:
        raise Failed(f"{file} cannot be read: {why(error)}", CONFIG) from None
    except ValueError:
        raise Failed(f"{file} is not UTF-8", CONFIG) from None


def _of_json(text: str, source: str, common: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise Failed(f"{source}{f':{line}' if line else ''}: this is no JSON", CONFIG) from None
    if isinstance(tree, dict):
        tree = tree["users"] if isinstance(tree.get("users"), list) else [tree]
    for number, item in enumerate(tree, 1):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise Failed(f"{source}: user {number} is no object with a name", CONFIG)
        _check_names(item, MEMBERS, f"{source}: user {number}")
        yield item["name"], {**common, **{key: value for key, value in item.items() if key != "name"}}


def _of_csv(text: str, source: str, common: Mapping[str, Any], now: float) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        table = csv.DictReader(text.splitlines(keepends=True), strict=True)
        names = [name for name in table.fieldnames or () if name]
        rows = list(table)
    except csv.Error as error:
        raise Failed(f"{source}: this is no CSV: {error}", CONFIG) from None
    if names and "name" not in names:
        raise Failed(f"{source}:1: here stand the names of the columns, and one of them is name", CONFIG)
    _check_names(names, _COLUMNS, f"{source}:1")
    for number, row in enumerate(rows, 2):
        place = f"{source}:{number}"
        if None in row or not row.get("name"):
            raise Failed(f"{place}: a name, and no more columns than there are names above, are expected", CONFIG)
        given = {key: value for key, value in row.items() if value}
        members = dict(common)
        for key in ("password", "port", "enabled"):
            value = given.pop(key, "").strip()
            if value and value.lower() not in NONE:
                members[key] = value if key == "password" else _plain(key, value, place)
        try:
            yield row["name"], members_of(given, members, now)
        except click.UsageError as error:
            raise Failed(f"{place}: {error.message}", CONFIG) from None


def _check_names(row: Iterable[str], known: Sequence[str], place: str) -> None:
    unknown = [key for key in row if key not in known and not key.startswith(("_", "//"))]
    if unknown:
        raise Failed(f"{place}: {shown(unknown[0])} is nothing that a user has; there are {', '.join(known)}", CONFIG)


def _plain(key: str, text: str, place: str) -> Any:
    if key == "enabled":
        if text.lower() not in _WORDS:
            raise Failed(f"{place}: enabled is true or false", CONFIG)
        return _WORDS[text.lower()]
    if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS_MOST:
        raise Failed(f"{place}: port is a number", CONFIG)
    return int(text)
