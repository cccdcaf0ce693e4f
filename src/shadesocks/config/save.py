"""From a configuration back to text: plain JSON that every program of the family reads.

Called by `shadesocks up` and `url`. The text holds passwords in the clear: it goes
to `files.write_private`, or to whoever asked for it, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from .model import DEFAULT_MODE, Config, LocalConfig, Mode, ServerConfig
from .settings import SETTINGS

INDENT: Final = 4


def dump(config: Config | Mapping[str, object]) -> str:
    """Return the text of a configuration, or of an object of keys; what has its default value is left out.

    One server and one listener take the short form without lists. `load` makes the same configuration of it.
    """
    keys = _keys(config) if isinstance(config, Config) else config
    import json  # a service reads configurations with a reader of its own, and writes none

    return json.dumps(keys, indent=INDENT, ensure_ascii=False) + "\n"


def _keys(config: Config) -> dict[str, object]:
    keys: dict[str, object] = {}
    modes = {*(server.mode for server in config.servers), *(local.mode for local in config.locals)}
    mode = modes.pop() if len(modes) == 1 else None
    servers = [_server(server, config, mode) for server in config.servers]
    if len(servers) == 1 and _ONLY_IN_LISTS.isdisjoint(servers[0]):
        keys |= servers[0]
    elif servers:
        keys["servers"] = servers
    locals_ = [_local(local, mode) for local in config.locals]
    if len(locals_) == 1 and _ONLY_IN_LISTS.isdisjoint(locals_[0]):
        keys |= locals_[0]
    elif locals_:
        keys["locals"] = locals_
    if mode is not None and mode is not DEFAULT_MODE:
        keys["mode"] = mode.value
    for name in _TOP_FIELDS:
        value = getattr(config, name)
        if value != SETTINGS[name].default:
            _put(keys, SETTINGS[name].path, value)
    return keys


_TOP_FIELDS: Final = tuple(field.name for field in fields(Config) if field.name in SETTINGS)
_ONLY_IN_LISTS: Final = frozenset(("id", "handshake_timeout", "dial_timeout", "mode"))
"""Keys of an entry that mean something else at the top level, or nothing."""


def _put(keys: dict[str, object], path: str, value: object) -> None:
    """Set a dotted key: objects are made where there are none."""
    *groups, last = path.split(".")
    for group in groups:
        inner = keys.setdefault(group, {})
        assert isinstance(inner, dict)
        keys = inner
    keys[last] = value


def _server(server: ServerConfig, config: Config, mode: Mode | None) -> dict[str, object]:
    keys: dict[str, object] = {
        "server": server.address.host,
        "server_port": server.address.port,
        "method": server.method.name,
        "password": server.password.reveal(),
    }
    if server.remarks:
        keys["remarks"] = server.remarks
    if server.id:
        keys["id"] = server.id
    if server.handshake_timeout != config.handshake_timeout:
        keys["handshake_timeout"] = server.handshake_timeout
    if server.dial_timeout != config.dial_timeout:
        keys["dial_timeout"] = server.dial_timeout
    if server.outbound_proxy is not None:
        keys["outbound_proxy"] = _link(server.outbound_proxy)
    if server.mode is not mode:
        keys["mode"] = server.mode.value
    return keys


def _link(server: ServerConfig) -> str:
    """Return the form of SIP002 that is allowed for every method: both parts percent-encoded."""
    from urllib.parse import quote  # 0.4 MiB with what it imports, for whoever writes a chain

    user = f"{quote(server.method.name, safe='')}:{quote(server.password.reveal(), safe='')}"
    return f"ss://{user}@{server.address}"


def _local(local: LocalConfig, mode: Mode | None) -> dict[str, object]:
    keys: dict[str, object] = {"local_address": local.address.host, "local_port": local.address.port}
    if local.protocol != SETTINGS["protocol"].default:
        keys["protocol"] = local.protocol
    if local.mode is not mode:
        keys["mode"] = local.mode.value
    if local.udp_listen is not None:
        keys["local_udp_address"], keys["local_udp_port"] = local.udp_listen.host, local.udp_listen.port
    answer = local.udp_associate_address
    if answer is not None:
        keys[SETTINGS["udp_associate_address"].path] = str(answer) if answer.port else answer.host
    for name in ("udp_require_association", "udp_socket_per_association"):
        value = getattr(local, name)
        if value != SETTINGS[name].default:
            keys[name] = value
    return keys
