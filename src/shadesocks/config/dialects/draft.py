"""The members of a configuration while a dialect translates them.

What people wrote goes before what a dialect fills in, and keys of ours that stand in another program's file go before
what the dialect makes of that program's keys. Each member keeps its place and the key that people wrote, for messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from ..findings import Findings
from ..reader import BROKEN, Mark, Member, Node
from ..rows_times import UDP_TIMEOUT_MIN
from ..setting import BOTH, YEAR, Role

Plain = str | int | float | bool | tuple["Plain", ...]
"""A value without places."""


class Draft:
    """One object, taken apart and put together again."""

    def __init__(self, root: Node, program: str, findings: Findings) -> None:
        """Take the members of the top level; `program` is whose defaults are filled in."""
        self._root: Final = root
        self._members: Final = dict(root.value) if isinstance(root.value, Mapping) else {}
        self._default: Final = Mark(f"default of {program}", default=True)
        self._findings: Final = findings

    def build(self, habits: Mapping[str, str | int | bool] = MappingProxyType({})) -> Node:
        """Return the object, with what the program does where nothing is said."""
        for key, value in habits.items():
            self.default(key, value)
        return Node(self._members, self._root.mark)

    # What is there

    def get(self, key: str) -> Member | None:
        """Return what a key holds; null is nothing."""
        member = self._members.get(key)
        return None if member is None or member.node.value is None else member

    def has(self, *keys: str) -> bool:
        """True where one of these keys holds something."""
        return any(self.get(key) is not None for key in keys)

    def has_own_servers(self) -> bool:
        """True where all servers are in a list of our own, so that the program's defaults make no other one."""
        return self.has("servers") and not self.has("server", "server_port", "password", "port_password")

    def pop(self, key: str) -> Member | None:
        """Return what a key holds, and remove it."""
        member = self.get(key)
        self._members.pop(key, None)
        return member

    def drop(self, *keys: str) -> None:
        """Remove keys."""
        for key in keys:
            self._members.pop(key, None)

    def keep(self, wanted: Callable[[str], bool]) -> dict[str, Member]:
        """Remove all keys but those that are wanted, and comments; return what was removed."""
        gone = {key: each for key, each in self._members.items() if not wanted(key) and not key.startswith(("_", "//"))}
        self.drop(*gone)
        return gone

    # What is put there

    def set(self, key: str, member: Member) -> None:
        """Put a member in the place of whatever the key holds."""
        self._members[key] = member

    def move(self, key: str, to: str) -> None:
        """Give a member the key that it has in our own form, unless that one is there, too."""
        member = self.pop(key)
        if member is not None and not self.has(to):
            self._members[to] = said_as(member, key)

    def derive(self, path: str, value: Plain, source: Member) -> None:
        """Give a key (dots between objects) a value that follows from another member, unless it has one."""
        self._put(path, Member(source.mark, _node(value, source.mark), source.said))

    def default(self, path: str, value: Plain) -> None:
        """Give a key (dots between objects) the value that the program takes where nobody says."""
        self._put(path, self.made(value))

    def made(self, value: Plain) -> Member:
        """Return a value that nobody wrote as a member."""
        return Member(self._default, _node(value, self._default))

    def replace_items(self, key: str, change: Callable[[Node], Node]) -> None:
        """Put another item in the place of each of a list, if there is one."""
        there = self.get(key)
        if there is not None and isinstance(there.node.value, tuple):
            self.set(key, Member(there.mark, Node(tuple(map(change, there.node.value)), there.node.mark), there.said))

    def append(self, key: str, entries: list[dict[str, Member]]) -> None:
        """Put objects before those of a list, which need not be there yet."""
        there = self.get(key)
        if there is not None and not isinstance(there.node.value, tuple):
            return  # which is told where lists are read
        nodes = [Node(entry, _place(entry, self._root.mark)) for entry in entries]
        after = there.node.value if there is not None and isinstance(there.node.value, tuple) else ()
        self._members[key] = Member(self._default, Node((*nodes, *after), self._default))

    def _put(self, path: str, member: Member) -> None:
        group, dot, last = path.partition(".")
        if not dot:
            if not self.has(path):
                self._members[path] = member
            return
        there = self._members.get(group)
        inner = {} if there is None or there.node.value is None else there.node.value
        if not isinstance(inner, Mapping) or (last in inner and inner[last].node.value is not None):
            return
        mark = member.mark if there is None else there.mark
        self._members[group] = Member(mark, Node({**inner, last: member}, mark))

    # What is to be told

    def warn(self, member: Member, key: str, text: str, roles: tuple[Role, ...] = BOTH) -> None:
        """Note something odd of what a key holds."""
        self._findings.warn(member.mark, _shown(member, key), text, roles)

    def problem(self, member: Member, key: str, text: str) -> None:
        """Note what keeps the configuration from use."""
        self._findings.problem(member.mark, _shown(member, key), text)

    # What several programs have in common

    def time_out(self, default: float | None, least: float = 0.0, none: float | None = None) -> None:
        """Make `timeout` that of idle connections and UDP sessions, with the program's default and its least.

        Args:
            default: seconds where the file names none.
            least: seconds below which the program does not go for TCP.
            none: what 0 stands for; None: nothing special.
        """
        member = self.pop("timeout")
        if member is None and default is not None:
            member = self.made(default)
        if member is None:
            return
        seconds = number(member.node)
        if seconds is None:
            self.set("idle_timeout", said_as(member, "timeout"))  # told where times are read
            return
        if seconds == 0 and none is not None:
            seconds = none
        member = said_as(member, "timeout")
        self.derive("idle_timeout", max(seconds, least), member)
        self.derive("udp_timeout", max(seconds, UDP_TIMEOUT_MIN), member)

    def verbosity(self) -> None:
        """Make `verbose` a level of the log."""
        member = self.pop("verbose")
        if member is None:
            return
        value = number(member.node) if not isinstance(member.node.value, bool) else float(member.node.value)
        if value is None:
            self.problem(member, "verbose", "expected true, false or a number from -2 to 2")
        else:
            self.derive("log.level", _LEVELS[max(-2, min(2, int(value)))], said_as(member, "verbose"))

    def flags(self, *keys: str) -> None:
        """Take 0 and 1 for false and true, as the languages of the old programs did."""
        for key in keys:
            member = self.get(key)
            if member is not None and member.node.value in (0, 1) and not isinstance(member.node.value, bool):
                node = Node(bool(member.node.value), member.node.mark)
                self._members[key] = Member(member.mark, node, member.said)

    def forbid(self, networks: tuple[str, ...]) -> None:
        """Close what the program closed, where the file says nothing of it; `allow_private` says something of it."""
        if not self.has("forbidden_ip", "allow_private"):
            self.default("forbidden_ip", networks)


