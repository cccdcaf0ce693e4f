"""The dialects of configuration files: each a translation of one tree into our own form.

A dialect sees the tree as `reader.py` made it and answers with one in our own
form, whose nodes keep the places of the nodes they came from, so that every
message still names the right line. Our own form is shadowsocks-rust's with keys
of ours beside it; the other programs' are to be rows of this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .reader import Node


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of writing a configuration."""

    name: str
    summary: str
    translate: Callable[[Node], Node]


def _same(root: Node) -> Node:
    return root


DIALECTS: Final[dict[str, Dialect]] = {
    "rust": Dialect("rust", "shadowsocks-rust's JSON, with the keys of shadesocks", _same),
}


def find_dialect(name: str | None, _root: Node) -> Dialect:
    """Return the dialect of that name; with None, the one the tree is written in.

    Raises:
        KeyError: there is no dialect of that name.
    """
    return DIALECTS["rust" if name is None else name]
