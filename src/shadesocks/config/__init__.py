"""Floor 2: configurations, from text to frozen values.

`load` is the way in; `settings.py` is the one table that everything is made from.
Imports nothing above the cipher table; opens files only in `files.py`.
"""

from .files import default_path, find_config, read_config, search_list, write_private
from .load import Report, config_from_link, config_from_links, examine, for_local, for_server, load
from .model import DEFAULT_LOCAL, Config, Hop, LocalConfig, Mode, Outbound, ProxyConfig, ServerConfig
from .options import Option, options
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
