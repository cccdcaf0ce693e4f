"""Builds the listeners of the client from their sections, and warns of what comes to nothing.

Called by `load.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ..core.address import Address
from .findings import Findings
from .hosts import is_loopback
from .model import DEFAULT_LOCAL, TUNNEL, LocalConfig, ServerConfig
from .reader import Node
from .sections import Entry, Section
from .servers import Surroundings, acl_of, group_of, mode_of
from .setting import LOCAL_END, Place


def build_local(section: Section, top: Section, around: Surroundings, findings: Findings) -> LocalConfig | None:
    """Return the listener of a section, None after a problem."""
    address = DEFAULT_LOCAL.address
    host = section.value("local_address", findings) if section.has("local_address") else address.host
    port = section.value("local_port", findings) if section.has("local_port") else address.port
    protocol = section.value("protocol", findings) if section.has("protocol") else DEFAULT_LOCAL.protocol
    if not (isinstance(host, str) and isinstance(port, int) and isinstance(protocol, str)):
        return None
    if not is_loopback(host):
        entry = section.entries["local_address"]
        text = "whoever can reach this address can use the proxy, without a password; 127.0.0.1 is for this machine"
        findings.warn(entry.mark, entry.key, text, LOCAL_END)
    # Any: the table says the type of each value.
    shared: dict[str, Any] = {
        name: (section if section.has(name) else top).value(name, findings)
        for name in _SHARED_FIELDS
        if section.has(name) or top.has(name)
    }
    given = {name: value for name, value in shared.items() if value is not None}
    address, mode = Address(host, port), mode_of(section, around.mode, findings)
    acl = acl_of(section, around.acl, around.base, findings)
    forward = _forward(section, protocol, findings)
    return LocalConfig(
        address,
        protocol,
        mode,
        _udp_listen(section, address, findings),
        acl=acl,
        forward=forward,
        group=group_of(section, findings),
        **given,
    )


_FORWARD: Final = ("forward_address", "forward_port")


def _forward(section: Section, protocol: str, findings: Findings) -> Address | None:
    """Return the target of a tunnel; a listener of another protocol has none."""
    if protocol != TUNNEL:
        if section.place is Place.LOCAL or not section.lists:
            text = f'has no effect: only a listener with "protocol": "{TUNNEL}" has one target'
            _warn_all(section, _FORWARD, text, findings)
        return None
    host, port = (section.value(name, findings) for name in _FORWARD)
    for name in _FORWARD:
        if not section.has(name):
            text = "is missing; a tunnel leads to one target: give forward_address and forward_port, or -f HOST:PORT"
            findings.problem(section.mark, section.key(name), text)
    return Address(host, port) if isinstance(host, str) and isinstance(port, int) else None


_UDP_LISTEN: Final = ("local_udp_address", "local_udp_port")
_SHARED_FIELDS: Final = (
    "udp_associate_address",
    "udp_require_association",
    "udp_socket_per_association",
    "socks_reply_port",
)
"""Settings of a listener that it takes from the top level where it does not say itself."""


def _udp_listen(section: Section, address: Address, findings: Findings) -> Address | None:
    """Return where datagrams come in, None where that is the address of TCP."""
    if not section.has(*_UDP_LISTEN):
        return None
    host, port = (section.value(name, findings) for name in _UDP_LISTEN)
    return Address(host if isinstance(host, str) else address.host, port if isinstance(port, int) else address.port)


Servers = Sequence[tuple[Section, ServerConfig | None]]
Locals = Sequence[tuple[Section, LocalConfig | None]]


def check_listeners(top: Section, servers: Servers, locals_: Locals, findings: Findings) -> None:
    """Warn of what the client is told about UDP that comes to nothing."""
    if locals_ and all(section is not top for section, _ in locals_):
        _warn_all(top, _UDP_LISTEN, "this is of no listener: each entry of locals[] names its own", findings)
    groups = {server.group for _, server in servers if server is not None}
    for section, local in locals_:
        if local is not None and local.group and local.group not in groups:
            entry = section.entries["group"]
            text = "no server is of this group; give one the same group, or remove it here"
            findings.problem(entry.mark, entry.key, text)
        if local is not None and not local.mode.udp:
            text = 'has no effect: this listener serves no UDP; write "mode": "tcp_and_udp", or give -U'
            _warn_all(section, (*_UDP_LISTEN, "udp_associate_address"), text, findings)
        for name in _TRANSPORTS:
            if local is None or not getattr(local.mode, name) or not _is_off(name, top, servers):
                continue
            said = section if section.has("mode") else top
            entry = said.entries.get("mode") or Entry(section.path, section.mark, Node(None, section.mark))
            text = (
                f"this listener serves {name.upper()}, but every server has it off; it goes to them all the same, "
                "and they may not answer: give one of them the mode tcp_and_udp"
            )
            findings.warn(entry.mark, entry.key, text, LOCAL_END)


_TRANSPORTS: Final = ("tcp", "udp")


def _is_off(transport: str, top: Section, servers: Servers) -> bool:
    """True where every server says itself that it does not serve this way; most of a client's files say nothing."""
    return bool(servers) and all(
        (section.has("mode") or top.has("mode")) and server is not None and not getattr(server.mode, transport)
        for section, server in servers
    )


def _warn_all(section: Section, names: Iterable[str], text: str, findings: Findings) -> None:
    for name in names:
        if section.has(name):
            entry = section.entries[name]
            findings.warn(entry.mark, entry.key, text, LOCAL_END)
