"""Servers that come from subscriptions: what a file says of them, and from a document's words to a `ServerConfig`.

A document comes from elsewhere, so it says where its servers are and how they are spoken to, and nothing else: no
key of it reads the environment, opens a file or starts a program that the file does not allow. Each of its servers is
judged by the same rules as one of the file; one that fails is left out, and the others serve.

Called by `load.py`, and by `service/subscriptions/documents.py` with what a document said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ..core.address import Address
from ..core.errors import Problem
from ..crypto.methods import find_method
from .findings import Findings, left_out
from .model import NO_SECRET, Config, OnlineConfig, ServerConfig
from .reader import Mark, Node
from .sections import Entry, Section
from .servers import LINK_MODE, Habits, Surroundings, build_server
from .setting import Place

_METHOD: Final = "2022-blake3-aes-256-gcm"
"""Of templates, which need one and use none."""
_NO_ADDRESS: Final = Address("", 0)


@dataclass(frozen=True, slots=True)
class Offer:
    """One server as a document offers it: texts, not judged. Its repr shows neither the password nor the options."""

    server: str
    server_port: int
    method: str
    password: str = field(repr=False)
    remarks: str = ""
    id: str = ""
    plugin: str | None = None
    plugin_opts: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the offers of a document."""

    servers: tuple[ServerConfig, ...]
    left_out: tuple[Problem, ...]
    """Why each of the others is not there."""
    warnings: tuple[Problem, ...] = ()


def build_online(top: Section, around: Surroundings, findings: Findings) -> OnlineConfig | None:
    """Return the subscriptions of a file; None where there are none."""
    urls = top.value("online_urls", findings) if top.has("online_urls") else None
    interval = top.value("online_interval", findings) if top.has("online_interval") else None
    plugins = top.value("allowed_plugins", findings) if top.has("allowed_plugins") else None
    if not isinstance(urls, tuple) or not urls:
        return None
    template = ServerConfig(
        _NO_ADDRESS,
        find_method(_METHOD),
        NO_SECRET,
        handshake_timeout=around.handshake_timeout,
        dial_timeout=around.dial_timeout,
        outbound_proxy=around.outbound_proxy,
        mode=LINK_MODE,
        outbound=around.outbound,
        acl=around.acl,
        one_time_auth=around.habits.one_time_auth,
        compat=around.habits.compat,
        pool=around.habits.pool,
    )
    online = OnlineConfig(urls, template=template)
    return OnlineConfig(
        urls,
        interval if isinstance(interval, float) else online.interval,
        plugins if isinstance(plugins, tuple) else (),
        template,
    )


def take_offers(offers: Iterable[Offer], config: Config, where: str) -> Taken:
    """Build the servers of a document.

    Args:
        offers: what it says.
        config: of the client that asked for it; it has `online`.
        where: what messages call the document.
    """
    online = config.online
    assert online is not None, "a document was asked for"
    around = _around(online, config)
    servers: dict[ServerConfig, None] = {}
    refused: list[Problem] = []
    findings = Findings("local")
    for index, offer in enumerate(offers):
        alone = Findings("local")
        server = _build(offer, index, where, around, alone)
        if server is None or alone.problems:
            refused.append(_refusal(offer, index, where, alone.problems))
        else:
            servers[server] = None
            findings.adopt(alone)
    return Taken(tuple(servers), tuple(refused), findings.warnings)


def _around(online: OnlineConfig, config: Config) -> Surroundings:
    template = online.template or ServerConfig(_NO_ADDRESS, find_method(_METHOD), NO_SECRET, mode=LINK_MODE)
    return Surroundings(
        template.handshake_timeout,
        template.dial_timeout,
        template.outbound_proxy,
        config.allow_none,
        {},  # a document does not read the environment
        None,
        template.mode,
        template.outbound,
        template.acl,
        "",
        config.allow_legacy,
        Habits(template.one_time_auth, template.compat, template.pool),
        allowed_plugins=online.allowed_plugins,
    )


def _build(offer: Offer, index: int, where: str, around: Surroundings, findings: Findings) -> ServerConfig | None:
    mark = Mark(where)
    path = f"servers[{index}]"
    said: dict[str, str | int | None] = {
        "server": offer.server,
        "server_port": offer.server_port,
        "method": offer.method,
        "password": offer.password,
        "remarks": offer.remarks or None,
        "id": offer.id or None,
        "plugin": offer.plugin,
        "plugin_opts": offer.plugin_opts if offer.plugin else None,
    }
    entries = {
        name: Entry(f"{path}.{name}", mark, Node(value, mark), by_others=True)
        for name, value in said.items()
        if value is not None
    }
    section = Section(Place.SERVER, path, mark, entries)
    server = build_server(section, around, findings)
    section.check(findings)
    return server


def _refusal(offer: Offer, index: int, where: str, problems: tuple[Problem, ...]) -> Problem:
    """Name the server by its place and its label, which people know it by; both are the document's words."""
    label = "".join(char if char.isprintable() else "?" for char in offer.remarks[:_LABEL_MAX])
    name = f"servers[{index}]" + (f" ({label})" if label else "")
    return Problem(where, None, name, left_out(problems))


_LABEL_MAX: Final = 64
"""Characters of a label that a message repeats."""
