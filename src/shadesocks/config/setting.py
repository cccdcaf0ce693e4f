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

Value = bool | int | float | str | tuple[()] | None


class Place(Enum):
    """The objects of a configuration in which a key may stand."""

    TOP = "top level"
    SERVER = "servers[]"
    LOCAL = "locals[]"


SERVERS: Final = (Place.TOP, Place.SERVER)
LOCALS: Final = (Place.TOP, Place.LOCAL)
EVERYWHERE: Final = (Place.TOP, Place.SERVER, Place.LOCAL)

YEAR: Final = 365 * 86400
"""Seconds; the most a time-out may be, so that a value in milliseconds is noticed."""

# Programs and specifications that names come from

RUST: Final = "shadowsocks-rust"
LIBEV: Final = "shadowsocks-libev"
PYTHON: Final = "Python shadowsocks"
GO: Final = "shadowsocks-go"
NODE: Final = "shadowsocks for Node.js"
LITE: Final = "shadowsocks-lite"
PROCURATOR: Final = "procurator"
OUTLINE: Final = "Outline"
SING_BOX: Final = "sing-box"
SIP008: Final = "SIP008"
LINUX: Final = "Linux tcp(7)"
HAPPY_EYEBALLS: Final = "RFC 8305"


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
    NUMBER = "a number"
    FLAG = "true or false, without quotes"
    CHOICE = "one of the known words in quotes"
    LEVEL = "a level: error, warning, info, debug or trace, or a number from 0 to 3"
    LINK = "an ss:// link in quotes"
    SIZE = "a whole number of bytes; 0 for the system's own"
    PATH = "the path of a file in quotes"
    IP = "an IP address in quotes"
    INTERFACE = "the name of a network interface in quotes"
    NAME_SERVERS = "name servers: text in quotes, commas between several, or a list of texts"
    NETWORKS = "networks: text in quotes, commas between several, or a list of texts"
    PORTS = "ports: a number, text such as 25,6881-6889, or a list of these"
    TEXTS = "a list of texts"
    HOPS = "a proxy as a link in quotes, or a list of links"
    URLS = "the https:// address of a document in quotes, or a list of them"
    USERS = "a list of objects, each with a name"
    DESTINATIONS = "a list of objects with name, server, server_port and password"
    NAMES = "names: text in quotes, commas between several, or a list of texts"


SEVERAL: Final = frozenset((Kind.NAME_SERVERS, Kind.NETWORKS, Kind.PORTS, Kind.HOPS, Kind.LINK, Kind.URLS, Kind.NAMES))
"""Kinds of which there may be several: a list in a file, a flag that may be given again."""


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
    server_flags: tuple[str, ...] = ()
    """Further flags, which mean something else to the client."""
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
        if self.default_text or self.default is None or isinstance(self.default, tuple):
            return self.default_text
        if isinstance(self.default, bool):
            return "true" if self.default else "false"
        text = f"{self.default:g}" if isinstance(self.default, float) else str(self.default)
        return f"{text} {self.unit}".rstrip()

    def flags_of(self, role: Role) -> tuple[str, ...]:
        """Return the flags that one end has for it."""
        if role not in self.roles:
            return ()
        return (*self.flags, *self.server_flags) if role == "server" else self.flags
