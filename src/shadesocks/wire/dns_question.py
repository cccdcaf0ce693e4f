"""A question of DNS (RFC 1035 §4.1), for one address of one name, and what is an answer to it.

    id(2) || flags(2): recursion is desired || counts(8): one question || labels || type A(2) || class IN(2)

Who probes a server wants to know that an answer came: what it says is not read.
"""

from __future__ import annotations

from typing import Final

from ..core.errors import LocalProtocolError
from ..core.names import labels_of

ID_SIZE: Final = 2
HEADER_SIZE: Final = 12
_ASKED: Final = b"\1\0" + b"\0\1\0\0\0\0\0\0"
_A_IN: Final = b"\0\1\0\1"
_RESPONSE: Final = 0x80


def pack_question(number: bytes, name: str) -> bytes:
    """Return the question for a name, under an id of two bytes.

    Raises:
        LocalProtocolError: `bad_domain`, no name is written so.
    """
    try:
        labels = labels_of(name)
    except ValueError as error:
        raise LocalProtocolError("bad_domain", str(error)) from None
    return number + _ASKED + b"".join(bytes((len(label),)) + label for label in labels) + b"\0" + _A_IN


def is_answer(packet: bytes, number: bytes) -> bool:
    """True for an answer to the question of that id."""
    return len(packet) >= HEADER_SIZE and packet[:ID_SIZE] == number and bool(packet[ID_SIZE] & _RESPONSE)
