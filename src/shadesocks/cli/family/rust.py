"""shadowsocks-rust's `ssmanager`; its `ssserver` and `sslocal` are the commands `server` and `local`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ...config.files import search_list
from ...config.reader import Member, Node
from .program import HELP, OLD_NAME, Act, Flag, OldProgram
from .syntax import gnu


def search(_given: bool) -> Iterator[Path]:
    """Yield where a file is looked for: where `server` looks, by the manager's own name first."""
    for path in search_list("server"):
        yield path.with_name(path.name.replace("server.json", "manager.json"))


def listen(in_file: Mapping[str, Member]) -> dict[str, Member]:
    """Return where commands come in: a host and a port, or a path. A server of that program reports there instead."""
    given = {key: member for key in _PLACE if (member := in_file.get(key)) is not None}
    where, port = (str(given[key].node.value) if key in given else "" for key in _PLACE)
    if not where:
        return {}
    mark = given[_PLACE[0]].mark
    nothing = {key: Member(member.mark, Node(None, member.mark)) for key, member in given.items()}
    text = f"{f'[{where}]' if ':' in where else where}:{port}" if port else where
    return {**nothing, "manager_listen": Member(mark, Node(text, mark), _PLACE[0])}


_PLACE: Final = ("manager_address", "manager_port")
_ONE: Final = "has no effect: threads gain nothing here; workers, in the config, is the number of processes"
_BUILTIN: Final = "has no effect: the manager serves the ports itself"
_MANAGER: Final = (
    Flag(("-c", "--config"), "read this config", "FILE", act=Act.CONFIG),
    Flag(
        ("--manager-addr", "--manager-address"),
        "where commands add and remove ports",
        "ADDRESS",
        setting="manager_listen",
    ),
    Flag(("-s", "--server-host"), "address that ports listen on", "HOST", setting="server"),
    Flag(("-m", "--encrypt-method"), "cipher of ports for which none is named", "METHOD", setting="method"),
    Flag(("-u",), "UDP only", setting="mode", constant="udp_only"),
    Flag(("-U",), "TCP and UDP", setting="mode", constant="tcp_and_udp"),
    Flag(("--timeout",), "seconds for a handshake, and for a dial", "SECONDS", setting="timeout"),
    Flag(("--acl",), "rules for clients and targets", "FILE", setting="acl"),
    Flag(("--dns",), "name servers", "LIST", setting="dns"),
    Flag(("--dns-cache-size",), "names that are remembered", "COUNT", setting="dns_cache_size"),
    Flag(("--tcp-no-delay", "--no-delay"), "send small packets at once", setting="no_delay"),
    Flag(("--tcp-fast-open", "--fast-open"), "TCP Fast Open", setting="fast_open"),
    Flag(("--tcp-multipath", "--mptcp"), "Multipath TCP", setting="mptcp"),
    Flag(("--tcp-keep-alive",), "seconds between keep-alives", "SECONDS", setting="keep_alive"),
    Flag(("--udp-timeout",), "seconds that a session may be idle", "SECONDS", setting="udp_timeout"),
    Flag(("--udp-max-associations",), "sessions at most", "COUNT", setting="udp_max_associations"),
    Flag(("--inbound-send-buffer-size",), "SO_SNDBUF of clients' sockets", "BYTES", setting="inbound_send_buffer"),
    Flag(("--inbound-recv-buffer-size",), "SO_RCVBUF of clients' sockets", "BYTES", setting="inbound_receive_buffer"),
    Flag(("--outbound-send-buffer-size",), "SO_SNDBUF of targets' sockets", "BYTES", setting="outbound_send_buffer"),
    Flag(("--outbound-recv-buffer-size",), "SO_RCVBUF of targets' sockets", "BYTES", setting="outbound_receive_buffer"),
    Flag(
        ("-b", "--outbound-bind-addr", "--bind-addr"),
        "address from which connections leave",
        "IP",
        setting="outbound_bind_address",
    ),
    Flag(
        ("--outbound-bind-interface",), "interface through which they leave", "NAME", setting="outbound_bind_interface"
    ),
    Flag(("--outbound-fwmark",), "mark of what leaves", "NUMBER", setting="outbound_fwmark"),
    Flag(("-6",), "IPv6 addresses first", setting="ipv6_first"),
    Flag(("-n", "--nofile"), "open files at most", "COUNT", setting="nofile"),
    Flag(("--log-without-time",), "lines without their time", setting="log_without_time"),
    Flag(("-v",), "log more", setting="log_level", constant="debug"),
    Flag(("--manager-server-mode",), "accepted", "WORD", act=Act.NOTHING, note=_BUILTIN),
    Flag(("--manager-server-working-directory",), "accepted", "DIR", act=Act.NOTHING, note=_BUILTIN),
    Flag(("--plugin",), "plugin of ports that name none", "NAME", setting="plugin"),
    Flag(("--plugin-opts",), "its options; a config hides them better", "TEXT", setting="plugin_opts"),
    Flag(("--plugin-mode",), "what goes through it", "WORD", setting="plugin_mode"),
    Flag(
        ("--outbound-user-cookie",),
        "accepted; of FreeBSD",
        "NUMBER",
        act=Act.NOTHING,
        note="has no effect: it marks sockets of FreeBSD only",
    ),
    Flag(("-d", "--daemonize"), "run as a daemon", setting="daemonize"),
    Flag(("--daemonize-pid",), "the same, with this pid file", "FILE", setting="pid_file", also="daemonize"),
    Flag(("-a", "--user"), "user to become once all ports are open", "NAME", setting="user"),
    Flag(("--single-threaded",), "accepted", act=Act.NOTHING, note=_ONE),
    Flag(("--worker-threads",), "accepted", "COUNT", act=Act.NOTHING, note=_ONE),
    Flag(("--log-config",), "accepted", "FILE", act=Act.NOTHING, note="has no effect: the log goes to standard error"),
    HELP,
    Flag(("-V", "--version"), "show the version and exit", act=Act.VERSION),
)

PROGRAMS: Final = {
    "ssmanager": OldProgram(
        "ssmanager",
        "rust",
        "server",
        "A Shadowsocks server to which commands add ports, as shadowsocks-rust's.",
        _MANAGER,
        gnu,
        "Usage: {name} [OPTIONS]",
        usage_code=64,
        refused_code=78,
        derive=listen,
        search=search,
        fallbacks={**OLD_NAME, "manager_dialect": "rust"},
    ),
}
