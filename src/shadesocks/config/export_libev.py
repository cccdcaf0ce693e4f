"""A configuration as shadowsocks-libev writes it: one object for one end.

Called by `shadesocks convert`. Such a file has one listener, and servers that differ in nothing but their hosts and
ports, or the ports and passwords of ss-manager.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Final

from ..core.nameserver import Transport
from ..crypto.methods import Edition, Method
from .dialects.libev import SERVER_IDLE_LEAST
from .export import Export, lose_of_plugin
from .manager import report_place
from .model import TUNNEL, Config, LocalConfig, Mode, Outbound, ServerConfig
from .save import dump
from .setting import SERVER_END, Role
from .settings import SETTINGS

_SAME: Final = ("no_delay", "fast_open", "mptcp", "ipv6_first", "nofile", "acl", "user", "reuse_port")
"""Settings of both programs under one name."""
_RENAMED: Final = {
    "inbound_send_buffer": "tcp_incoming_sndbuf",
    "inbound_receive_buffer": "tcp_incoming_rcvbuf",
    "outbound_send_buffer": "tcp_outgoing_sndbuf",
    "outbound_receive_buffer": "tcp_outgoing_rcvbuf",
    "log_syslog": "use_syslog",
}
"""Settings of both under two names."""
_ELSEWHERE: Final = frozenset(
    (
        *("dns", "idle_timeout", "udp_timeout", "acl_dialect", "allow_legacy"),
        *("manager_listen", "manager_dialect", "manager_address", "manager_port"),
    )
)
"""Settings that are said in another way below, or need no word."""
_HABITS: Final = frozenset(("balancer_policy", "stream_replay", "allow_none"))
"""Settings that are habits of shadowsocks-libev, or permissions."""
_STREAMS: Final = frozenset(
    (
        *("rc4", "rc4-md5", "salsa20", "chacha20", "chacha20-ietf"),
        *("bf-cfb", "cast5-cfb", "des-cfb", "idea-cfb", "rc2-cfb", "seed-cfb"),
        *(f"aes-{bits}-{mode}" for bits in (128, 192, 256) for mode in ("cfb", "ctr")),
        *(f"camellia-{bits}-cfb" for bits in (128, 192, 256)),
    )
)
"""Old methods that it still has."""
_NOT_ALIKE: Final = "servers in one file share port, method and password; give it a file of its own"
_NOTHING: Final = "shadowsocks-libev has no such setting"


def to_libev(config: Config, role: Role) -> Export:
    """Return the file of ss-server or ss-local."""
    export = Export()
    keys: dict[str, Any] = _servers(config, role, export)
    if role == "local":
        keys |= _listener(config, export)
    mode = _mode(config, role)
    if mode is not Mode.TCP_ONLY:
        keys["mode"] = mode.value
    keys |= _process(config, role, export)
    export.lost = list(dict.fromkeys(export.lost))
    export.text = dump(keys)
    return export


def _servers(config: Config, role: Role, export: Export) -> dict[str, Any]:
    """Return the servers that go into one file: those that are like the first."""
    if not config.servers:
        return {}
    first, *others = config.servers
    if role == "server" and any(server.address.host == first.address.host for server in others):
        return _ports(config, first, export)
    fits = [server for server in config.servers if _like(server, first, role)]
    for index, server in enumerate(config.servers):
        if server not in fits:
            export.lose(f"servers[{index}]", _NOT_ALIKE)
        _judge(server, f"servers[{index}]", export)
    hosts = [server.address.host if role == "server" else str(server.address) for server in fits]
    return {
        "server": hosts if len(hosts) > 1 else first.address.host,
        "server_port": first.address.port,
        "method": first.method.name,
        **_secret(first),
        **_plugin(first, export),
        **_outbound(first.outbound),
    }


def _secret(server: ServerConfig) -> dict[str, str]:
    """Return the password, or the key; nothing where the users have theirs, which are left out."""
    if not server.password and server.method.is_tried:
        return {}
    return {"key" if server.raw_key else "password": server.password.reveal()}


def _like(server: ServerConfig, first: ServerConfig, role: Role) -> bool:
    """True where nothing but the host, for a client also the port, is another one."""
    port = server.address.port if role == "local" else first.address.port
    address = replace(first.address, host=server.address.host, port=port)
    same = replace(first, address=address, remarks=server.remarks, id=server.id)
    return server == same


def _ports(config: Config, first: ServerConfig, export: Export) -> dict[str, Any]:
    """Return a file for ss-manager: several ports of one host."""
    ports: dict[str, str] = {}
    for index, server in enumerate(config.servers):
        same = replace(first, address=server.address, password=server.password, remarks=server.remarks, id=server.id)
        if server != same or server.address.host != first.address.host:
            export.lose(f"servers[{index}]", "ports in one file share host and method; give it its own file")
            continue
        _judge(server, f"servers[{index}]", export)
        if server.raw_key:
            export.lose(f"servers[{index}]", "ports in one file have passwords, and no keys; give it its own file")
            continue
        if not _secret(server):
            continue
        ports[str(server.address.port)] = server.password.reveal()
    export.lost.append("several ports are a file for ss-manager, which wants manager_address, too")
    return {
        "server": first.address.host,
        "port_password": ports,
        "method": first.method.name,
        **_plugin(first, export),
        **_outbound(first.outbound),
    }


def _judge(server: ServerConfig, path: str, export: Export) -> None:
    if not _has(server.method):
        export.lose(f"{path}.method", f"shadowsocks-libev does not have {server.method.name}")
    for name in ("one_time_auth", "compat", "outbound_proxy", "users", "destinations"):
        if getattr(server, name) != getattr(ServerConfig(server.address, server.method, server.password), name):
            export.lose(f"{path}.{name}", _NOTHING)


def _plugin(server: ServerConfig, export: Export) -> dict[str, str]:
    if server.plugin is None:
        return {}
    lose_of_plugin(server.plugin, "servers[]", "plugin_args plugin_mode", export)
    keys = {"plugin": server.plugin.name, "plugin_opts": server.plugin.options.reveal()}
    return {key: text for key, text in keys.items() if text}


def _has(method: Method) -> bool:
    if method.edition is Edition.STREAM:
        return method.name in _STREAMS
    return method.edition is Edition.AEAD and not method.legacy


def _outbound(outbound: Outbound) -> dict[str, str]:
    keys = {"local_ipv4_address": outbound.bind_ipv4, "local_ipv6_address": outbound.bind_ipv6}
    keys["interface"] = outbound.interface
    return {key: text for key, text in keys.items() if text}


def _listener(config: Config, export: Export) -> dict[str, Any]:
    if not config.locals:
        return {}
    first, *others = config.locals
    for index in range(1, len(others) + 1):
        export.lose(f"locals[{index}]", "a file has one listener; give it its own file")
    keys: dict[str, Any] = {"local_address": first.address.host, "local_port": first.address.port}
    if first.protocol == TUNNEL and first.forward is not None:
        keys["tunnel_address"] = str(first.forward)
    plain = LocalConfig(first.address)
    for name in ("udp_listen", "udp_associate_address", "udp_socket_per_association"):
        if getattr(first, name) != getattr(plain, name):
            export.lose(name, _NOTHING)
    return keys


def _mode(config: Config, role: Role) -> Mode:
    entries = config.servers if role == "server" else config.locals or config.servers
    return entries[0].mode if entries else Mode.TCP_ONLY


def _process(config: Config, role: Role, export: Export) -> dict[str, Any]:
    """Return what is told to the whole process."""
    keys: dict[str, Any] = {}
    default = Config()
    for field in fields(Config):
        name, setting = field.name, SETTINGS.get(field.name)
        if setting is None or name in _ELSEWHERE | _HABITS or getattr(config, name) == getattr(default, name):
            continue
        if name in _SAME or name in _RENAMED:
            keys[_RENAMED.get(name, name)] = getattr(config, name)
        elif name == "log_without_time" and config.log_syslog:
            continue  # as syslog() has it
        elif role in setting.roles:
            export.lose(setting.path, _NOTHING)
    if config.outbound.fwmark:
        export.lose("outbound_fwmark", _NOTHING)
    if config.online is not None and role == "local":
        export.lose("online_config", _NOTHING)
    for special in _SPECIAL:
        special(config, role, keys, export)
    return keys


def _put_dns(config: Config, _role: Role, keys: dict[str, Any], export: Export) -> None:
    plain = [server for server in config.dns if server.transport is Transport.UDP]
    if len(plain) < len(config.dns):
        export.lose("dns", "shadowsocks-libev asks name servers over UDP only")
    if plain:
        keys["nameserver"] = ",".join(server.host if server.port == 53 else str(server)[6:] for server in plain)


def _put_timeout(config: Config, role: Role, keys: dict[str, Any], export: Export) -> None:
    idle = config.idle_timeout
    if idle != Config().idle_timeout:
        if role == "server" and idle < SERVER_IDLE_LEAST:
            export.lose("idle_timeout", "ss-server closes no idle connection before a day has passed")
        else:
            keys["timeout"] = int(idle)
    if config.udp_timeout not in (Config().udp_timeout, idle):
        export.lose("udp_timeout", "shadowsocks-libev has one timeout for connections and datagrams")


def _put_manager(config: Config, role: Role, keys: dict[str, Any], export: Export) -> None:
    """Put where commands come in, or who is told what passed: it is one key, of two programs."""
    if role not in SERVER_END:
        return
    told = report_place(config)
    if config.manager_listen is not None:
        keys["manager_address"] = config.manager_listen
        if told is not None:
            export.lost.append("manager_address: ss-manager tells no other manager what passed")
    elif told is not None:
        keys["manager_address"] = str(told)


_SPECIAL: Final[tuple[Callable[[Config, Role, dict[str, Any], Export], None], ...]] = (
    _put_dns,
    _put_timeout,
    _put_manager,
)
