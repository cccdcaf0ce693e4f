"""Texts that people take for configurations or documents of servers, and that no reader here takes.

    text -> a clause for people: what it is, and what to do; nothing for a text that is none of these

Called by `dialects/` for files and by `service/subscriptions/documents.py` for what was fetched, each after its own
readers: without this, whoever has YAML would be told of quotes and brackets that JSON lacks. A text is recognised by
a line or two and not read: no clause repeats a part of it.
"""

from __future__ import annotations

import re
from typing import Final

HEAD_MAX: Final = 1 << 16
"""Characters that are looked at. Clash's files have a page of other keys before `proxies`, and some 10,000 characters
of rules, which stand behind it."""

_AS_JSON: Final = '{"server": "…", "server_port": 443, "method": "…", "password": "…"}'

OUTLINE_TRANSPORT: Final = (
    "this is an access key of Outline whose servers stand under `transport`, which is not read here; write what it "
    f"says of tcp (endpoint, cipher, secret) as {_AS_JSON}, or ask for a key that begins with ss://"
)
"""Also for such a key in JSON."""

_FORMS: Final = tuple(
    (re.compile(pattern, re.MULTILINE | re.IGNORECASE), text)
    for pattern, text in (
        (
            r"\A\s*<(?:!doctype|html|head|body)\b",
            "this is a web page, such as a login or an error; open its address in a browser to see what it says",
        ),
        (
            r"^(?:proxies|proxy-providers|proxy-groups)[ \t]*:",
            "this is YAML of Clash, which is not read here; whoever hands it out mostly has a list of ss:// links, "
            "too: take that one",
        ),
        (r"^transport[ \t]*:", OUTLINE_TRANSPORT),
        (
            r"^(?:server|server_port|method|password)[ \t]*:",
            f"this is YAML, and JSON is read here; write it as {_AS_JSON}",
        ),
        (
            r"^\[(?:proxy|proxy group|general|server_local|server_remote)\][ \t]*\r?$",
            "this is a profile of Surge, or of a program with files like its own, which is not read here; whoever "
            "hands it out mostly has a list of ss:// links, too: take that one",
        ),
    )
)
"""What a line of a text looks like, and what that text is. The first that fits is taken."""

_JSON: Final = re.compile(r"(?>\s+|#[^\n]*|//[^\n]*|/\*.*?\*/)*+\{", re.DOTALL)
"""What begins so is JSON, whose keys may stand without quotes: it is read, whatever its lines look like. Nothing in it
is tried twice (possessive): documents come from elsewhere."""


def name_form(text: str) -> str:
    """Say what a text is, and what to do; empty for one that is none of these."""
    head = text[:HEAD_MAX].removeprefix("\ufeff")
    if _JSON.match(head):
        return ""
    return next((what for pattern, what in _FORMS if pattern.search(head)), "")
