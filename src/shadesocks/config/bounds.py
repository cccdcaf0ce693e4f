"""What the top level says of names and targets: bounds that leave nothing between them, lists that leave much open.

Called by `load.py` where one of these settings is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..core.networks import NetworkSet, parse_network
from .findings import Findings
from .sections import Section
from .setting import SERVER_END
from .settings import SETTINGS


def check_names(top: Section, given: Mapping[str, Any], findings: Findings) -> None:
    """Report bounds of the cache that leave nothing between them."""
    least, most = (given.get(name, SETTINGS[name].default) for name in ("dns_ttl_min", "dns_ttl_max"))
    if most < least:
        entry = top.entries.get("dns_ttl_max") or top.entries["dns_ttl_min"]
        text = f"dns_ttl_max ({most} s) is less than dns_ttl_min ({least} s); change one of them"
        findings.problem(entry.mark, entry.key, text)


_SAFE_DEFAULT: Final = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.169.254")
"""What most of those who write a list of their own do not want to open: `net/origin.py` has the whole table."""


def check_forbidden(top: Section, given: Mapping[str, Any], findings: Findings) -> None:
    """Warn of what a list of closed addresses leaves open."""
    networks = given.get("forbidden_ip")
    if networks is None:
        return
    entry = top.entries["forbidden_ip"]
    if entry.mark.default:
        text = 'private networks are open to clients, as in that program; "allow_private": false closes them'
        findings.warn(entry.mark, entry.key, text, SERVER_END)
        return
    if not networks:
        text = (
            "this list is empty, so private networks are open: clients reach the loopback, the local network and the "
            'metadata addresses of the server; to close them, remove it, and write "allow_private": false'
        )
        findings.warn(entry.mark, entry.key, text, SERVER_END)
        return
    closed = NetworkSet(map(parse_network, networks))
    left = [text for text in _SAFE_DEFAULT if not closed.holds(parse_network(text).first.to_bytes(4))]
    if left:
        text = "this list takes the place of the safe default, so these are open: "
        text += f"{', '.join(left)}; add them to close them"
        findings.warn(entry.mark, entry.key, text, SERVER_END)
    if any("/" not in network and network.endswith(".0") for network in networks):
        text = "an address that ends in .0 is one address here, and no network; write its size, as in 10.0.0.0/8"
        findings.warn(entry.mark, entry.key, text, SERVER_END)
