"""The servers of a file whose hosts, ports and passwords are lists: one entry of `servers[]` for each.

All but shadowsocks-rust write several servers so: a list of hosts, which may have ports of their own, a list of
ports, or an object of ports and passwords.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ...core.address import pack_ip
from ..hosts import split_port
from ..reader import BROKEN, Member, Node, printable
from ..setting import Role
from .draft import Draft, listed, said_as

DOORS_MAX: Final = 65535
"""Servers that one file may stand for: every port of one address. Hosts and ports are multiplied, so a small file
could stand for millions."""


@dataclass(frozen=True, slots=True)
class Door:
    """One server, as far as it is given. What is None is missing, which is told where servers are built."""

    host: Member | None
    port: Member | None
    password: Member | None
    method: Member | None = None

    def entry(self) -> dict[str, Member]:
        """Return the members of its object."""
        parts = {"server": self.host, "server_port": self.port, "method": self.method, "password": self.password}
        return {key: member for key, member in parts.items() if member is not None}


def lay_out(draft: Draft, secrets: list[tuple[Member, Member]] | None = None) -> None:
    """Put the servers of a file into our own form: one at the top level, several in `servers[]`.

    Args:
        draft: has `server` and `server_port`, which may be lists.
        secrets: ports and their passwords, in the place of `server_port` and `password`.
    """
    hosts, port, password = draft.get("server"), draft.get("server_port"), draft.get("password")
    pairs: list[tuple[Member | None, Member | None]] = list(secrets or ())
    if not secrets:
        ports: list[Member | None] = [*listed(port, "server_port")] if port is not None else [None]
        pairs = [(each, password and as_text(password, "password")) for each in ports]
    names = [_split(each) for each in listed(hosts, "server")] if hosts is not None else [(None, None)]
    if len(names) * len(pairs) > DOORS_MAX:
        source = hosts or port
        assert source is not None  # or there would be one server
        draft.problem(source, "server", f"these are more than {DOORS_MAX} servers; divide them between several files")
        names, pairs = names[:1], pairs[:1]  # so that nothing else is missed
    method = draft.get("method")
    method = method and said_as(method, "method")  # one key, and one word about it, however many servers it is of
    doors = [
        Door(host, own or each, secret, method)
        for host, own in names
        # A port of its own takes the place of those that all have, but not of a table of passwords.
        for each, secret in (pairs if own is None or secrets else pairs[:1])
    ]
    put_doors(draft, _without_twins(doors))


def put_doors(draft: Draft, doors: Iterable[Door]) -> None:
    """Put servers where the file's own ones stood."""
    doors = list(doors)
    if not doors:
        return
    for key in ("server", "server_port", "password"):
        draft.drop(key)
    if len(doors) == 1 and not draft.has("servers"):
        for key, member in doors[0].entry().items():
            draft.set(key, member)
        return
    draft.drop("method")
    taken = {key: draft.pop(key) for key in _SHARED}
    shared = {key: said_as(member, key) for key, member in taken.items() if member is not None}
    draft.append("servers", [{**door.entry(), **shared} for door in doors])


_SHARED: Final = ("key", "plugin", "plugin_opts", "plugin_args", "plugin_mode")
"""Keys of libev and rust that are of every door; `key` stands in the place of the password."""


def keep_template(draft: Draft, method: str) -> None:
    """Leave what the ports have in common that a manager will add: one host and the method, at the top level."""
    member = draft.get("server")
    hosts = listed(member, "server") if member is not None else []
    draft.drop("server")
    if hosts:
        draft.set("server", hosts[0])
    draft.default("method", method)


def port_passwords(draft: Draft, role: Role | None) -> list[tuple[Member, Member]]:
    """Return the ports and passwords of `port_password`; empty where there are none, or where others go before them.

    A server passes over server_port and password then, with a word; a client passes over the table, if it has both.
    """
    member = draft.pop("port_password")
    if member is None or (role == "local" and draft.has("server_port") and draft.has("password")):
        return []
    table = member.node.value
    if table is BROKEN:
        return []
    if not isinstance(table, Mapping):
        draft.problem(member, "port_password", "expected an object of ports and their passwords, in braces")
        return []
    pairs = [
        (Member(each.mark, Node(port, each.mark), key), as_text(each, key))
        for port, each in table.items()
        if not port.startswith(("_", "//"))
        for key in (_key_of(port),)
    ]
    if pairs and draft.has("server_port", "password"):
        text = "this goes before server_port and password, which have no effect beside it; remove them"
        draft.warn(member, "port_password", text)
    return pairs


def _key_of(port: str) -> str:
    """Return what messages call one of them; what is no port may be a password, on the wrong side of its colon."""
    return f"port_password.{printable(port)}" if len(port) <= _DIGITS_MAX and port.isdecimal() else "port_password"


_DIGITS_MAX: Final = 5


def as_text(member: Member, key: str) -> Member:
    """Return a password that was written as a number as the text it is sent as."""
    value = member.node.value
    if isinstance(value, int) and not isinstance(value, bool):
        return Member(member.mark, Node(str(value), member.node.mark), member.said or key)
    return said_as(member, key)


def _without_twins(doors: list[Door]) -> list[Door]:
    """Leave out 0.0.0.0 beside :: at the same port: ours serves both families, where that of libev served IPv6 alone.

    Its manual has both in one list, and a second socket for IPv4 would find the port taken.
    """
    wide = {_text(door.port) for door in doors if _is_every(door.host, 16)}
    return [door for door in doors if not (_is_every(door.host, 4) and _text(door.port) in wide)]


def _is_every(host: Member | None, size: int) -> bool:
    packed = pack_ip(_text(host).removeprefix("[").removesuffix("]"))
    return packed == bytes(size)


def _text(member: Member | None) -> str:
    return "" if member is None else str(member.node.value)


def _split(member: Member) -> tuple[Member, Member | None]:
    """Cut HOST:PORT in two."""
    text = member.node.value
    host, port = split_port(text) if isinstance(text, str) else ("", "")
    if not port:
        return member, None
    mark = member.node.mark
    return Member(member.mark, Node(host, mark), member.said), Member(member.mark, Node(port, mark), member.said)
