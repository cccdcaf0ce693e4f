"""From a configuration back to text: plain JSON that every program of the family reads.

Called by `shadesocks up` and `url`. The text holds passwords in the clear: it goes
to `files.write_private`, or to whoever asked for it, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from .model import (
    DEFAULT_MODE,
    DEFAULT_OUTBOUND,
    Config,
    DestinationConfig,
    Hop,
    LocalConfig,
    Mode,
    OnlineConfig,
    Outbound,
    PluginConfig,
    ProxyConfig,
    ServerConfig,
)
from .nameservers import written
from .setting import Kind
from .settings import SETTINGS

if TYPE_CHECKING:
    from .user import UserConfig

INDENT: Final = 4


def dump(config: Config | Mapping[str, object]) -> str:
    """Return the text of a configuration, or of an object of keys; what has its default value is left out.

    One server and one listener take the short form without lists. `load` makes the same configuration of it.
    """
    keys = keys_of(config) if isinstance(config, Config) else config
    import json  # a service reads configurations with a reader of its own, and writes none

    text = json.dumps(keys, indent=INDENT, ensure_ascii=False)
    # JSON escapes what moves a cursor in the oldest terminals only, and links and documents may hold anything.
    odd = {ord(char): json.dumps(char)[1:-1] for char in set(text) if not char.isprintable() and char != "\n"}
    return text.translate(odd) + "\n"


def keys_of(config: Config) -> dict[str, object]:
    """Return the object that says the same as a configuration; what has its default value is left out."""
    keys: dict[str, object] = {}
    modes = {*(server.mode for server in config.servers), *(local.mode for local in config.locals)}
    mode = modes.pop() if len(modes) == 1 else None
    servers = [_server(server, config, mode) for server in config.servers]
    # An old method at the top level would be taken for a file of an old program.
    is_old = any(server.method.legacy for server in config.servers)
    if len(servers) == 1 and _ONLY_IN_LISTS.isdisjoint(servers[0]) and not is_old:
        keys |= servers[0]
    elif servers:
        keys["servers"] = servers
    elif config.manager_listen is not None and config.template is not None:
        keys |= _template(config.template)
    locals_ = [_local(local, config, mode) for local in config.locals]
    if len(locals_) == 1 and _ONLY_IN_LISTS.isdisjoint(locals_[0]):
        keys |= locals_[0]
    elif locals_:
        keys["locals"] = locals_
    if mode is not None and mode is not DEFAULT_MODE:
        keys["mode"] = mode.value
    for name in _TOP_FIELDS:
        value = getattr(config, name)
        if value != SETTINGS[name].default:
            _put(keys, SETTINGS[name].path, _WRITERS.get(SETTINGS[name].kind, _same)(value))
    if config.online is not None:
        keys["online_config"] = _online(config.online)
    return keys | _outbound(config.outbound, DEFAULT_OUTBOUND)


_TOP_FIELDS: Final = tuple(field.name for field in fields(Config) if field.name in SETTINGS)
_ONLY_IN_LISTS: Final = frozenset(
    (
        *("id", "key", "handshake_timeout", "dial_timeout", "mode", "acl", "tcp_weight", "udp_weight", "group"),
        *("users", "destinations"),
        *("outbound_bind_addr", "local_ipv4_address", "local_ipv6_address"),
        *("outbound_bind_interface", "outbound_fwmark"),
    )
)
"""Keys of an entry that mean something else at the top level, or nothing."""


def _same(value: object) -> object:
    return value


def _seconds(value: float) -> float:
    """Return a whole number where it is one: other programs read no other."""
    return int(value) if value == int(value) else value


_WRITERS: Final[dict[Kind, Callable[[Any], object]]] = {
    Kind.NAME_SERVERS: lambda servers: list(written(servers)),
    Kind.NETWORKS: list,
    Kind.SECRET: lambda secret: secret.reveal(),
    Kind.NAMES: list,
    Kind.SECONDS: _seconds,
    Kind.NUMBER: _seconds,
    Kind.ADDRESS: lambda address: str(address) if address.port else address.host,
    Kind.PORTS: lambda ranges: [first if first == last else f"{first}-{last}" for first, last in ranges],
}
"""How a value goes back to JSON; those of other kinds go as they are."""


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
    }
    if server.password or not server.method.is_tried:
        keys["key" if server.raw_key else "password"] = server.password.reveal()
    if server.remarks:
        keys["remarks"] = server.remarks
    if server.id:
        keys["id"] = server.id
    if server.handshake_timeout != config.handshake_timeout:
        keys["handshake_timeout"] = _seconds(server.handshake_timeout)
    if server.dial_timeout != config.dial_timeout:
        keys["dial_timeout"] = _seconds(server.dial_timeout)
    for name in ("one_time_auth", "compat", "tcp_weight", "udp_weight", "pool", "group"):
        value = getattr(server, name)
        if value != SETTINGS[name].default:
            keys[name] = _WRITERS.get(SETTINGS[name].kind, _same)(value)
    keys |= _plugin(server.plugin)
    if server.users is not None:
        keys["users"] = [_user(user) for user in server.users]
    if server.destinations:
        keys["destinations"] = [_destination(each) for each in server.destinations]
    if server.outbound_proxy:
        links = [_link(hop) for hop in server.outbound_proxy]
        keys["outbound_proxy"] = links[0] if len(links) == 1 else links
    if server.mode is not mode:
        keys["mode"] = server.mode.value
    if server.acl != config.acl:
        keys["acl"] = server.acl or ""
    return keys | _outbound(server.outbound, config.outbound)


def _user(user: UserConfig) -> dict[str, object]:
    from .user import pack_user

    return {"name": user.name, **pack_user(user)}


def _destination(to: DestinationConfig) -> dict[str, object]:
    place = {"server": to.address.host, "server_port": to.address.port}
    return {"name": to.name, **place, "password": to.password.reveal()}


def _plugin(plugin: PluginConfig | None) -> dict[str, object]:
    if plugin is None:
        return {}
    parts = {"plugin_opts": plugin.options.reveal(), "plugin_args": list(plugin.args), "plugin_mode": plugin.mode.value}
    return {"plugin": plugin.name} | {
        key: value for key, value in parts.items() if value and value != SETTINGS[key].default
    }


def _online(online: OnlineConfig) -> dict[str, object]:
    urls = [url.reveal() for url in online.urls]
    keys: dict[str, object] = {"config_url": urls[0] if len(urls) == 1 else urls}
    if online.interval != SETTINGS["online_interval"].default:
        keys["update_interval"] = _seconds(online.interval)
    return keys


def _template(server: ServerConfig) -> dict[str, object]:
    """Return what the ports of a manager have in common; an empty list, too, where an old method stands at the top."""
    keys: dict[str, object] = {"server": server.address.host, "method": server.method.name, **_plugin(server.plugin)}
    return keys | ({"servers": []} if server.method.legacy else {})


def _outbound(own: Outbound, around: Outbound) -> dict[str, object]:
    """Return the keys of what differs; an empty one switches off what stands around."""
    keys: dict[str, object] = {}
    if own.bind_ipv4 != around.bind_ipv4:
        keys["local_ipv4_address"] = own.bind_ipv4
    if own.bind_ipv6 != around.bind_ipv6:
        keys["local_ipv6_address"] = own.bind_ipv6
    if len(keys) == 1 and all(keys.values()):
        keys = {"outbound_bind_addr": own.bind_ipv4 if "local_ipv4_address" in keys else own.bind_ipv6}  # known to more
    if own.interface != around.interface:
        keys["outbound_bind_interface"] = own.interface
    if own.fwmark != around.fwmark:
        keys["outbound_fwmark"] = own.fwmark
    return keys


def _link(server: Hop) -> str:
    """Return a hop as a link; SIP002 allows the form for every method in which both parts are percent-encoded."""
    from urllib.parse import quote  # 0.4 MiB with what it imports, for whoever writes a chain

    if isinstance(server, ProxyConfig):
        login = f"{quote(server.user, safe='')}:{quote(server.password.reveal(), safe='')}@" if server.user else ""
        return f"{server.protocol}://{login}{server.address}"
    user = f"{quote(server.method.name, safe='')}:{quote(server.password.reveal(), safe='')}"
    return f"ss://{user}@{server.address}"


def _local(local: LocalConfig, config: Config, mode: Mode | None) -> dict[str, object]:
    keys: dict[str, object] = {"local_address": local.address.host, "local_port": local.address.port}
    if local.protocol != SETTINGS["protocol"].default:
        keys["protocol"] = local.protocol
    if local.forward is not None:
        keys["forward_address"], keys["forward_port"] = local.forward.host, local.forward.port
    if local.mode is not mode:
        keys["mode"] = local.mode.value
    if local.acl != config.acl:
        keys["acl"] = local.acl or ""
    if local.udp_listen is not None:
        keys["local_udp_address"], keys["local_udp_port"] = local.udp_listen.host, local.udp_listen.port
    answer = local.udp_associate_address
    if answer is not None:
        keys[SETTINGS["udp_associate_address"].path] = str(answer) if answer.port else answer.host
    for name in ("udp_require_association", "udp_socket_per_association", "socks_reply_port", "group"):
        value = getattr(local, name)
        if value != SETTINGS[name].default:
            keys[name] = value
    return keys
