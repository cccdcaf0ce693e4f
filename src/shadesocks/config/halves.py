"""The two halves of a plugin: what a server's config says of its own, and what a client needs.

Called where links and documents are written for others (`cli/links.py`, `export.py`): a server's config names the
program that listens, and a link that named it would start a second one at the client. Options stay as they were
written, with their escapes, but for those that only the server's half has.
"""

from __future__ import annotations

import re
from typing import Final

_CLIENT_OF: Final = {"obfs-server": "obfs-local"}
"""Programs whose two halves take the same options. Of others with two names (Cloak) they differ altogether."""
_OF_SERVER: Final = frozenset(("failover", "server", "cert", "key"))
"""`failover` is obfs-server's; the others are of v2ray-plugin and of those made after it, where the flag `server` says
which half it is, and the two paths are those of files at the server."""
_FLAG: Final = "server"
_OPTION: Final = re.compile(r"(?:[^;\\]|\\.|\\\Z)+", re.DOTALL)


def client_half(name: str, options: str) -> tuple[str, str]:
    """Return the plugin of a server's client, without a directory, and its options; a client's own as it is."""
    name = name.rpartition("/")[2]
    found = _OPTION.findall(options)
    if name not in _CLIENT_OF and _FLAG not in found:
        return name, options
    return _CLIENT_OF.get(name, name), ";".join(each for each in found if each.partition("=")[0] not in _OF_SERVER)


def may_be_servers(name: str) -> bool:
    """True for a name that sounds like a server's half, as of a plugin that is not known here."""
    return name.endswith("-server")
