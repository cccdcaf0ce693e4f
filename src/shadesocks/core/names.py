"""Host names in the one form in which they are compared: ASCII, lower case, no dot at the end."""

from __future__ import annotations

import re
from typing import Final

NAME_MAX: Final = 255
"""Characters of a name: on the wire its size is one byte."""

LABEL_MAX: Final = 63
LABELS_MAX: Final = 253
"""Characters of a name that name servers can be asked for (RFC 1035 §2.3.4), a size before each label counted."""

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


def labels_of(host: str) -> list[bytes]:
    """Return the labels of a name that name servers can be asked for.

    Raises:
        ValueError: they cannot: as `fold_name`; or a label, or the whole, is too long.
    """
    name = fold_name(host)
    labels = name.encode("ascii").split(b".")
    if len(name) > LABELS_MAX or max(map(len, labels)) > LABEL_MAX:
        raise ValueError(
            f"a name that name servers know has {LABELS_MAX} characters at most, and {LABEL_MAX} in a label"
        )
    return labels
