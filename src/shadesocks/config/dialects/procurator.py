"""What procurator is told: it has no file, so these are the names of its flags, with underscores.

    remote_host, remote_port          the server; of a server: where it listens, on every interface
    local_port                        of SOCKS5, on every interface
    udp_target_host, udp_target_port  a target for all datagrams that come to local_udp_port
    remote_udp_port                   of librdp, its own transport over UDP, which is not spoken here

UDP has the number of the TCP port at the server.
"""

from __future__ import annotations

from typing import Final

from ..findings import Findings
from ..reader import Node
from ..setting import PROCURATOR, Role
from .doors import lay_out
from .draft import LINK_LOCAL_AND_METADATA, Draft, said_as
from .go import every_address
from .python import add_tunnel

METHOD: Final = "aes-256-cfb"
IDLE: Final = 600
UDP_TIMEOUT: Final = 30
REPLY_PORT: Final = 1
POOL: Final = 8
"""Connections to its server that its client keeps ready."""
_LEVELS: Final = {"LL_DEBUG": "trace", "LL_VERBOSE": "debug", "LL_NOTICE": "info", "LL_WARNING": "warning"}
_TARGET: Final = ("udp_target_host", "udp_target_port")


def translate(root: Node, role: Role | None, findings: Findings) -> Node:
    """Return the tree in our own form."""
    draft = Draft(root, PROCURATOR, findings)
    end = role or ("local" if draft.has("remote_host", "local_port") else "server")
    draft.move("remote_host", "server")
    draft.move("remote_port", "server_port")
    if end == "server":
        draft.drop("server")
        draft.default("server", every_address())
    else:
        draft.default("local_address", "0.0.0.0")  # noqa: S104 - its users count on it, and are warned
        draft.default("pool", POOL)
    draft.default("method", METHOD)
    lay_out(draft)
    _forward_datagrams(draft, end)
    _pass_over_librdp(draft)
    _set_level(draft)
    draft.default("idle_timeout", IDLE)
    draft.default("udp_timeout", UDP_TIMEOUT)
    draft.forbid(LINK_LOCAL_AND_METADATA)
    return draft.build(_HABITS)


_HABITS: Final[dict[str, str | int | bool]] = {
    "mode": "tcp_and_udp",
    "udp_require_association": False,
    "compat": "procurator",
    "stream_replay": "allow",  # its clients send one IV for ever
    "socks_reply_port": REPLY_PORT,
}


def _forward_datagrams(draft: Draft, end: Role) -> None:
    """Give the port of datagrams one target, where there is one; else it is that of SOCKS datagrams."""
    host, port = (draft.pop(key) for key in _TARGET)
    if end == "server" or host is None or port is None:
        return
    listen = draft.pop("local_udp_port")
    if listen is None:
        text = "local_udp_port is missing: the port whose datagrams go to this target"
        draft.problem(host, _TARGET[0], text)
        return
    draft.default("local_port", 1080)
    host, port = (said_as(member, key) for member, key in zip((host, port), _TARGET, strict=True))
    add_tunnel(draft, listen, host, port, "udp_only")


def _pass_over_librdp(draft: Draft) -> None:
    member = draft.pop("remote_udp_port")
    if member is not None:
        text = "has no effect: procurator's librdp transport is not spoken here; UDP has the number of remote_port"
        draft.warn(member, "remote_udp_port", text)


def _set_level(draft: Draft) -> None:
    member = draft.pop("log_level")
    word = member.node.value if member is not None else None
    if member is not None and isinstance(word, str) and word in _LEVELS:
        draft.derive("log.level", _LEVELS[word], said_as(member, "log_level"))
