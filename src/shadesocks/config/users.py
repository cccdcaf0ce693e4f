"""Those who share one port of a server (SIP023): its users, or the servers that it stands in front of.

    "users": [{"name": "anna", "password": KEY}, ...]                               as shadowsocks-rust has it
    "destinations": [{"name": "east", "server": HOST, "server_port": PORT, "password": KEY}, ...]        as sing-box

Each has a key of his own; the server's own key is `password`. A client of such a server has both, with a colon
between, in its `password`. Called by `servers.py`; the lists stay trees until then, so that each problem has its line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from ..core.address import Address
from ..core.errors import KeyTextError
from ..core.secret import Secret
from ..crypto.keys import parse_keys
from ..crypto.methods import Method
from .hops import from_environment
from .hosts import UnfitError, check_host
from .model import DestinationConfig, ServerConfig, UserConfig
from .passwords import is_weak_key
from .reader import BROKEN, Mark, Member, Node, printable
from .setting import SERVER_END, Kind
from .settings import SETTINGS
from .values import convert, nearest, shown

if TYPE_CHECKING:
    from .findings import Findings
    from .sections import Entry, Section

NAME_MOST: Final = 255
"""Letters of a name: it stands in log lines."""
_KEYS: Final = {"users": ("name", "password"), "destinations": ("name", "server", "server_port", "password")}

T = TypeVar("T")


def build_users(
    section: Section, method: Method, password: str, environ: Mapping[str, str], findings: Findings
) -> tuple[UserConfig, ...] | None:
    """Return the users of a section, None where it has no list of them; an empty list lets nobody in."""
    return _build(section, "users", method, password, environ, findings, _user)


def build_destinations(
    section: Section, method: Method, password: str, environ: Mapping[str, str], findings: Findings
) -> tuple[DestinationConfig, ...]:
    """Return the servers that a section's stands in front of; empty where there are none."""
    if section.has("users", "destinations") and section.has("users") and section.has("destinations"):
        entry = section.entries["destinations"]
        findings.problem(entry.mark, entry.key, "a port has users or destinations; give each list a port of its own")
        return ()
    return _build(section, "destinations", method, password, environ, findings, _destination) or ()


def _build(
    section: Section,
    name: str,
    method: Method,
    password: str,
    environ: Mapping[str, str],
    findings: Findings,
    make: Callable[[Node, str, str, Secret, Findings], T | None],
) -> tuple[T, ...] | None:
    entry = section.entries.get(name)
    if entry is None or entry.node.value is BROKEN or not findings.concerns(SERVER_END):
        return None
    if not isinstance(entry.node.value, tuple):
        findings.problem(entry.mark, entry.key, f"expected {SETTINGS[name].kind.value}, found {shown(entry.node)}")
        return None
    if not method.has_identities:
        if not entry.node.value:
            return None
        text = (
            f"method {method.name} cannot tell several {name} on one port; take 2022-blake3-aes-128-gcm or "
            "2022-blake3-aes-256-gcm, or give each a port of his own in servers[]"
        )
        findings.problem(entry.mark, entry.key, text)
        return None
    if not entry.node.value:
        findings.warn(entry.mark, entry.key, "this list is empty, so nobody can use this server", SERVER_END)
    places = _Places(method, password)
    made = []
    for item, path in _items(entry, name, findings):
        named = _name(item, path, places, findings)
        key = _key(item, path, places, environ, findings)
        one = None if named is None or key is None else make(item, path, named, key, findings)
        if one is not None:
            made.append(one)
    return tuple(made)


class _Places:
    """Where names and keys stand, so that none stands twice."""

    def __init__(self, method: Method, password: str) -> None:
        self.method = method
        self.names: dict[str, Mark] = {}
        self.keys: dict[bytes, Mark | None] = dict.fromkeys(parse_keys(method, password))


def _items(entry: Entry, name: str, findings: Findings) -> Iterator[tuple[Node, str]]:
    """Yield the objects of a list with their paths; report what is none, and members that mean nothing."""
    assert isinstance(entry.node.value, tuple), "was looked at"
    known = _KEYS[name]
    for index, item in enumerate(entry.node.value):
        path = f"{entry.key}[{index}]"
        if item.value is BROKEN:
            continue
        if not isinstance(item.value, Mapping):
            findings.problem(item.mark, path, f"expected an object with {' and '.join(known)}, found {shown(item)}")
            continue
        for key, member in item.value.items():
            if key not in known and not key.startswith(("_", "//")):
                near = nearest(key, list(known))
                hint = f"; the nearest known one is {near}" if near else ""
                findings.warn(
                    member.mark, f"{path}.{printable(key)}", f"this key is not known{hint}; it is ignored", SERVER_END
                )
        yield item, path


