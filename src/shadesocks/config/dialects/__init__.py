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

from ..findings import Findings
from ..reader import Node
from ..setting import Role


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of writing a configuration."""

    name: str
    summary: str
    translate: Callable[[Node, Role | None, Findings], Node]
    """From a tree in this dialect, for the end that is to be started (None: any), to one in our own form."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The dialect that a tree is read in."""

    dialect: Dialect
    why: str
    """What spoke for it: the end of the sentence "read as ..."."""


def _same(root: Node, _role: Role | None, _findings: Findings) -> Node:
    return root


DIALECTS: Final[dict[str, Dialect]] = {
    "rust": Dialect("rust", "shadowsocks-rust's JSON, with the keys of shadesocks", _same),
}


def find_dialect(name: str | None, _root: Node) -> Taken:
    """Return the dialect of that name; with None, the one the tree is written in.

    Raises:
        KeyError: there is no dialect of that name.
    """
    if name is not None:
        return Taken(DIALECTS[name], "as --dialect says")
    return Taken(DIALECTS["rust"], "nothing in it belongs to another program")
