"""The files of shadowsocks-libev: ss-server, ss-local, ss-tunnel, ss-redir and ss-manager.

    server            a host, or a list of hosts that may have ports of their own
    timeout           of idle connections and associations; a server waits for a day at least
    tunnel_address    HOST:PORT: the one target of everything
    port_password     ss-manager's: ports and their passwords
    local_address     of a server: where its connections leave from

Keys of several of these programs may stand in one file.
"""

from __future__ import annotations

from typing import Final

from ...core.address import pack_ip
from ..findings import Findings
from ..hosts import split_port
from ..model import Mode
from ..reader import BROKEN, Member, Node
from ..setting import LIBEV, Role
from .doors import keep_template, lay_out, port_passwords
from .draft import LINK_LOCAL_AND_METADATA, Draft, end_of

METHOD: Final = "chacha20-ietf-poly1305"
TIMEOUT: Final = 60
SERVER_IDLE_LEAST: Final = 24 * 3600
"""Seconds; ss-server closes no idle connection earlier, whatever its timeout: that one is for handshakes there. A
connection is the client's to end, and a server that ends it first breaks what waits long, such as a shell."""

_FLAGS: Final = ("fast_open", "reuse_port", "no_delay", "mptcp", "ipv6_first", "tcp_tproxy", "use_syslog", "auth")


def translate(root: Node, role: Role | None, findings: Findings) -> Node:
    """Return the tree in our own form."""
    draft = Draft(root, LIBEV, findings)
    end = end_of(draft, role)
    draft.flags(*_FLAGS)
    _refuse_auth(draft)
    _open_manager(draft, role)
    own = draft.has_own_servers()
    secrets = port_passwords(draft, role)
    if role != "local" and not own:
        draft.default("server", "0.0.0.0")  # noqa: S104 - a server is there to be reached
    if draft.has("manager_listen") and not secrets and not draft.has("password", "key", "servers"):
        draft.drop("server_port")
        keep_template(draft, METHOD)
    elif draft.has("server_port", "password", "key") or secrets:
        draft.default("method", METHOD)
        lay_out(draft, secrets)
    if end == "server":
        _leave_from_local_address(draft)
    draft.time_out(TIMEOUT, least=SERVER_IDLE_LEAST if end == "server" else 0)
    draft.verbosity()
    if (syslog := draft.get("use_syslog")) is not None and syslog.node.value is True:
        draft.derive("log.format.without_time", True, syslog)
    _lead_to_tunnel_address(draft)
    _check_mode(draft)
    if (nofile := draft.get("nofile")) is not None and nofile.node.value in (0, "0"):
        draft.drop("nofile")  # 0 leaves the limit as it is
    draft.forbid(LINK_LOCAL_AND_METADATA)
    return draft.build(_HABITS)


_HABITS: Final[dict[str, str | bool]] = {
    "mode": "tcp_only",
    "acl_dialect": "libev",
    "udp_require_association": False,
    "balancer.policy": "random",
}


def _refuse_auth(draft: Draft) -> None:
    member = draft.pop("auth")
    if member is not None and member.node.value:
        text = (
            "shadowsocks-libev has no one-time authentication any more, and does not start with this key; remove it, "
            "or write one_time_auth, if the other end wants it"
        )
        draft.problem(member, "auth", text)


def _open_manager(draft: Draft, role: Role | None) -> None:
    """Make ss-manager's address ours; ss-server has the same key for an address that it reports to."""
    if role == "local":
        draft.drop("manager_address")
    elif draft.has("manager_address") and draft.has("port_password", "manager_dialect"):
        draft.move("manager_address", "manager_listen")
        draft.default("manager_dialect", "libev")
    elif draft.has("manager_address"):
        draft.default("manager_dialect", "libev")  # in whose form it is told what passed


def _leave_from_local_address(draft: Draft) -> None:
    """Let a server's connections leave from `local_address`, unless that is the client's in a file for both."""
    member = draft.pop("local_address")
    text = member.node.value if member is not None else ""
    packed = pack_ip(text) if isinstance(text, str) else None
    if member is None or packed is None or not any(packed) or packed[0] == 127 or packed == bytes(15) + b"\1":
        return
    draft.set("local_address", member)
    draft.move("local_address", "outbound_bind_addr")


def _lead_to_tunnel_address(draft: Draft) -> None:
    member = draft.pop("tunnel_address")
    if member is None:
        return
    text = member.node.value
    host, port = split_port(text) if isinstance(text, str) else ("", "")
    if not host or not port:
        draft.problem(member, "tunnel_address", "expected a host and a port, as in 8.8.8.8:53")
        for key in ("forward_address", "forward_port"):  # told once
            draft.set(key, Member(member.mark, Node(BROKEN, member.node.mark), "tunnel_address"))
        return
    member = Member(member.mark, member.node, "tunnel_address")
    draft.default("protocol", "tunnel")
    draft.derive("forward_address", host, member)
    draft.derive("forward_port", port, member)


def _check_mode(draft: Draft) -> None:
    member = draft.get("mode")
    if member is not None and member.node.value not in [mode.value for mode in Mode]:
        draft.warn(member, "mode", "the word is not known, so tcp_only is taken")
        draft.drop("mode")
