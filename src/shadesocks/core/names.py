"""Host names in the one form in which they are compared: ASCII, lower case, no dot at the end."""

from __future__ import annotations

import re
from typing import Final

NAME_MAX: Final = 255
"""Characters of a name: on the wire its size is one byte."""

_FOLDED: Final = re.compile(r"[^\x00-\x20\x7f.]+(?:\.[^\x00-\x20\x7f.]+)*")
"""Labels with something in them; what may stand in a label is the business of name servers."""


def fold_name(host: str) -> str:
    """Return a name as rules compare it: IDNA to ASCII (RFC 3490), lower case, without one dot at the end.

    Raises:
        ValueError: no name is written so: empty labels, blanks, controls, too long, no IDNA.
    """
    # IDNA takes time that grows with the square of the size.
    name = host if len(host) <= NAME_MAX + 1 else ""
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    name = name.removesuffix(".").lower()
    if len(name) > NAME_MAX or _FOLDED.fullmatch(name) is None:
        raise ValueError(f"a host name is 1 to {NAME_MAX} characters, without blanks and without empty labels")
    return name
