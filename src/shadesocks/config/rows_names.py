"""Rows of the table: whom names are asked of, and which of their addresses are tried."""

from __future__ import annotations

from typing import Final

from .setting import RUST, YEAR, Kind, Setting

ROWS: Final = (
    Setting(
        "dns",
        Kind.NAME_SERVERS,
        "Name servers: IP addresses, which may have `udp://`, `tcp://` or `tls://` before and a port behind; URLs with "
        "`https://`; or the words `google`, `cloudflare` and `quad9`, also with `_tls` and `_https`. The word `system` "
        "is the system's own resolver. What its certificate must show may follow, as in `tls://8.8.8.8#dns.google`.",
        default=(),
        default_text="those of the system's resolv.conf",
        flags=("--dns",),
        aliases=("dns_server", "nameserver"),
        source=RUST,
    ),
    Setting(
        "dns_cache_size",
        Kind.COUNT,
        "The most names whose addresses are remembered; 0 remembers none.",
        default=1024,
        high=1 << 20,
        flags=("--dns-cache-size",),
        source=RUST,
    ),
    Setting(
        "dns_ttl_min",
        Kind.COUNT,
        "The least time for which an answer is remembered, whatever it says itself.",
        default=1,
        unit="s",
        high=YEAR,
    ),
    Setting(
        "dns_ttl_max",
        Kind.COUNT,
        "The most time for which an answer is remembered, whatever it says itself.",
        default=3600,
        unit="s",
        high=YEAR,
    ),
    Setting(
        "ipv6_first",
        Kind.FLAG,
        "Try the IPv6 addresses of a name before the IPv4 ones.",
        default=False,
        flags=("-6", "--ipv6-first"),
        aliases=("prefer_ipv6",),
        source=RUST,
    ),
    Setting(
        "ipv6_only",
        Kind.FLAG,
        "Use only the IPv6 addresses of names.",
        default=False,
        flags=("--ipv6-only",),
        source=RUST,
    ),
)
