"""The dialects of configuration files: each a translation of one tree into our own form.

A dialect sees the tree as `reader.py` made it and answers with one in our own form, whose nodes keep the places of
the nodes they came from, so that every message still names the right line. Our own form is shadowsocks-rust's with
keys of ours beside it; keys of ours may stand in a file of any dialect.
"""

from __future__ import annotations

from typing import Final

from ..findings import Findings
from ..reader import Node
from ..setting import Role
from . import go, libev, lite, node, procurator, python
from .seam import Dialect, Taken
from .sniff import sniff

__all__ = ["DIALECTS", "Dialect", "Taken", "find_dialect"]


def _same(root: Node, _role: Role | None, _findings: Findings) -> Node:
    return root


_ROWS: Final = (
    Dialect("rust", "shadowsocks-rust's JSON, with the keys of shadesocks", _same),
    Dialect("python", "Python shadowsocks, 2.6 to 3.0", python.translate),
    Dialect("libev", "shadowsocks-libev", libev.translate),
    Dialect("go", "shadowsocks-go", go.translate),
    Dialect("lite", "shadowsocks-lite", lite.translate),
    Dialect("node", "shadowsocks for Node.js", node.translate),
    Dialect("procurator", "procurator's flags as keys", procurator.translate),
)

DIALECTS: Final[dict[str, Dialect]] = {row.name: row for row in _ROWS}


def find_dialect(name: str | None, root: Node) -> Taken:
    """Return the dialect of that name; with None, the one the tree is written in.

    Raises:
        KeyError: there is no dialect of that name.
    """
    if name is not None:
        return Taken(DIALECTS[name], "that is what was asked for")
    found, why = sniff(root)
    return Taken(DIALECTS[found], why or "nothing in it belongs to another program", common=not why)
