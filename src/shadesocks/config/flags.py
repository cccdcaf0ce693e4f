"""Options of the command line as entries of a configuration.

A flag takes the place of the key it stands for, and passes the same checks; its
entry has no line, and names the flag where a file's would name the file. A server
or a listener that is given by flags takes the place of all those in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from .findings import Findings
from .hops import scheme_of
from .hosts import split_port
from .links import ReadLink, link_entries, parse_entry
from .options import MODE_FLAGS
from .reader import Mark, Node
from .sections import Entry, Section
from .setting import LOCAL_END, Place, Setting
from .settings import SETTINGS
from .urls import FOR_CLIENTS, OUTLINE

Given = str | tuple[str, ...]
"""The text of an option, or the texts of one that may be given again."""

NO_FILE: Final = Mark("command line")
"""Where a key is missing when there is no file."""
PASSWORD_VARIABLE: Final = "SS_SERVER_PASSWORD"  # noqa: S105 - shadowsocks-rust's name of a variable, no password
"""Taken where a server is given by flags without a password."""

_PORT_OF: Final = {
    "server": "server_port",
    "local_address": "local_port",
    "local_udp_address": "local_udp_port",
    "forward_address": "forward_port",
}
"""Settings whose flag takes HOST:PORT, and where the port goes."""
_LIST_OF: Final = {"server": Place.SERVER, "server_url": Place.SERVER, "local_address": Place.LOCAL}
"""Settings whose flag takes the place of a whole list."""
_WORDS: Final = {row.switch: row.flags[0] for row in MODE_FLAGS}
"""Flags that are a word of `mode`, which has no flag by its own name."""
PLUGIN_PARTS: Final = ("plugin", "plugin_opts", "plugin_args", "plugin_mode")
_SERVER_KEYS: Final = ("server", "server_port", "method", "password", "remarks", *PLUGIN_PARTS)


def add_flags(
    top: Section,
    overrides: Mapping[str, Given],
    environ: Mapping[str, str],
    read_link: ReadLink | None,
    findings: Findings,
) -> None:
    """Put the options, by the name of their setting, in place of what the file says at its top level."""
    for name in overrides:
        place = _LIST_OF.get(name)
        top.lists = [(at, entry) for at, entry in top.lists if at is not place]
    if "server_url" in overrides:
        for name in _SERVER_KEYS:
            top.entries.pop(name, None)
        add_links(top, overrides["server_url"], _mark(SETTINGS["server_url"], ""), read_link, findings)
    for name, entry in _entries(overrides, findings):
        top.entries[name] = entry
    if "server" in overrides and not top.has("password") and PASSWORD_VARIABLE in environ:
        mark = Mark(PASSWORD_VARIABLE)
        top.entries["password"] = Entry("", mark, Node(environ[PASSWORD_VARIABLE], mark))


def add_links(top: Section, given: Given, mark: Mark, read_link: ReadLink | None, findings: Findings) -> None:
    """Put what links name: one server at the top level, several in the list; an ssconf:// link is a subscription."""
    texts = (given,) if isinstance(given, str) else given
    documents = [text for text in texts if scheme_of(text) == OUTLINE]
    nodes = [Node(text.strip(), mark) for text in texts if scheme_of(text) != OUTLINE]
    if documents and not findings.concerns(LOCAL_END):
        findings.problem(mark, "", FOR_CLIENTS)
    elif documents:
        top.entries["online_urls"] = _entry(SETTINGS["online_urls"], tuple(documents), mark)
    if len(nodes) > 1:
        top.lists.append((Place.SERVER, Entry("", mark, Node(tuple(nodes), mark))))
        return
    for node in nodes:
        link = parse_entry(Entry("", mark, node), read_link, findings)
        if link is not None:
            top.entries |= link_entries(link, "", mark)


def _entries(overrides: Mapping[str, Given], findings: Findings) -> Iterator[tuple[str, Entry]]:
    for name, given in overrides.items():
        setting = SETTINGS[name]
        texts = (given,) if isinstance(given, str) else given
        if name != "password" and not all(text.isprintable() for text in texts):
            findings.problem(_mark(setting, texts[0]), "", "this holds characters that cannot be printed")
        elif name in _PORT_OF:
            host, port = split_port(texts[-1])
            yield name, _entry(setting, host)
            if port:
                port_name = _PORT_OF[name]
                yield port_name, _entry(setting, port)
        elif name != "server_url":
            yield name, _entry(setting, given)


def _mark(setting: Setting, text: str) -> Mark:
    return Mark(setting.flags[-1] if setting.flags else _WORDS.get(text, f"--{setting.name.replace('_', '-')}"))


def _entry(setting: Setting, given: Given, mark: Mark | None = None) -> Entry:
    mark = mark or _mark(setting, given if isinstance(given, str) else "")
    return Entry("", mark, Node(given if isinstance(given, str) else tuple(Node(text, mark) for text in given), mark))
