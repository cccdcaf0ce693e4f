"""A configuration as other programs write it, and what they have no words for.

Called by `shadesocks convert`. Every form says as much as it can; what it cannot say comes back as sentences, one for
each setting that is not at its default. Our own form is `save.py`, that of shadowsocks-libev `export_libev.py`.
The texts hold passwords in the clear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ..crypto.methods import Edition
from .halves import client_half
from .model import DEFAULT_PLUGIN_MODE, Config, PluginConfig, ProxyConfig, ServerConfig
from .nameservers import written
from .save import dump, keys_of
from .setting import RUST, SIP008, Place, Role, Setting
from .settings import LISTS, known_keys
from .users import clients_of


@dataclass(slots=True)
class Export:
    """What became of a configuration."""

    text: str = ""
    lost: list[str] = field(default_factory=list)
    """What the other program has no words for: a sentence each, without values."""

    def lose(self, key: str, why: str) -> None:
        """Note that a key could not be said."""
        self.lost.append(f"{key}: {why}")


def to_own(config: Config, _role: Role) -> Export:
    """Return our own form, which says all."""
    return Export(dump(config))


# shadowsocks-rust


_RUST_HAS: Final = frozenset((RUST, SIP008))
_NOTHING_LOST: Final = frozenset(("allow_legacy", "allow_none", "socks_reply_port", "udp_require_association"))
"""Keys of ours whose absence changes nothing there: permissions, and habits that are shadowsocks-rust's own."""


def to_rust(config: Config, role: Role) -> Export:
    """Return shadowsocks-rust's form: our own without the keys that are ours."""
    export = Export()
    online = config.online
    if online is not None and len(online.urls) > 1:
        config = replace(config, online=replace(online, urls=online.urls[:1]))
        export.lose("online_config.config_url", "shadowsocks-rust takes one; the first is kept")
    own = keys_of(config)
    if "allowed_plugins" in own:  # which it knows of subscriptions alone
        allowed = own.pop("allowed_plugins")
        if isinstance(online_keys := own.get("online_config"), dict):
            online_keys["allowed_plugins"] = allowed
    keys = _cut(own, Place.TOP, role, "", export)
    if config.dns:
        keys["dns"] = ",".join(written(config.dns))
    for server in config.servers:
        _judge_for_rust(server, export)
    export.lost = list(dict.fromkeys(export.lost))
    export.text = dump(keys)
    return export


def _cut(keys: Mapping[str, object], place: Place, role: Role, path: str, export: Export) -> dict[str, object]:
    """Return the members of an object that shadowsocks-rust knows."""
    known = known_keys(place)
    kept: dict[str, object] = {}
    for key, value in keys.items():
        inner = LISTS.get(key) if place is Place.TOP else None
        if inner is not None and isinstance(value, list):
            kept[key] = [_cut(item, inner, role, f"{key}[{index}].", export) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            group = _cut({f"{key}.{name}": each for name, each in value.items()}, place, role, path, export)
            if group:
                kept[key] = {name.removeprefix(f"{key}."): each for name, each in group.items()}
        elif key in known and _is_of_rust(known[key]):
            kept[key] = value
        elif key not in _NOTHING_LOST and (key not in known or role in known[key].roles):
            export.lose(path + key, "shadowsocks-rust has no such setting")
    return kept


def _is_of_rust(setting: Setting) -> bool:
    return setting.source in _RUST_HAS


def _judge_for_rust(server: ServerConfig, export: Export) -> None:
    name = server.method.name
    if server.method.edition is Edition.STREAM:
        export.lose("method", f"shadowsocks-rust has {name} only where it was built with stream ciphers")
    elif server.method.legacy:
        export.lose("method", f"shadowsocks-rust does not have {name}")
    _lose_key(server, "servers[]", export)
    if server.is_shared and server.method.is_tried:
        export.lose("users", f"shadowsocks-rust has no users with {name}; the 2022 methods of AES have some")
    if any(not isinstance(hop, ProxyConfig) for hop in server.outbound_proxy):
        export.lose("outbound_proxy", "shadowsocks-rust takes no ss:// proxies")


# SIP008: a document of servers, and of nothing else


def to_sip008(config: Config, role: Role) -> Export:
    """Return the document that subscriptions are made of."""
    import uuid  # 1 MiB, for whoever writes such a document

    export = Export()
    servers = []
    for index, server in enumerate(config.servers):
        for client in clients_of(server):
            user = f"#{client.remarks}" if server.users is not None else ""
            name = client.id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"ss://{server.address}{user}"))
            entry: dict[str, object] = {"id": name, "remarks": client.remarks, "server": server.address.host}
            entry |= {"server_port": server.address.port, "method": server.method.name}
            entry["password"] = client.password.reveal()
            if server.plugin is not None:
                plugin, options = client_half(server.plugin.name, server.plugin.options.reveal())
                entry |= {"plugin": plugin, "plugin_opts": options}
            servers.append(entry)
        lose_beside_link(server, f"servers[{index}]", export)
    lose_all_but_servers(config, role, export)
    export.text = dump({"version": 1, "servers": servers})
    return export


def lose_beside_link(server: ServerConfig, path: str, export: Export) -> None:
    """Note what a server has beside its address, method, password and name."""
    plain = ServerConfig(server.address, server.method, server.password)
    for name in _BESIDE:
        if getattr(server, name) != getattr(plain, name):
            export.lose(f"{path}.{name}", "there is no place for it beside a server")
    if server.plugin is not None:
        lose_of_plugin(server.plugin, path, "plugin_args plugin_mode", export)
    if server.destinations:
        export.lose(f"{path}.destinations", "only this program stands in front of others")
    _lose_key(server, path, export)


_BESIDE: Final = (
    *("one_time_auth", "compat", "outbound_proxy", "outbound", "acl"),
    *("pool", "tcp_weight", "udp_weight", "group"),
)


def lose_of_plugin(plugin: PluginConfig, path: str, keys: str, export: Export) -> None:
    """Note what is said of a plugin beside its name and its options."""
    said = {"plugin_args": bool(plugin.args), "plugin_mode": plugin.mode is not DEFAULT_PLUGIN_MODE}
    for key in keys.split():
        if said[key]:
            export.lose(f"{path}.{key}", "there is no word for it")


def _lose_key(server: ServerConfig, path: str, export: Export) -> None:
    if server.raw_key:
        export.lose(f"{path}.key", "only shadowsocks-libev takes a key; what stands in its place is no password")


def lose_all_but_servers(config: Config, role: Role, export: Export) -> None:
    """Note that the settings of the process are not in a form that has only servers."""
    rest = [key for key in _paths(keys_of(config)) if key not in _OF_SERVERS and key not in _NOTHING_LOST]
    if role == "server":
        rest = [key for key in rest if key != "locals" and not key.startswith("local_")]
    if rest:
        export.lose(", ".join(rest), "only servers have a place in this form")


_OF_PLUGIN: Final = ("plugin", "plugin_opts", "plugin_args", "plugin_mode")
_OF_SERVERS: Final = frozenset(
    ("servers", "server", "server_port", "method", "password", "remarks", "id", "mode", "users", *_OF_PLUGIN)
)


def _paths(keys: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in keys.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")
        else:
            yield prefix + key


Exporter = Callable[[Config, Role], Export]
