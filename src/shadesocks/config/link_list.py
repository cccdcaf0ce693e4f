"""Texts that are lists of links, plain or base64: what shops and panels hand out, and what people collect.

    ss://…             a server; SIP002
    ssconf://…         where a document of servers is fetched
    # …                a comment
    vmess://…          no Shadowsocks: counted, and left out

Called by `dialects/links.py` for files and by `service/subscriptions/documents.py` for subscriptions. Links are
secrets: nothing here repeats a part of one but its scheme.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from .urls import OUTLINE

SERVER: Final = "ss"
LINE_MAX: Final = 8192
"""Characters of a link. The longest parts are a plugin's options; a link that fits a QR code has 2,953 at most."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://")
_REMARK: Final = re.compile(r"[A-Z]{2,32}=")
"""STATUS= and REMARKS=, with which some panels begin."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_TO_STANDARD: Final = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class LinkLine:
    """One link, and where it stands."""

    line: int
    """Counted from 1; of base64 it is always 1."""
    text: str


@dataclass(frozen=True, slots=True)
class LinkList:
    """What a text of links holds."""

    servers: tuple[LinkLine, ...]
    documents: tuple[LinkLine, ...]
    """ssconf://"""
    others: Counter[str]
    """Lines that are neither, by their scheme; empty where they have none."""

    @property
    def left_out(self) -> str:
        """Say what is left out; empty for nothing."""
        parts = [f"{count} of {scheme}://" if scheme else f"{count} without a scheme" for scheme, count in self._rest()]
        return f"lines that are no ss:// links are left out: {', '.join(parts)}" if parts else ""

    def _rest(self) -> list[tuple[str, int]]:
        return sorted(self.others.items())


def find_links(text: str) -> LinkList | None:
    """Return the links of a text; None where it is none of links, so that another reader may try it."""
    text = text.removeprefix("\ufeff")
    found = _find(text)
    if found is None:
        inner = _decode(text)
        found = None if inner is None else _find(inner, line=1)
    return found


def _find(text: str, line: int | None = None) -> LinkList | None:
    lines = [(number, each.strip()) for number, each in enumerate(text.splitlines(), 1)]
    lines = [(line or number, each) for number, each in lines if each and not each.startswith(("#", "//"))]
    if not lines or not (_SCHEME.match(lines[0][1]) or _REMARK.match(lines[0][1])):
        return None
    servers: list[LinkLine] = []
    documents: list[LinkLine] = []
    others: Counter[str] = Counter()
    for number, each in lines:
        found = _SCHEME.match(each)
        scheme = found[1].lower() if found else ""
        if len(each) > LINE_MAX:
            others[scheme] += 1
        elif scheme == SERVER:
            servers.append(LinkLine(number, each))
        elif scheme == OUTLINE:
            documents.append(LinkLine(number, each))
        elif scheme or not _REMARK.match(each):
            others[scheme] += 1
    return LinkList(tuple(servers), tuple(documents), others)


def _decode(text: str) -> str | None:
    """Return what a text is the base64 of, in either alphabet and with or without line ends; None for what is none."""
    bare = "".join(text.split())
    if not _BASE64.fullmatch(bare):
        return None
    bare = bare.rstrip("=").translate(_TO_STANDARD)
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