LINK_LOCAL_AND_METADATA: Final = (
    "169.254.0.0/16",
    "fe80::/10",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:42::42",
    "fd00:100::100:200",
    "fd00:a9fe:a9fe::1",
    "fd00:c1::a9fe:a9fe",
    "fd00:ec2::23",
    "fd00:ec2::254",
    "fd20:ce::254",
)
"""What stays closed behind programs that closed nothing: no client of theirs counts on the server's own credentials.
The addresses are those of `net/origin.py`; a test compares them."""

_LEVELS: Final = {-2: "error", -1: "warning", 0: "info", 1: "debug", 2: "trace"}
"""Of no, one and two `-v`, and of one and two `-q`."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")


def number(node: Node) -> float | None:
    """Return a number, also from digits in quotes; None for anything else."""
    value = node.value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= YEAR * YEAR:
        return None
    return float(value)


def said_as(member: Member, key: str) -> Member:
    """Return the member with the key that people wrote, unless it has one already."""
    return member if member.said else Member(member.mark, member.node, key)


def listed(member: Member, key: str) -> list[Member]:
    """Return the items of a list, or what stands in its place, each with its own place."""
    if not isinstance(member.node.value, tuple):
        return [said_as(member, key)]
    flag = member.mark.line is None
    items = [(index, node) for index, node in enumerate(member.node.value) if node.value is not BROKEN]
    return [Member(member.mark if flag else node.mark, node, f"{key}[{index}]") for index, node in items]


def end_of(draft: Draft, role: Role | None) -> Role:
    """Return the end that is to be started; where nobody says, the one that a file with such keys was written for."""
    if role is not None:
        return role
    return "local" if draft.has("local_address", "local_port", "tunnel_address", "local_udp_port") else "server"


def _node(value: Plain, mark: Mark) -> Node:
    return Node(tuple(_node(item, mark) for item in value) if isinstance(value, tuple) else value, mark)


def _place(entry: dict[str, Member], otherwise: Mark) -> Mark:
    """Return where an entry stands: the first of its members that somebody wrote."""
    return next((member.mark for member in entry.values() if not member.mark.default), otherwise)


def _shown(member: Member, key: str) -> str:
    return "" if member.mark.line is None and not member.mark.default else member.said or key
