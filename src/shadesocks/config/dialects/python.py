"""The files of Python shadowsocks, 2.6 to 3.0.

    server, server_port     text or number, or lists of them: each host with each port
    port_password           an object of ports and passwords, which goes before server_port and password on a server
    timeout                 of idle connections and associations, not of dialling
    manager_address         where commands are taken
    tunnel_remote, ...      a second listener, all of whose traffic has one target
    daemon                  go to the background; pid-file and log-file are its own, and nothing without it

`dns_server`, `prefer_ipv6` and `forbidden_ip` are keys of ours, too, and are read as such: texts with commas are lists,
and an address without a prefix is one address.
"""

from __future__ import annotations

import os.path
from typing import Final

from ..findings import Findings
from ..reader import Member, Node
from ..setting import LOCAL_END, PYTHON, Role
from .doors import keep_template, lay_out, port_passwords
from .draft import Draft, said_as

METHOD: Final = "aes-256-cfb"
PORT: Final = 8388
TIMEOUT: Final = 300
FORBIDDEN: Final = ("127.0.0.0/8", "::1/128")
REPLY_PORT: Final = 4112
"""BND.PORT of its SOCKS answers: the bytes 10 10."""

PID_FILE: Final = "/var/run/shadowsocks.pid"
LOG_FILE: Final = "/var/log/shadowsocks.log"

_TUNNEL: Final[dict[str, str | int]] = {"tunnel_remote": "8.8.8.8", "tunnel_remote_port": 53, "tunnel_port": 53}
_LIBRARIES: Final = ("libopenssl", "libmbedtls", "libsodium")


def translate(root: Node, role: Role | None, findings: Findings) -> Node:
    """Return the tree in our own form."""
    draft = Draft(root, PYTHON, findings)
    draft.flags("fast_open", "one_time_auth", "prefer_ipv6")
    _check_libraries(draft)
    own = draft.has_own_servers()
    secrets = port_passwords(draft, role)
    _open_manager(draft, role)
    only_manager = draft.has("manager_listen") and not secrets and not draft.has("password", "servers")
    if only_manager:
        draft.drop("server_port")
        keep_template(draft, METHOD)
    elif not own:
        if role != "local":
            draft.default("server", "0.0.0.0")  # noqa: S104 - a server is there to be reached
        draft.default("server_port", PORT)
        draft.default("method", METHOD)
        lay_out(draft, secrets)
    draft.time_out(TIMEOUT)
    draft.verbosity()
    _add_tunnel(draft, role)
    _daemonize(draft)
    draft.forbid(FORBIDDEN)
    return draft.build(_HABITS)


_HABITS: Final[dict[str, str | int | bool]] = {
    "mode": "tcp_and_udp",
    "udp_require_association": False,
    "balancer.policy": "random",
    "socks_reply_port": REPLY_PORT,
}


def _check_libraries(draft: Draft) -> None:
    """Refuse the path of a library that is not there, as that program did."""
    for key in _LIBRARIES:
        member = draft.get(key)
        path = member.node.value if member is not None else ""
        if member is None or not isinstance(path, str):
            continue
        if path and not os.path.exists(path):
            text = "there is no such file; remove it, since ciphers come with this program"
            draft.problem(member, key, text)
            draft.drop(key)


def _open_manager(draft: Draft, role: Role | None) -> None:
    if role == "local":
        draft.drop("manager_address")
    elif draft.has("manager_address"):
        draft.move("manager_address", "manager_listen")
        draft.default("manager_dialect", "python")


def _daemonize(draft: Draft) -> None:
    """Go to the background where a file or `-d` says so; its files are nobody else's."""
    member = draft.get("daemon")
    if member is None:
        draft.drop("daemon", "pid-file", "log-file")
        return
    draft.drop("daemon")
    if member.node.value not in ("", "start", "restart"):
        draft.problem(member, "daemon", "expected start or restart; to stop a daemon, call its program with -d stop")
    draft.move("pid-file", "pid_file")
    draft.default("pid_file", PID_FILE)
    log = draft.pop("log-file")
    if log is not None and isinstance(log.node.value, str):
        draft.derive("log.file", log.node.value, said_as(log, "log-file"))
    elif log is not None:
        draft.problem(log, "log-file", "expected text in quotes")
    draft.default("log.file", LOG_FILE)
    draft.default("daemonize", True)


def _add_tunnel(draft: Draft, role: Role | None) -> None:
    """Put a listener with one target beside the SOCKS one, where any of its keys is given."""
    given = [draft.pop(key) for key in _TUNNEL]
    if role == "server" or not any(given):
        return
    host, port, listen = (
        said_as(member, key) if member is not None else draft.made(value)
        for member, (key, value) in zip(given, _TUNNEL.items(), strict=True)
    )
    if listen.mark.default:
        source, key = next((member, key) for member, key in zip(given, _TUNNEL, strict=True) if member is not None)
        text = f"the tunnel listens on port {_TUNNEL['tunnel_port']}, since tunnel_port is not given"
        draft.warn(source, key, text, LOCAL_END)
    draft.default("local_address", "127.0.0.1")
    draft.default("local_port", 1080)
    add_tunnel(draft, listen, host, port, "tcp_and_udp")


def add_tunnel(draft: Draft, listen: Member, host: Member, port: Member, mode: str) -> None:
    """Put a listener with one target before the other entries of `locals[]`; the address is that of the SOCKS one."""
    address = said_as(draft.get("local_address") or draft.made("127.0.0.1"), "local_address")
    entry = {"local_address": address, "local_port": listen, "protocol": draft.made("tunnel")}
    entry |= {"forward_address": host, "forward_port": port, "mode": draft.made(mode)}
    draft.append("locals", [entry])
