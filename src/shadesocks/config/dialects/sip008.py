"""Documents of SIP008 that were saved to a file.

Of a document only what the specification names is taken: other fields are for other clients, and are passed over
without a word, as it asks for. Keys of ours may stand beside `servers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..findings import Findings
from ..reader import Node
from ..servers import LINK_MODE
from ..setting import SIP008, Place, Role
from ..settings import LISTS, known_keys
from .draft import Draft

_FIELDS: Final = frozenset(
    ("id", "remarks", "server", "server_port", "address", "port", "password", "method", "plugin", "plugin_opts")
)
"""`address` and `port` are shadowsocks-rust's, which takes both spellings."""
_OF_DOCUMENT: Final = ("version", "bytes_used", "bytes_remaining")


def translate(root: Node, _role: Role | None, findings: Findings) -> Node:
    """Return the tree in our own form."""
    draft = Draft(root, SIP008, findings)
    version = draft.pop("version")
    if version is not None and (version.node.value != 1 or isinstance(version.node.value, bool)):
        draft.problem(version, "version", "the version of this document is not 1, the only one there is")
    draft.drop(*_OF_DOCUMENT)
    known = known_keys(Place.TOP).keys() | LISTS.keys()
    groups = {key.partition(".")[0] for key in known}
    draft.keep(lambda key: key in known or key in groups)
    draft.replace_items("servers", _entry)
    draft.default("mode", LINK_MODE.value)
    return draft.build()


def _entry(item: Node) -> Node:
    if not isinstance(item.value, Mapping):
        return item
    kept = {key: member for key, member in item.value.items() if key in _FIELDS and member.node.value != ""}
    return Node(kept, item.mark)
