"""Rows of the table: how connections and datagrams leave this machine."""

from __future__ import annotations

from typing import Final

from .setting import LIBEV, RUST, SERVERS, Kind, Setting

ROWS: Final = (
    Setting(
        "outbound_proxy",
        Kind.HOPS,
        "Reach everything through this proxy, or through several in their order: links that begin with ss://, "
        "socks5:// or http://. Of a client: reach its server through them.",
        places=SERVERS,
        flags=("--outbound-proxy",),
        source=RUST,
    ),
    Setting(
        "outbound_bind_address",
        Kind.IP,
        "Address from which connections and datagrams of its family leave.",
        key="outbound_bind_addr",
        places=SERVERS,
        default_text="the system chooses",
        flags=("--bind-addr", "--outbound-bind-addr"),
        server_flags=("-b",),
        source=RUST,
    ),
    Setting(
        "local_ipv4_address",
        Kind.IP,
        "IPv4 address from which connections and datagrams leave.",
        places=SERVERS,
        default_text="the system chooses",
        source=LIBEV,
    ),
    Setting(
        "local_ipv6_address",
        Kind.IP,
        "IPv6 address from which connections and datagrams leave.",
        places=SERVERS,
        default_text="the system chooses",
        source=LIBEV,
    ),
    Setting(
        "outbound_bind_interface",
        Kind.INTERFACE,
        "Network interface through which connections and datagrams leave.",
        places=SERVERS,
        default="",
        default_text="the system's routes choose",
        flags=("-i", "--outbound-bind-interface"),
        aliases=("interface",),
        source=RUST,
    ),
    Setting(
        "outbound_fwmark",
        Kind.COUNT,
        "Linux: the mark (SO_MARK) of connections and datagrams that leave, for rules of routing; 0 sets none.",
        places=SERVERS,
        default=0,
        high=2**32 - 1,
        flags=("--outbound-fwmark",),
        source=RUST,
    ),
)
