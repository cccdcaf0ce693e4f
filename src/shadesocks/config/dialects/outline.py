"""Outline: the access key of a client, and the keys that its server keeps.

    {"server", "server_port", "password", "method", "prefix"}             behind ssconf://; also with ss:// in its place
    {"accessKeys": [{"id", "name", "password", "port", "method"}]}        shadowbox_config.json of the server
                                                                          keys of one port are users of one server
    {"transport": {...}}                                                  a newer key, not read: mostly it is YAML

A `prefix` makes the first bytes look like another protocol. They stand in the place of random ones of the salt, so a
server takes connections without them; a censor may not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from ..findings import Findings
from ..links import NO_PREFIX
from ..reader import Member, Node
from ..servers import LINK_MODE
from ..setting import OUTLINE, Role
from ..unread import OUTLINE_TRANSPORT
from .draft import Draft, said_as
from .go import every_address

_NAMES: Final = {
    "port": "server_port",
    "password": "password",
    "encryptionMethod": "method",
    "method": "method",
    "name": "remarks",
    "id": "id",
}
"""Fields of an access key, and their names here. The rest is for its manager: metrics, limits."""


def translate(root: Node, role: Role | None, findings: Findings) -> Node:
    """Return the tree in our own form."""
    draft = Draft(root, OUTLINE, findings)
    prefix = draft.pop("prefix")
    if prefix is not None and prefix.node.value != "":
        draft.warn(prefix, "prefix", NO_PREFIX.removeprefix("prefix: "))
    transport = draft.pop("transport")
    if transport is not None:
        draft.problem(transport, "transport", OUTLINE_TRANSPORT)
    if draft.has("accessKeys"):
        _take_keys(draft, role)
    draft.default("mode", LINK_MODE.value)
    return draft.build()


def _take_keys(draft: Draft, role: Role | None) -> None:
    keys = draft.pop("accessKeys")
    draft.drop("nextId", "defaultPort")
    assert keys is not None
    if role == "local":
        text = "these are the keys of a server, which name no host to connect to; take the key that it hands out"
        draft.problem(keys, "accessKeys", text)
        return
    if not isinstance(keys.node.value, tuple):
        draft.problem(keys, "accessKeys", "expected a list of objects, in square brackets")
        return
    host = draft.made(every_address())
    items = [item for item in keys.node.value if isinstance(item.value, Mapping)]
    doors: dict[tuple[str, str], list[dict[str, Member]]] = {}
    for index, item in enumerate(items):
        entry = _entry(item, index, host)
        doors.setdefault((_text(entry.get("server_port")), _text(entry.get("method"))), []).append(entry)
    shared = len(doors) - len({port for port, _ in doors})
    if shared:
        text = f"a port has one method, and {shared} of the ports of these keys have another one, too"
        draft.warn(keys, "accessKeys", text)
    draft.append("servers", [own[0] if len(own) == 1 else _shared(own) for own in doors.values()])


def _text(member: Member | None) -> str:
    return "" if member is None else str(member.node.value)


def _shared(entries: list[dict[str, Member]]) -> dict[str, Member]:
    """Return one server for the keys of a port: its users, by their names where these tell them apart."""
    first, names = entries[0], Counter(_text(entry.get("remarks")) for entry in entries)
    users = []
    for entry in entries:
        user = {"password": entry["password"]} if "password" in entry else {}
        name = "remarks" if names[_text(entry.get("remarks"))] == 1 and "remarks" in entry else "id"
        if name in entry:
            user["name"] = entry[name]
        users.append(Node(user, next(iter(entry.values())).mark))
    kept: dict[str, Member] = {key: first[key] for key in ("server", "server_port", "method") if key in first}
    return {**kept, "users": Member(users[0].mark, Node(tuple(users), users[0].mark))}


def _entry(item: Node, index: int, host: Member) -> dict[str, Member]:
    entry = {"server": host}
    assert isinstance(item.value, Mapping)
    for key, name in _NAMES.items():
        member = item.value.get(key)
        if member is not None and member.node.value not in (None, ""):
            entry[name] = said_as(member, f"accessKeys[{index}].{key}")
    return entry
