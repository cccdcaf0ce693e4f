"""The files of shadowsocks for Node.js.

    server           a host, HOST:PORT, or a list of them
    server_port      a port or, of a client, a list of them
    port_password    of a server: ports and their passwords
    timeout          of idle connections and associations

Where a time-out is missing, a client takes twice a server's.
"""

from __future__ import annotations

from typing import Final

from ..findings import Findings
from ..reader import Node
from ..setting import NODE, Role
from .doors import lay_out, port_passwords
from .draft import LINK_LOCAL_AND_METADATA, Draft, end_of

METHOD: Final = "table"
TIMEOUTS: Final[dict[Role, int]] = {"local": 600, "server": 300}
REPLY_PORT: Final = 2222
"""BND.PORT of its SOCKS answers."""


def translate(root: Node, role: Role | None, findings: Findings) -> Node:
    """Return the tree in our own form."""
    draft = Draft(root, NODE, findings)
    end = end_of(draft, role)
    secrets = port_passwords(draft, role)
    draft.default("method", METHOD)
    lay_out(draft, secrets)
    draft.time_out(TIMEOUTS[end], none=TIMEOUTS[end])
    draft.verbosity()
    draft.forbid(LINK_LOCAL_AND_METADATA)
    return draft.build(_HABITS)


_HABITS: Final[dict[str, str | int | bool]] = {
    "mode": "tcp_and_udp",
    "udp_require_association": False,
    "balancer.policy": "random",
    "socks_reply_port": REPLY_PORT,
}
