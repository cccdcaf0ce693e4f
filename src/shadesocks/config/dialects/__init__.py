"""The dialects of configuration files: each a translation of one tree into our own form.

A dialect sees the tree as `reader.py` made it and answers with one in our own form, whose nodes keep the places of
the nodes they came from, so that every message still names the right line. Our own form is shadowsocks-rust's with
keys of ours beside it; keys of ours may stand in a file of any dialect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ...core.later import later
from ..findings import Findings
from ..reader import BROKEN, Mark, Node
from ..setting import Role
from .seam import Dialect, Taken
from .sniff import sniff

__all__ = ["DIALECTS", "Dialect", "Taken", "find_dialect"]


_ASKED: Final = "that is what was asked for"


def _same(root: Node, _role: Role | None, _findings: Findings) -> Node:
    return root


def _of(module: str) -> Callable[..., Any]:
    """Return the translation of a dialect, which is loaded for whoever writes it."""
    return later(__name__, f".{module}", "translate")


_ROWS: Final = (
    Dialect("rust", "shadowsocks-rust's JSON, with the keys of shadesocks", _same),
    Dialect("python", "Python shadowsocks, 2.6 to 3.0", _of("python")),
    Dialect("libev", "shadowsocks-libev", _of("libev")),
    Dialect("go", "shadowsocks-go", _of("go")),
    Dialect("lite", "shadowsocks-lite", _of("lite")),
    Dialect("node", "shadowsocks for Node.js", _of("node")),
    Dialect("procurator", "procurator's flags as keys", _of("procurator")),
    Dialect("links", "a list of ss:// links, plain or base64", _same, later(__name__, ".links", "read_links"), True),
    Dialect("sip008", "a document of SIP008", _of("sip008"), is_document=True),
    Dialect("outline", "Outline: an access key, or the keys of a server", _of("outline"), is_document=True),
    Dialect("sing-box", "sing-box: its Shadowsocks outbounds", _of("sing_box"), is_document=True),
)

DIALECTS: Final[dict[str, Dialect]] = {row.name: row for row in _ROWS}


def find_text_dialect(name: str | None, text: str, where: str, findings: Findings) -> tuple[Node, Taken] | None:
    """Return the tree of a text that is no JSON, and its dialect; None for JSON, or what is to be read as such.

    A text that is not of the dialect that was asked for is a problem, and has an empty tree; so is one whose form is
    known, and not read.
    """
    if name is None and (not text or text.startswith("{")):  # as most do, and no other form
        return None
    for dialect in _ROWS:
        if dialect.read is None or name not in (None, dialect.name):
            continue
        tree = dialect.read(text, where, findings)
        if tree is not None:
            return tree, Taken(dialect, f"it is {dialect.summary}")
        if name is not None:
            findings.problem(Mark(where, 1), "", f"this is not {dialect.summary}")
            return Node(BROKEN, Mark(where, 1)), Taken(dialect, _ASKED)
    from ..unread import name_form

    form = name_form(text)
    if not form:
        return None
    findings.problem(Mark(where), "", form)
    return Node(BROKEN, Mark(where)), Taken(_ROWS[0], "")


def find_dialect(name: str | None, root: Node) -> Taken:
    """Return the dialect of that name; with None, the one the tree is written in.

    Raises:
        KeyError: there is no dialect of that name.
    """
    if name is not None:
        return Taken(DIALECTS[name], _ASKED)
    found, why = sniff(root)
    return Taken(DIALECTS[found], why or "nothing in it belongs to another program", common=not why)
