"""What one setting is: a row of the table in `settings.py`, and the words that describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

Role = Literal["server", "local"]
"""The two ends that a file can start."""
BOTH: Final[tuple[Role, ...]] = ("server", "local")
SERVER_END: Final[tuple[Role, ...]] = ("server",)
LOCAL_END: Final[tuple[Role, ...]] = ("local",)

Value = bool | int | float | str | None


class Place(Enum):
    """The objects of a configuration in which a key may stand."""

    TOP = "top level"
    SERVER = "servers[]"
    LOCAL = "locals[]"


class Kind(Enum):
    """What a value is; the text completes the sentence "expected ..."."""

    HOST = "a host name or an IP address in quotes"
    ADDRESS = "a host and perhaps a port in quotes"
    PORT = "a port: a number from 1 to 65535"
    TEXT = "text in quotes"
    SECRET = "a password: text in quotes"  # noqa: S105 - what is expected, not a password
    METHOD = "the name of a method in quotes"
    SECONDS = "a number of seconds"
    COUNT = "a whole number"
    FLAG = "true or false, without quotes"
    CHOICE = "one of the known words in quotes"
    LEVEL = "a level: error, warning, info, debug or trace, or a number from 0 to 3"
    LINK = "an ss:// link in quotes"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    name: str
    """The field of the model that holds it."""
    kind: Kind
    help: str
    """One sentence for the reference and for --help."""
    key: str = ""
    """Its path in a file; the name where it is empty."""
    places: tuple[Place, ...] = (Place.TOP,)
    roles: tuple[Role, ...] = BOTH
    """The ends that read it; the other one passes over it without a word."""
    default: Value = None
    default_text: str = ""
    """The default in words, where it is a rule and not a value."""
    unit: str = ""
    low: float = 0
    high: float = float("inf")
    flags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    """Other spellings of the key."""
    choices: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    """Choices of the source that cannot be had here, and the sentence that says so."""
    source: str = "shadesocks"
    """The program or specification that the name comes from."""
    since: str = "0.1"

    @property
    def path(self) -> str:
        """The key as it stands in a file, dots between the objects."""
        return self.key or self.name

    @property
    def default_words(self) -> str:
        """The default as people read it, with its unit; empty where there is none."""
        if self.default_text or self.default is None:
            return self.default_text
        if isinstance(self.default, bool):
            return "true" if self.default else "false"
        text = f"{self.default:g}" if isinstance(self.default, float) else str(self.default)
        return f"{text} {self.unit}".rstrip()
