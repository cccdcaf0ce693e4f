"""The programs of shadowsocks-libev (3.3): `ss-server`, `ss-local`, `ss-tunnel`, `ss-redir`, `ss-manager`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from ...config.files import DIRECTORY_MODE, config_directory
from ...config.reader import Member, Node
from .program import HELP, OLD_NAME, Act, Flag, Need, OldProgram
from .syntax import gnu


def search(given: bool) -> Iterator[Path]:
    """Yield where a file is looked for: nowhere, once there is any word on the command line."""
    if not given:
        yield config_directory() / "shadowsocks-libev" / "config.json"
        yield Path("/etc/shadowsocks-libev/config.json")


def own_socket() -> str:
    """Return where ss-manager takes commands if nobody says; makes its directory, as it did, for this user alone."""
    directory = os.path.expanduser("~/.shadowsocks")
    with suppress(OSError):  # told where the socket is opened
        os.makedirs(directory, DIRECTORY_MODE, exist_ok=True)
    return os.path.join(directory, ".ss-manager.socks")


def own_port(in_file: Mapping[str, Member]) -> dict[str, Member]:
    """Pass over `port_password`: it is ss-manager's, and ss-server serves the one port that its file names."""
    member = in_file.get("port_password")
    return {} if member is None else {"port_password": Member(member.mark, Node(None, member.mark))}


_ANDROID: Final = "has no effect: this belongs to Android"
_ONE_TIME_AUTH: Final = "one-time authentication is no longer a part of shadowsocks-libev; leave this flag out"

_ROWS: Final[tuple[tuple[str, Flag], ...]] = (
    ("stlrm", Flag(("-c",), "read this config", "FILE", act=Act.CONFIG)),
    ("s", Flag(("-s",), "address to listen on; may be given again", "HOST", key="server", several=True)),
    ("m", Flag(("-s",), "address that ports listen on", "HOST", setting="server")),
    ("tlr", Flag(("-s",), "the server to connect to; may be given again", "HOST", key="server", several=True)),
    ("stlr", Flag(("-p",), "port of the server", "PORT", key="server_port")),
    ("tlr", Flag(("-l",), "port to listen on", "PORT", key="local_port")),
    ("t", Flag(("-L",), "where everything goes", "HOST:PORT", key="tunnel_address")),
    ("stlr", Flag(("-k", "--password"), "password; a config hides it better", "PASSWORD", key="password")),
    (
        "m",
        Flag(
            ("-k", "--password"),
            "accepted; each port is added with its own",
            "PASSWORD",
            act=Act.NOTHING,
            note="has no effect: each port is added with a password of its own",
        ),
    ),
    ("stlr", Flag(("--key",), "the key itself, in base64", "KEY", key="key")),
    ("stlrm", Flag(("-m",), "cipher; default chacha20-ietf-poly1305", "METHOD", key="method")),
    ("stlrm", Flag(("-t",), "seconds that a connection may be idle; default 60", "SECONDS", key="timeout")),
    ("tlr", Flag(("-b",), "address to listen on; default 127.0.0.1", "HOST", key="local_address")),
    ("s", Flag(("-b",), "address from which connections leave", "IP", setting="outbound_bind_address")),
    ("stlm", Flag(("-i",), "interface through which connections leave", "NAME", setting="outbound_bind_interface")),
    ("stlrm", Flag(("-u",), "TCP and UDP", key="mode", constant="tcp_and_udp")),
    ("stlrm", Flag(("-U",), "UDP only", key="mode", constant="udp_only")),
    ("stlrm", Flag(("-6",), "IPv6 addresses first", key="ipv6_first")),
    ("sm", Flag(("-d",), "name servers", "LIST", key="nameserver")),
    ("stlrm", Flag(("-n",), "open files at most", "COUNT", key="nofile")),
    ("stlrm", Flag(("-a",), "user to become once all ports are open", "NAME", key="user")),
    ("stlrm", Flag(("-f",), "run as a daemon, with this pid file", "PIDFILE", setting="pid_file", also="daemonize")),
    ("stlrm", Flag(("-v",), "log more", setting="log_level", constant="debug")),
    ("r", Flag(("-T",), "redirect TCP by TPROXY (a later version)", key="tcp_tproxy")),
    (
        "m",
        Flag(
            ("-D", "--workdir"),
            "accepted; no files are kept there",
            "DIR",
            act=Act.NOTHING,
            note="has no effect: the manager keeps no files",
        ),
    ),
    (
        "m",
        Flag(
            ("--executable",),
            "accepted; no program is started",
            "FILE",
            act=Act.NOTHING,
            note="has no effect: the manager serves the ports itself",
        ),
    ),
    ("m", Flag(("--manager-address",), "where commands add and remove ports", "ADDRESS", key="manager_address")),
    ("s", Flag(("--manager-address",), "who is told every 5 s what passed", "ADDRESS", key="manager_address")),
    ("slm", Flag(("--acl",), "rules for clients and targets", "FILE", key="acl")),
    ("stlrm", Flag(("--fast-open",), "TCP Fast Open", key="fast_open")),
    ("stlrm", Flag(("--no-delay",), "send small packets at once", key="no_delay")),
    ("stlrm", Flag(("--reuse-port",), "let others of this user listen on the same port", key="reuse_port")),
    ("stlrm", Flag(("--mtu",), "accepted; the system finds it", "BYTES", key="mtu")),
    ("stlr", Flag(("--mptcp",), "Multipath TCP", key="mptcp")),
    ("stlrm", Flag(("--plugin",), "plugin: a name in PATH, or an absolute path", "NAME", key="plugin")),
    ("stlrm", Flag(("--plugin-opts",), "its options; a config hides them better", "TEXT", key="plugin_opts")),
    *(
        ("stlr", Flag((f"--tcp-{side}-{way}buf",), f"{what} of {side} sockets", "BYTES", key=f"tcp_{side}_{way}buf"))
        for side in ("incoming", "outgoing")
        for way, what in (("snd", "send buffer"), ("rcv", "receive buffer"))
    ),
    (
        "s",
        Flag(
            ("--nftables-sets",),
            "accepted; none is filled",
            "LIST",
            act=Act.NOTHING,
            note="has no effect: no sets of nftables are filled",
        ),
    ),
    ("stlrm", Flag(("-A",), "gone: one-time authentication", act=Act.REFUSE, note=_ONE_TIME_AUTH)),
    ("l", Flag(("-S",), "accepted; of Android", "PATH", act=Act.NOTHING, note=_ANDROID)),
    ("lt", Flag(("-V",), "accepted; of Android", act=Act.NOTHING, note=_ANDROID)),
    ("stlrm", HELP),
)
"""Each flag with the programs that have it: server, tunnel, local, redir, manager."""


