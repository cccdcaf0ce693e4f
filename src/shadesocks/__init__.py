"""Shadowsocks, whole and modern, in pure Python.

The public API is what `__all__` names; docs/api.md describes it. Names are resolved when they
are used, so that `import shadesocks` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .config.load import load as load_config
    from .config.model import Config, LocalConfig, Mode, Outbound, ProxyConfig, ServerConfig
    from .core.address import Address
    from .core.errors import (
        AuthenticationError,
        ConfigError,
        DialError,
        KeyTextError,
        LimitError,
        LocalProtocolError,
        Problem,
        ProtocolError,
        RemoteProtocolError,
        ReplayError,
        ShadesocksError,
    )
    from .core.nameserver import NameServer, Transport
    from .core.secret import Secret
    from .crypto.methods import find_method
    from .net.crowd import PacketCounts
    from .net.loop import run
    from .service.service import Service

__version__ = "0.1.0"

__all__ = [
    "Address",
    "AuthenticationError",
    "Config",
    "ConfigError",
    "DialError",
    "KeyTextError",
    "LimitError",
    "LocalConfig",
    "LocalProtocolError",
    "Mode",
    "NameServer",
    "Outbound",
    "PacketCounts",
    "Problem",
    "ProtocolError",
    "ProxyConfig",
    "RemoteProtocolError",
    "ReplayError",
    "Secret",
    "ServerConfig",
    "Service",
    "ShadesocksError",
    "Transport",
    "find_method",
    "load_config",
    "run",
]

_RENAMED: Final = {"load_config": ("config.load", "load")}
_ERRORS: Final = "core.errors"
_HOMES: Final = {
    "Address": "core.address",
    "Config": "config.model",
    "LocalConfig": "config.model",
    "Mode": "config.model",
    "NameServer": "core.nameserver",
    "Outbound": "config.model",
    "PacketCounts": "net.crowd",
    "ProxyConfig": "config.model",
    "Secret": "core.secret",
    "ServerConfig": "config.model",
    "Service": "service.service",
    "Transport": "core.nameserver",
    "find_method": "crypto.methods",
    "run": "net.loop",
}


def __getattr__(name: str) -> Any:
    """Find a public name where it lives."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, own_name = _RENAMED.get(name) or (_HOMES.get(name, _ERRORS), name)
    return getattr(import_module(f"{__name__}.{home}"), own_name)
