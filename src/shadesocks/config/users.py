"""Those who share one port of a server: its users, or (SIP023) the servers that it stands in front of.

    "users": [{"name": "anna", "password": KEY, "quota": "50G"}, ...]               as shadowsocks-rust has it, and more
    "users": [{"name": "anna"}]                                                     she has the server's password
    "destinations": [{"name": "east", "server": HOST, "server_port": PORT, "password": KEY}, ...]        as sing-box

Each has a key of his own; the server's own key is `password`. A client of such a server has both, with a colon
between, in its `password`. With AEAD methods each has a password of his own, and the server none: his key is found by
trying. One alone needs none: the server's password is his. What else is said of a user is in
`user.py`. Called by `servers.py`; the lists stay trees until then, so that each problem has its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from sys import intern
from typing import TYPE_CHECKING, Final

from ..core.address import Address
from ..core.errors import KeyTextError
from ..core.secret import Secret
from ..crypto.keys import parse_keys
from ..crypto.methods import Method
from .hops import from_environment
from .hosts import UnfitError, check_host
from .limits import MemberError
from .model import DestinationConfig, ServerConfig
from .passwords import ENOUGH_BITS, is_weak_key, strength
from .reader import BROKEN, Mark, Member, Node, plain, printable
from .setting import SERVER_END, Kind
from .settings import SETTINGS
from .user import MEMBERS, Credential, UserConfig, check_name, parse_user
from .values import convert, nearest, shown

if TYPE_CHECKING:
    from .findings import Findings
    from .sections import Entry, Section

_OF_NOBODY: Final = (
    "with {} each user has a password of his own, and the server has none; leave it out, or, if somebody uses it, give "
    "it to a user in the list"
)
_KEYS: Final = {"users": MEMBERS, "destinations": ("name", "server", "server_port", "password")}


def build_users(
    section: Section,
    method: Method,
    password: str,
    environ: Mapping[str, str],
    findings: Findings,
    *,
    has_store: bool = False,
) -> tuple[UserConfig, ...] | None:
    """Return the users of a section, None where it has no list of them; an empty list lets in who is in the store."""
    entry = _list_of(section, "users", findings)
    if entry is None:
        return None
    items = list(_items(entry, "users", findings))
    has_keys = len(items) > 1 or any(_has(item, "password") or _has(item, "passwords") for item, _ in items)
    if has_keys and not _tells_apart(entry, "users", method, findings):
        return None
    if not items:
        if not method.has_identities and (not method.is_tried or password):
            return None
        if not has_store:
            findings.warn(entry.mark, entry.key, "this list is empty, so nobody can use this server", SERVER_END)
    if has_keys and method.is_tried and password:
        findings.problem(section.entries["password"].mark, section.key("password"), _OF_NOBODY.format(method.name))
        return None
    places, made = _Places(method, password), []
    for item, path in items:
        user = _user(item, path, places, findings, has_keys=has_keys)
        if user is not None:
            keyed = [_judge(each, *_at(item, path, index), places, environ, findings) for index, each in _each(user)]
            made.append(replace(user, credentials=tuple(each for each in keyed if each is not None)))
    return tuple(made)


def build_destinations(
    section: Section, method: Method, password: str, environ: Mapping[str, str], findings: Findings
) -> tuple[DestinationConfig, ...]:
    """Return the servers that a section's stands in front of; empty where there are none."""
    if section.has("users", "destinations") and section.has("users") and section.has("destinations"):
        entry = section.entries["destinations"]
        findings.problem(entry.mark, entry.key, "a port has users or destinations; give each list a port of its own")
        return ()
    listed = _list_of(section, "destinations", findings)
    if listed is None or not _tells_apart(listed, "destinations", method, findings):
        return ()
    if not listed.node.value:
        findings.warn(listed.mark, listed.key, "this list is empty, so nobody can use this server", SERVER_END)
    places, made = _Places(method, password), []
    for item, path in _items(listed, "destinations", findings):
        name, key = _name(item, path, places, findings), _key(item, path, places, environ, findings)
        one = None if name is None or key is None else _destination(item, path, name, key, findings)
        if one is not None:
            made.append(one)
    return tuple(made)


def _list_of(section: Section, name: str, findings: Findings) -> Entry | None:
    """Return the entry of a list, None where there is none that concerns us."""
    entry = section.entries.get(name)
    if entry is None or entry.node.value is BROKEN or not findings.concerns(SERVER_END):
        return None
    if not isinstance(entry.node.value, tuple):
        findings.problem(entry.mark, entry.key, f"expected {SETTINGS[name].kind.value}, found {shown(entry.node)}")
        return None
    return entry


def _tells_apart(entry: Entry, name: str, method: Method, findings: Findings) -> bool:
    """Say whether a method has room for several on one port; report that it has not."""
    if method.is_tried and name == "users":
        return True
    if not method.has_identities and entry.node.value:
        text = (
            f"method {method.name} cannot tell several {name} on one port; take 2022-blake3-aes-128-gcm or "
            "2022-blake3-aes-256-gcm, or give each a port of his own in servers[]"
        )
        findings.problem(entry.mark, entry.key, text)
    return method.has_identities


class _Places:
    """Where names and keys stand, so that none stands twice."""

    def __init__(self, method: Method, password: str) -> None:
        self.method = method
        self.names: dict[str, Mark] = {}
        self.keys: dict[bytes, Mark | None] = dict.fromkeys(parse_keys(method, password) if password else ())