def _flags(letter: str) -> tuple[Flag, ...]:
    return tuple(flag for letters, flag in _ROWS if letter in letters)


_USAGE: Final = "usage: {name} [OPTION]..."
_PASSWORD: Final = Need(("password", "key"), "no password is given; give -k, or password in the config")
_CLIENT: Final = (
    Need(("server",), "no server is given; give -s, or server in the config"),
    Need(("local_port",), "no port to listen on is given; give -l, or local_port in the config"),
    _PASSWORD,
)

PROGRAMS: Final = {
    "ss-server": OldProgram(
        "ss-server",
        "libev",
        "server",
        "A Shadowsocks server, as shadowsocks-libev's.",
        _flags("s"),
        gnu,
        _USAGE,
        usage_code=1,
        refused_code=255,
        derive=own_port,
        needs=(Need(("server_port",), "no port is given; give -p, or server_port in the config"), _PASSWORD),
        search=search,
        fallbacks=OLD_NAME,
    ),
    "ss-local": OldProgram(
        "ss-local",
        "libev",
        "local",
        "A SOCKS5 port whose connections go out through a server, as shadowsocks-libev's.",
        _flags("l"),
        gnu,
        _USAGE,
        usage_code=1,
        refused_code=255,
        needs=_CLIENT,
        search=search,
        fallbacks=OLD_NAME,
        fixed={"protocol": "socks"},
    ),
    "ss-tunnel": OldProgram(
        "ss-tunnel",
        "libev",
        "local",
        "A port whose connections all go to one target through a server, as shadowsocks-libev's.",
        _flags("t"),
        gnu,
        _USAGE,
        usage_code=1,
        refused_code=255,
        needs=(*_CLIENT, Need(("tunnel_address",), "no target is given; give -L HOST:PORT")),
        search=search,
        fallbacks=OLD_NAME,
        fixed={"protocol": "tunnel"},
    ),
    "ss-redir": OldProgram(
        "ss-redir",
        "libev",
        "local",
        "A port for connections that the firewall redirects (a later version).",
        _flags("r"),
        gnu,
        _USAGE,
        usage_code=1,
        refused_code=255,
        search=search,
        later="redirected connections come in a later version; ss-local serves SOCKS5, and ss-tunnel one target",
    ),
    "ss-manager": OldProgram(
        "ss-manager",
        "libev",
        "server",
        "A Shadowsocks server to which commands add ports, as shadowsocks-libev's.",
        _flags("m"),
        gnu,
        _USAGE,
        usage_code=1,
        refused_code=255,
        search=search,
        members={
            "manager_address": own_socket,
            "manager_dialect": lambda: "libev",
        },
        fallbacks=OLD_NAME,
    ),
}
