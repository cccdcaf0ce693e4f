"""Floor 2: configurations, from text to frozen values.

`load` is the way in; `settings.py` is the one table that everything is made from.
Imports nothing above the cipher table; opens files only in `files.py` and `text_file.py`. What a service that starts
has no use for is loaded when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .load import Report, config_from_link, config_from_links, examine, for_local, for_server, load
from .model import DEFAULT_LOCAL, Config, Hop, LocalConfig, Mode, Outbound, ProxyConfig, ServerConfig
from .options import Option, options
from .text_file import read_config

if TYPE_CHECKING:
    from .files import default_path, find_config, search_list, write_private
    from .save import dump

__all__ = [
    "DEFAULT_LOCAL",
    "Config",
    "Hop",
    "LocalConfig",
    "Mode",
    "Option",
    "Outbound",
    "ProxyConfig",
    "Report",
    "ServerConfig",
    "config_from_link",
    "config_from_links",
    "default_path",
    "dump",
    "examine",
    "find_config",
    "for_local",
    "for_server",
    "load",
    "options",
    "read_config",
    "search_list",
    "write_private",
]

_FILES: Final = {
    **dict.fromkeys(("default_path", "find_config", "search_list", "write_private"), "files"),
    "dump": "save",
}


def __getattr__(name: str) -> Any:
    """Find a public name where it lives."""
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_FILES[name]}", __name__), name)
