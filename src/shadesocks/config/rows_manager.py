"""Rows of the table: managers, a server's own and one that it tells what passed."""

from __future__ import annotations

from typing import Final

from .setting import RUST, SERVER_END, Kind, Setting

ROWS: Final = (
    Setting(
        "manager_listen",
        Kind.TEXT,
        "Where commands add and remove ports while the server runs: HOST:PORT for datagrams, or the path of a Unix "
        "socket. Whoever reaches it commands the server.",
        roles=SERVER_END,
        default_text="no manager",
        flags=("--manager-listen",),
        since="0.2",
    ),
    Setting(
        "manager_dialect",
        Kind.CHOICE,
        "Whose answers and statistics the manager gives, and in whose form `manager_address` is told.",
        roles=SERVER_END,
        default="python",
        choices=("python", "go", "libev", "rust"),
        flags=("--manager-dialect",),
        since="0.2",
    ),
    Setting(
        "manager_allow",
        Kind.NETWORKS,
        "Addresses and networks from which the UDP port of `manager_listen` takes commands. Away from loopback this or "
        "`manager_secret` is a must.",
        roles=SERVER_END,
        default_text="this machine; every address for a program that was started by an old name, as `ss-manager`",
        flags=("--manager-allow",),
        since="0.3",
    ),
    Setting(
        "manager_secret",
        Kind.SECRET,
        "Secret with which commands at the UDP port of `manager_listen` are signed: docs/manager.md has the form.",
        roles=SERVER_END,
        default_text="none: commands are not signed",
        since="0.3",
    ),
    Setting(
        "manager_keep",
        Kind.TEXT,
        "File in which the manager keeps the ports that were added, so that the next start has them again. It holds "
        "their passwords, and only its owner can read it.",
        roles=SERVER_END,
        default_text="none: added ports end with the process",
        flags=("--manager-keep",),
        since="0.3",
    ),
    Setting(
        "manager_address",
        Kind.TEXT,
        "Manager that is told every few seconds what passed through each port: HOST:PORT, a host beside "
        "`manager_port`, or the path of a Unix socket.",
        roles=SERVER_END,
        default_text="none",
        flags=("--manager-address", "--manager-addr"),
        source=RUST,
        since="0.3",
    ),
    Setting(
        "manager_port",
        Kind.PORT,
        "Port of `manager_address`, where that is a host alone.",
        roles=SERVER_END,
        default_text="none",
        source=RUST,
        since="0.3",
    ),
)
