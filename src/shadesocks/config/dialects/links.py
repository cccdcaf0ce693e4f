"""Files that are lists of links: a server for each ss:// link, a subscription for each ssconf:// link.

The links themselves stay texts here: `servers[]` takes them as they are, and judges each where it is built.
"""

from __future__ import annotations

from typing import Final

from ..findings import Findings
from ..link_list import LinkLine, find_links
from ..reader import Mark, Member, Node
from ..servers import LINK_MODE
from ..setting import LOCAL_END
from ..urls import FOR_CLIENTS

_NONE: Final = "there is no link in it that begins with ss:// or ssconf://; such links name Shadowsocks servers"


def read_links(text: str, where: str, findings: Findings) -> Node | None:
    """Return the tree of a list of links in our own form; None for another text."""
    found = find_links(text)
    if found is None:
        return None
    mark = Mark(where, 1)
    if found.left_out:
        findings.warn(mark, "", found.left_out)
    if not found.servers and not found.documents:
        findings.problem(mark, "", _NONE)
    members = {"mode": Member(mark, Node(LINK_MODE.value, mark))}
    if found.servers:
        members["servers"] = _member(found.servers, where)
    if found.documents:
        if not findings.concerns(LOCAL_END):
            findings.problem(mark, "", FOR_CLIENTS)
        members["online_config"] = Member(mark, Node({"config_url": _member(found.documents, where)}, mark))
    return Node(members, mark)


def _member(lines: tuple[LinkLine, ...], where: str) -> Member:
    nodes = tuple(Node(each.text, Mark(where, each.line)) for each in lines)
    return Member(nodes[0].mark, Node(nodes, nodes[0].mark))