def _items(entry: Entry, name: str, findings: Findings) -> Iterator[tuple[Node, str]]:
    """Yield the objects of a list with their paths; report what is none, and members that mean nothing."""
    assert isinstance(entry.node.value, tuple), "was looked at"
    known = _KEYS[name]
    for index, item in enumerate(entry.node.value):
        path = f"{entry.key}[{index}]"
        if item.value is BROKEN:
            continue
        if not isinstance(item.value, Mapping):
            findings.problem(item.mark, path, f"expected an object with a name, found {shown(item)}")
            continue
        for key, member in item.value.items():
            if key not in known and not key.startswith(("_", "//")):
                near = nearest(key, list(known))
                hint = f"; the nearest known one is {near}" if near else ""
                findings.warn(
                    member.mark, f"{path}.{printable(key)}", f"this key is not known{hint}; it is ignored", SERVER_END
                )
        yield item, path


def _has(item: Node, key: str) -> bool:
    assert isinstance(item.value, Mapping), "was looked at"
    return key in item.value


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
    try:
        check_name(text)
        if text in places.names:
            raise UnfitError(f"another one has this name{_where(places.names[text])}; names tell them apart")
    except UnfitError as unfit:
        findings.problem(member.mark, f"{path}.name", str(unfit))
        return None
    places.names[text] = member.mark
    return text


def _user(item: Node, path: str, places: _Places, findings: Findings, *, has_keys: bool) -> UserConfig | None:
    """Return one user, his keys unjudged."""
    name = _name(item, path, places, findings)
    if name is None:
        return None
    if has_keys and not (_has(item, "password") or _has(item, "passwords")):
        text = f"is missing; each has a key of his own; {_recipe(places)}"
        findings.problem(item.mark, f"{path}.password", text)
        return None
    if _has(item, "port"):
        member = _member(item, path, "port", "", findings)
        if member is not None:
            findings.warn(member.mark, f"{path}.port", "a user in the list of a server is at its port; this is ignored")
    members = plain(item)
    assert isinstance(members, dict), "was looked at"
    where = item.mark.where if item.mark.line is None else intern(f"{item.mark.where}:{item.mark.line}")
    try:
        return replace(parse_user(name, {**members, "port": None}, where), port=None)
    except MemberError as error:
        findings.problem(_mark_at(item, error.key), f"{path}.{error.key}", str(error))
        return None


def _mark_at(item: Node, key: str) -> Mark:
    """Return where a member stands, as far as there are places."""
    assert isinstance(item.value, Mapping), "was looked at"
    member = item.value.get(re.split(r"[.\[]", key)[0])
    return item.mark if member is None else member.mark


def _each(user: UserConfig) -> Iterator[tuple[int, Credential]]:
    yield from enumerate(user.credentials)


def _at(item: Node, path: str, index: int) -> tuple[Mark, str]:
    """Return where a key stands, and its path."""
    if _has(item, "password"):
        return _mark_at(item, "password"), f"{path}.password"
    assert isinstance(item.value, Mapping), "was looked at"
    nodes = item.value["passwords"].node.value
    assert isinstance(nodes, tuple), "was looked at"
    return nodes[index].mark, f"{path}.passwords[{index}]"


def _recipe(places: _Places) -> str:
    return f"make one with: shadesocks genkey -m {places.method.name}"


def _key(item: Node, path: str, places: _Places, environ: Mapping[str, str], findings: Findings) -> Secret | None:
    """Return the key of a server behind this one, unless another has it."""
    found = _text(item, path, "password", f"each has a key of his own; {_recipe(places)}", findings)
    if found is None:
        return None
    judged = _judge(Credential(Secret(found[1])), found[0].mark, f"{path}.password", places, environ, findings)
    return None if judged is None else judged.password


def _judge(
    credential: Credential,
    mark: Mark,
    at: str,
    places: _Places,
    environ: Mapping[str, str],
    findings: Findings,
) -> Credential | None:
    """Return a credential with its key, unless that is none, or another's."""
    recipe = _recipe(places)
    try:
        text = from_environment(credential.password.reveal(), environ)
        credential = replace(credential, password=Secret(text))
        key = credential.key(places.method)
    except (KeyTextError, UnfitError) as error:
        hint = "" if isinstance(error, UnfitError) or error.code == "several_keys" else f"; {recipe}"
        findings.problem(mark, at, f"{error}{hint}")
        return None
    if key in places.keys:
        other = places.keys[key]
        whose = "the server's own" if other is None else f"another one's{_where(other)}"
        findings.problem(mark, at, f"this key is {whose}; each needs a key of his own, {recipe}")
        return None
    places.keys[key] = mark
    if places.method.is_tried:
        if strength(text) < ENOUGH_BITS:
            text_of = "this password is weak: whoever records the traffic can guess it at home"
            findings.warn_once(mark, at, f"{text_of}; {recipe}", SERVER_END)
    elif is_weak_key(key):
        findings.warn_once(mark, at, f"this key is not random, so it can be guessed; {recipe}", SERVER_END)
    return credential


def _where(mark: Mark) -> str:
    return "" if mark.line is None else f" (line {mark.line})"


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


def clients_of(server: ServerConfig, wall: float | None = None) -> tuple[ServerConfig, ...]:
    """Return a server as those see it who may use it: one for each user, named after him, with his keys.

    Of several passwords it is the one that is valid the longest, by an instant where one is given.
    """
    if server.users is None:
        return (server,)
    found = []
    for user in server.users:
        own = server.password.reveal()
        if user.credentials:
            now = [each for each in user.credentials if wall is None or each.is_valid(wall)] or user.credentials
            lasting = max(now, key=_lasting).password.reveal()
            own = f"{own}:{lasting}" if own else lasting
        remarks = f"{server.remarks} {user.name}" if server.remarks else user.name
        found.append(replace(server, users=None, password=Secret(own), remarks=remarks, id=""))
    return tuple(found)


def _lasting(credential: Credential) -> float:
    return float("inf") if credential.valid_until is None else credential.valid_until
