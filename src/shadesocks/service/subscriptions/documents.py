"""What a subscription may serve, and what is offered in it: one reader for all of its forms.

    {"version": 1, "servers": [...]}                        SIP008
    {"server", "server_port", "method", "password"}         an access key of Outline
    ss://... lines, or their base64                         what most panels serve, and Outline as well

Documents come from elsewhere: no sentence made here repeats a text of one but its labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ...config.link_list import LinkList, find_links
from ...config.links import NO_PREFIX, has_prefix
from ...config.online import Offer
from ...config.unread import OUTLINE_TRANSPORT, name_form
from ...core.errors import ShadesocksError
from ...wire.sip008 import SERVERS_MAX, Sip008Error, parse_document, parse_object
from ...wire.uri import UriError, parse_link

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY: Final = ("server", "server_port", "method", "password")
_NEITHER: Final = "it is neither a document of SIP008, nor an access key, nor a list of ss:// links"


class DocumentError(ShadesocksError):
    """A text in which nothing is offered. The text is a clause for the log."""

    code = "document"


@dataclass(frozen=True, slots=True)
class Document:
    """What a document offers."""

    offers: tuple[Offer, ...]
    notes: tuple[str, ...] = ()
    """What of it is left out, and why: a sentence each."""


def read_document(text: str) -> Document:
    """Read a document of any form.

    Raises:
        DocumentError: nothing can be made of it.
    """
    links = find_links(text)
    if links is not None:
        return _from_links(links)
    try:
        keys = parse_object(text)
        if "servers" in keys or "version" in keys:
            return _from_sip008(text)
    except Sip008Error as error:
        code, why = error.code, str(error)
    else:
        if all(isinstance(keys.get(name), int if name == "server_port" else str) for name in _KEY):
            return _from_key(keys)
        code, why = "", OUTLINE_TRANSPORT if "transport" in keys else ""
    if code == "bad_json":
        why = name_form(text)
    raise DocumentError(why or _NEITHER)


def _from_links(links: LinkList) -> Document:
    notes = [links.left_out] if links.left_out else []
    if links.documents:
        notes.append("a document leads to no other one: its ssconf:// links are left out")
    if len(links.servers) > SERVERS_MAX:
        raise DocumentError(f"it holds more than {SERVERS_MAX} servers, which no client needs")
    offers: list[Offer] = []
    for index, line in enumerate(links.servers):
        try:
            link = parse_link(line.text)
        except UriError as error:
            notes.append(f"servers[{index}]: this server is left out: {error}")
            continue
        if has_prefix(line.text):
            notes.append(f"servers[{index}]: {NO_PREFIX}")
        offers.append(
            Offer(
                link.host,
                link.port,
                link.method,
                link.password,
                link.tag or "",
                plugin=link.plugin,
                plugin_opts=link.plugin_opts,
            )
        )
    if not offers:
        raise DocumentError(_NEITHER if not links.servers else "none of its links can be used")
    return Document(tuple(offers), tuple(notes))


def _from_sip008(text: str) -> Document:
    document = parse_document(text)
    notes = tuple(f"servers[{out.index}]: this server is left out: {out.error}" for out in document.left_out)
    offers = tuple(
        Offer(
            server.server,
            server.server_port,
            server.method,
            server.password,
            server.remarks,
            server.id,
            server.plugin,
            server.plugin_opts,
        )
        for server in document.servers
    )
    return Document(offers, notes)


def _from_key(keys: Mapping[str, Any]) -> Document:
    offer = Offer(keys["server"], keys["server_port"], keys["method"], keys["password"])
    return Document((offer,), (NO_PREFIX,) if keys.get("prefix") else ())
