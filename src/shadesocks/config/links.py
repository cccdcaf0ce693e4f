"""Servers that are given as ss:// links: in `outbound_proxy`, in `--server-url`, to `connect`.

The reader of links is `wire/uri.py`, on the floor of this package, so it is not
imported here: whoever calls `load` hands it in as `read_link`. What a link says
then takes the same way as the keys of a file, and is judged by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

from ..core.errors import ShadesocksError
from .findings import Findings
from .reader import BROKEN, Mark, Node
from .sections import Entry
from .urls import OUTLINE


class LinkLike(Protocol):
    """What a link says; `wire.uri.Link` is one."""

    @property
    def method(self) -> str: ...
    @property
    def password(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def plugin(self) -> str | None: ...
    @property
    def plugin_opts(self) -> str | None: ...
    @property
    def tag(self) -> str | None: ...


ReadLink = Callable[[str], LinkLike]
"""Turns the text of a link into what it says, or raises a ShadesocksError that does not repeat it."""


_PREFIX: Final = re.compile(r"[^?#]*\?(?:[^#]*&)?prefix=[^&#]")
"""What Outline puts into the links of keys whose first bytes look like another protocol."""
NO_PREFIX: Final = (
    "prefix: has no effect: the first bytes of connections are random here, and look like no other protocol; where "
    "they had to, this server may be out of reach"
)


def has_prefix(text: str) -> bool:
    """True for a link that asks for first bytes of its own."""
    return _PREFIX.match(text) is not None


def parse_entry(entry: Entry, read_link: ReadLink | None, findings: Findings) -> LinkLike | None:
    """Read the link that an entry holds; None after a problem."""
    text = entry.node.value
    problem = None
    if not isinstance(text, str):
        problem = "" if text is BROKEN else "a link in quotes is expected"
    elif read_link is None:
        problem = "links are not read here; the program that loads this configuration must pass read_link"
    else:
        try:
            link = read_link(text)
            if has_prefix(text):
                findings.warn(entry.mark, entry.key, NO_PREFIX)
            return link
        except ShadesocksError as error:
            problem = f"this is no usable link: {error}"
            if text.strip().lower().startswith(f"{OUTLINE}://"):
                problem = "ssconf:// is where a document of servers lies; it belongs into online_config.config_url"
    if problem:
        findings.problem(entry.mark, entry.key, problem)
    return None


def link_entries(link: LinkLike, key: str, mark: Mark) -> dict[str, Entry]:
    """Return what a link says as entries of a server's section."""
    said: dict[str, str | int] = {
        "server": link.host,
        "server_port": link.port,
        "method": link.method,
        "password": link.password,
    }
    if link.tag:
        said["remarks"] = link.tag
    if link.plugin:
        said["plugin"] = link.plugin
        said["plugin_opts"] = link.plugin_opts or ""
    return {name: Entry(key, mark, Node(value, mark), by_others=True) for name, value in said.items()}
