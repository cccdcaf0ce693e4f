"""The files of shadowsocks-lite: one method, one port, and of servers the one that answers fastest.

All of server, server_port, password, local_address and local_port had to be there, at both ends; here an end asks
for what it needs.
"""

from __future__ import annotations

from typing import Final

from ..findings import Findings
from ..reader import Node
from ..setting import LITE, Role
from .doors import lay_out
from .draft import LINK_LOCAL_AND_METADATA, Draft

METHOD: Final = "aes-256-cfb"
IDLE: Final = 600
REPLY_PORT: Final = 1


def translate(root: Node, _role: Role | None, findings: Findings) -> Node:
    """Return the tree in our own form."""
    draft = Draft(root, LITE, findings)
    _pass_over(draft)
    draft.default("method", METHOD)
    lay_out(draft)
    draft.verbosity()
    draft.default("idle_timeout", IDLE)
    draft.default("udp_timeout", IDLE)
    draft.forbid(LINK_LOCAL_AND_METADATA)
    return draft.build(_HABITS)


_HABITS: Final[dict[str, str | int | bool]] = {
    "mode": "tcp_and_udp",
    "udp_require_association": False,
    "balancer.policy": "fastest",
    "socks_reply_port": REPLY_PORT,
}


def _pass_over(draft: Draft) -> None:
    """Pass over what that program did not look at, and the others do: its peers count on what is fixed."""
    fixed = {"method": METHOD, "timeout": f"idle_timeout, {IDLE} s"}
    for key, value in fixed.items():
        member = draft.pop(key)
        if member is not None and member.node.value not in (METHOD, IDLE):
            text = f"has no effect: shadowsocks-lite has {value}, whatever stands here"
            draft.warn(member, key, text)
