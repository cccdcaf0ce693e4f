"""What a dialect is: a translation of one tree into our own form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    read: Callable[[str, str, Findings], Node | None] | None = None
    """From a text that is no JSON, and what messages call it, to a tree; None for a text of another dialect."""
    is_document: bool = False
    """Whether somebody else hands it out: a server that cannot be used is left out, and the others serve."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The dialect that a tree is read in."""

    dialect: Dialect
    why: str
    """What spoke for it: a clause, as in "it has workers, a key of Python shadowsocks"."""
    common: bool = False
    """Whether nothing spoke for it: all in the tree means the same to several programs."""