def _member(item: Node, path: str, key: str, what: str, findings: Findings) -> Member | None:
    assert isinstance(item.value, Mapping), "was looked at"
    member = item.value.get(key)
    if member is None or member.node.value is None:
        findings.problem(item.mark, f"{path}.{key}", f"is missing; {what}")
        return None
    return None if member.node.value is BROKEN else member


def _text(item: Node, path: str, key: str, what: str, findings: Findings) -> tuple[Member, str] | None:
    member = _member(item, path, key, what, findings)
    if member is None:
        return None
    if not isinstance(member.node.value, str):
        findings.problem(member.mark, f"{path}.{key}", f"expected text in quotes, found {shown(member.node)}")
        return None
    return member, member.node.value


def _name(item: Node, path: str, places: _Places, findings: Findings) -> str | None:
    """Return the name of one, unless another has it."""
    found = _text(item, path, "name", 'each has a name of his own, as in "name": "anna"', findings)
    if found is None:
        return None
    member, text = found
    problem = ""
    if not text or len(text) > NAME_MOST or not text.isprintable():
        problem = f"a name has 1 to {NAME_MOST} letters, and no control characters: it stands in the log"
    elif text in places.names:
        problem = f"another one has this name{_where(places.names[text])}; names tell them apart"
    if problem:
        findings.problem(member.mark, f"{path}.name", problem)
        return None
    places.names[text] = member.mark
    return text


def _key(item: Node, path: str, places: _Places, environ: Mapping[str, str], findings: Findings) -> Secret | None:
    """Return the key of one, unless another has it."""
    recipe = f"make one with: shadesocks genkey -m {places.method.name}"
    found = _text(item, path, "password", f"each has a key of his own; {recipe}", findings)
    if found is None:
        return None
    member, text = found
    at = f"{path}.password"
    try:
        text = from_environment(text, environ)
        keys = parse_keys(places.method, text)
    except (KeyTextError, UnfitError) as error:
        hint = "" if isinstance(error, UnfitError) else f"; {recipe}"
        findings.problem(member.mark, at, f"{error}{hint}")
        return None
    if len(keys) > 1:
        findings.problem(member.mark, at, "one key is expected here; the server's own stands in its password")
        return None
    (key,) = keys
    if key in places.keys:
        mark = places.keys[key]
        whose = "the server's own" if mark is None else f"another one's{_where(mark)}"
        findings.problem(member.mark, at, f"this key is {whose}; each needs a key of his own, {recipe}")
        return None
    places.keys[key] = member.mark
    if is_weak_key(key):
        findings.warn_once(member.mark, at, f"this key is not random, so it can be guessed; {recipe}", SERVER_END)
    return Secret(text)


def _where(mark: Mark) -> str:
    return "" if mark.line is None else f" (line {mark.line})"


def _user(_item: Node, _path: str, name: str, key: Secret, _findings: Findings) -> UserConfig:
    return UserConfig(name, key)


def _destination(item: Node, path: str, name: str, key: Secret, findings: Findings) -> DestinationConfig | None:
    """Return a server, once its host and port are fit."""
    host = _text(item, path, "server", 'add its host, as in "server": "203.0.113.5"', findings)
    port = _member(item, path, "server_port", 'add its port, as in "server_port": 8388', findings)
    if host is None or port is None:
        return None
    place = f"{path}.server"
    try:
        where = check_host(host[1])
        place = f"{path}.server_port"
        number = convert(replace(SETTINGS["server_port"], kind=Kind.PORT), port.node)
    except UnfitError as unfit:
        findings.problem(port.mark if place.endswith("port") else host[0].mark, place, str(unfit))
        return None
    assert isinstance(number, int), "a port is a number"
    return DestinationConfig(name, key, Address(where, number))


def clients_of(server: ServerConfig) -> tuple[ServerConfig, ...]:
    """Return a server as those see it who may use it: one for each user, named after him, with both keys."""
    if server.users is None:
        return (server,)
    return tuple(
        replace(
            server,
            users=None,
            password=Secret(f"{server.password.reveal()}:{user.password.reveal()}"),
            remarks=f"{server.remarks} {user.name}" if server.remarks else user.name,
            id="",
        )
        for user in server.users
    )
