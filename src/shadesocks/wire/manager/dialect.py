"""What a dialect of the manager protocol is: how one program spoke it. The four are in files of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .command import COMMANDS, PortRow


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one program spoke the protocol."""

    name: str
    answers: Mapping[str, str]
    """By what became of a command: `ok`, `pong`, `bad` (not to be read), `method` and `mode` (words that are not
    known), `refused` (the port cannot be as it is asked for), `taken` (it cannot be listened on); with the parts {word}
    and {why}. No answer where there is no row."""
    show: Callable[[PortRow], str]
    """Puts a port into a list."""
    commands: frozenset[str] = COMMANDS
    """What is not among them is no command: no answer."""
    end: str = ""
    """Behind every message."""
    keys: frozenset[str] | None = None
    """Of an `add`; at the first other one reading stops. None: any."""
    is_bare: bool = False
    """True where `ping:` and `list:` are no commands."""
    has_number_ports: bool = False
    """True where the port of a command is a number, and digits in quotes are none."""
    auth: str = ""
    """What a method ends in to ask for one-time authentication."""
    replaces: bool = True
    """Whether an `add` of an open port takes its place; else the old one stays, and the answer is ok."""
    cuts: bool = False
    """Whether that ends the connections of the old one."""
    pushes: str = ""
    """What is sent every ten seconds without a question: `deltas` to the last who asked, or `totals` to all who did."""
    ports_max: int = 0
    """Ports of one datagram of statistics; 0: as many as there is room for."""
    between: tuple[str, str] = ("", "]")
    """What stands before each port of a list, and behind the last one."""
    hears: bool = False
    """Whether what servers of others say of an open port counts for it."""
    report_ports: int = 1
    """Ports of one datagram in which a server tells its manager what passed; 0: as many as there is room for."""
    report_end: str = "\n"
    """Behind it."""
    report_interval: float = 10.0
    """Seconds between two such."""


def compact(members: Mapping[str, object]) -> str:
    """Return an object as JSON without blanks."""
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))
