"""sing-box: the Shadowsocks servers among its outbounds. What else is in a file of it has other keys here, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from ..findings import Findings
from ..reader import Member, Node, printable
from ..servers import LINK_MODE
from ..setting import LOCAL_END, SING_BOX, Role
from .draft import Draft, said_as

_NAMES: Final = {
    "server": "server",
    "server_port": "server_port",
    "method": "method",
    "password": "password",
    "plugin": "plugin",
    "plugin_opts": "plugin_opts",
    "tag": "remarks",
}
_NETWORKS: Final = {"tcp": "tcp_only", "udp": "udp_only"}
_GROUPS: Final = frozenset(("selector", "urltest", "direct", "block", "dns"))
"""Outbounds that are no servers: which server is taken is `balancer.policy` here."""
_NAMES_MAX: Final = 12
"""Keys that a message names; such a file has ten at its top level."""
_V2RAY: Final = (
    "these are outbounds of V2Ray or Xray (protocol, settings), which are not read here; write what stands under "
    "settings.servers of a Shadowsocks one as servers: server, server_port, method, password"
)
_NO_EFFECT: Final = {
    "multiplex": "connections are not multiplexed here; the server must take them one by one, which it does by default",
    "udp_over_tcp": "datagrams go as datagrams here, or not at all",
    "detour": "the way through another outbound is outbound_proxy here",
}


def translate(root: Node, _role: Role | None, findings: Findings) -> Node:
    """Return the tree in our own form."""
    draft = Draft(root, SING_BOX, findings)
    outbounds = draft.pop("outbounds")
    if outbounds is None:
        findings.problem(root.mark, "outbounds", f"is missing; this is no file of {SING_BOX}")
    others = draft.keep(lambda key: False)
    if others:
        names = [printable(key) for key in others]
        more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
        text = f"only outbounds are read of a file of {SING_BOX}; left out are {', '.join(names[:_NAMES_MAX])}{more}"
        draft.warn(next(iter(others.values())), names[0], text)
    items = outbounds.node.value if outbounds is not None else ()
    if outbounds is not None and _are_of_v2ray(items):
        draft.problem(outbounds, "outbounds", _V2RAY)
        return draft.build()
    if outbounds is not None and not isinstance(items, tuple):
        draft.problem(outbounds, "outbounds", "expected a list of objects, in square brackets")
    entries: list[dict[str, Member]] = []
    left: Counter[str] = Counter()
    for index, item in enumerate(items if isinstance(items, tuple) else ()):
        members = item.value if isinstance(item.value, Mapping) else {}
        kind = members["type"].node.value if "type" in members else None
        if kind == "shadowsocks":
            entries.append(_entry(members, f"outbounds[{index}]", findings))
        elif kind not in _GROUPS:
            left[printable(kind) if isinstance(kind, str) else "no type"] += 1
    if left and outbounds is not None:
        kinds = ", ".join(f"{count} of {kind}" for kind, count in sorted(left.items()))
        draft.warn(outbounds, "outbounds", f"no Shadowsocks, and left out: {kinds}", LOCAL_END)
    draft.append("servers", entries)
    draft.default("mode", LINK_MODE.value)
    return draft.build()


def _are_of_v2ray(items: object) -> bool:
    """True where no outbound says what it is as sing-box has it, and one does in V2Ray's way."""
    found = [item.value for item in items if isinstance(item.value, Mapping)] if isinstance(items, tuple) else []
    return any("protocol" in members for members in found) and not any("type" in members for members in found)


def _entry(members: Mapping[str, Member], path: str, findings: Findings) -> dict[str, Member]:
    entry = {
        name: said_as(members[key], f"{path}.{key}")
        for key, name in _NAMES.items()
        if key in members and members[key].node.value not in (None, "")
    }
    network = members.get("network")
    if network is not None and isinstance(network.node.value, str) and network.node.value in _NETWORKS:
        node = Node(_NETWORKS[network.node.value], network.node.mark)
        entry["mode"] = Member(network.mark, node, f"{path}.network")
    for key, why in _NO_EFFECT.items():
        member = members.get(key)
        if member is not None and member.node.value not in (None, False) and not _is_off(member.node):
            findings.warn(member.mark, f"{path}.{key}", f"has no effect: {why}")
    return entry


def _is_off(node: Node) -> bool:
    """True for an object that says of itself that it is not enabled."""
    enabled = node.value.get("enabled") if isinstance(node.value, Mapping) else None
    return isinstance(node.value, Mapping) and (enabled is None or enabled.node.value is not True)
