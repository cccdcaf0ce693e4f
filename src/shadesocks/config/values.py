"""From one value of a file, or the text of one flag, to the value of a setting.

One function for each kind of setting, in a table. Called by `load.py`. An
`UnfitError` is a sentence that says what is expected; no sentence repeats a text that
was given, since a password may stand in any place by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import isfinite
from typing import Final, TypeVar

from ..core.address import PORT_MAX, Address
from ..core.nameserver import NameServer
from ..core.networks import parse_network
from ..core.secret import Secret
from ..crypto.methods import ALIASES, METHODS, Method, find_method, is_ready
from .hosts import ZONE, UnfitError, check_host, check_ip, split_port
from .nameservers import check_together, parse_name_server
from .reader import BROKEN, Node
from .setting import Kind, Setting
from .urls import check_url

Item = TypeVar("Item")


def nearest(word: str, known: list[str]) -> str | None:
    """Return the known word that is most like the given one, None where none is."""
    from difflib import get_close_matches  # only a mistake pays for it

    found = get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return found[0] if found else None


def convert(setting: Setting, node: Node) -> object:
    """Return the value of a setting.

    Raises:
        UnfitError: the value is of a wrong type or out of range.
    """
    return _CONVERTERS[setting.kind](setting, node)


def shown(node: Node) -> str:
    """Name a value without showing a text: numbers and words of JSON as they are."""
    value = node.value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return "text" if value else "an empty text"
    return "a list" if isinstance(value, tuple) else "an object"


def _unfit(setting: Setting, node: Node) -> UnfitError:
    if node.mark.line is None:
        return UnfitError(f"expected {setting.kind.value.partition(':')[0].removesuffix(' in quotes')}")
    return UnfitError(f"expected {setting.kind.value}, found {shown(node)}")


def _text(setting: Setting, node: Node) -> str:
    if not isinstance(node.value, str):
        raise _unfit(setting, node)
    return node.value


def _flag(setting: Setting, node: Node) -> bool:
    if isinstance(node.value, bool):
        return node.value
    if node.mark.line is None and node.value in ("true", "false"):  # the text of a flag
        return node.value == "true"
    raise _unfit(setting, node)


# Numbers. Digits in quotes are taken: shadowsocks-libev and the Python original
# allow them for ports and time-outs, and the text of a flag is always text.

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?|\.[0-9]{1,15}")


def _number(setting: Setting, node: Node) -> int | float:
    value = node.value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _unfit(setting, node)
    return value


def _count(setting: Setting, node: Node) -> int:
    value = _number(setting, node)
    if value != int(value):
        raise _unfit(setting, node)
    _check_range(setting, value)
    return int(value)


def _size(setting: Setting, node: Node) -> int | None:
    return _count(setting, node) or None


def _real(setting: Setting, node: Node) -> float:
    value = _number(setting, node)
    _check_range(setting, value)
    return float(value)


def _check_range(setting: Setting, value: int | float) -> None:
    unit = f" {setting.unit}" if setting.unit else ""
    if value < setting.low:
        least = f"{setting.low}{unit}" if setting.low else "0"
        raise UnfitError(f"{value:g} is too small; the least is {least}")
    if value > setting.high:
        hint = "; the unit is seconds, not milliseconds" if unit == " s" else ""
        raise UnfitError(f"{value:g} is too large; the most is {setting.high}{unit}{hint}")


def _port(setting: Setting, node: Node) -> int:
    value = _number(setting, node)
    if value != int(value):
        raise _unfit(setting, node)
    if not 1 <= value <= 65535:
        raise UnfitError(f"{value:g} is no port; ports are numbers from 1 to 65535")
    return int(value)


# Words


def _choice(setting: Setting, node: Node) -> str:
    word = _text(setting, node).lower()
    if word in setting.choices:
        return word
    if word in setting.refused:
        raise UnfitError(setting.refused[word])
    near = nearest(word, [*setting.choices, *setting.refused])
    hint = f"; the nearest is {near}" if near and len(setting.choices) > 1 else ""
    raise UnfitError(f"the word is not known; write {_either(setting.choices)}{hint}")


def _either(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


_LEVELS: Final = ("info", "debug", "trace")
"""shadowsocks-rust's log.level counts up from info; 3 shows other libraries, too, which we have none of."""
_LEVEL_WORDS: Final = {"warn": "warning", "critical": "error"}


def _level(setting: Setting, node: Node) -> str:
    value = node.value
    if isinstance(value, str) and not value.isdecimal():
        word = value.lower()
        return _choice(setting, Node(_LEVEL_WORDS.get(word, word), node.mark))
    number = _number(setting, node)
    if number not in (0, 1, 2, 3):
        raise _unfit(setting, node)
    return _LEVELS[min(int(number), 2)]


# Hosts


def _host(setting: Setting, node: Node) -> str:
    if isinstance(node.value, tuple):
        raise UnfitError("expected one host, found a list; several servers are written as servers[]")
    return check_host(_text(setting, node))


def _address(setting: Setting, node: Node) -> Address:
    """Port 0 stands for none."""
    host, port = split_port(_text(setting, node))
    return Address(check_host(host), _port(replace(setting, kind=Kind.PORT), Node(port, node.mark)) if port else 0)


def _ip(setting: Setting, node: Node) -> str:
    """Empty stands for none."""
    text = _text(setting, node)
    return check_ip(text) if text else ""


def _interface(setting: Setting, node: Node) -> str:
    """Empty stands for none."""
    text = _text(setting, node)
    if text and not ZONE.fullmatch(text):
        raise UnfitError("this is no name of a network interface, such as eth0; it has 15 letters at most")
    return text


def _path(setting: Setting, node: Node) -> str:
    """Empty stands for none."""
    text = _text(setting, node)
    if "\0" in text:
        raise UnfitError("a path holds no NUL")
    return text


# Lists: in a file a list, or one text with commas; as a flag such a text, or several


def _items(setting: Setting, node: Node) -> Iterator[Node]:
    """Yield what stands between the commas, and the members of a list."""
    if isinstance(node.value, str):
        for text in node.value.split(","):
            if text.strip():
                yield Node(text.strip(), node.mark)
    elif isinstance(node.value, tuple):
        for item in node.value:
            if isinstance(item.value, tuple):
                raise UnfitError("expected a list of texts, found a list in a list")
            if item.value is not BROKEN:  # which has been told
                yield from _items(setting, item)
    elif setting.kind is Kind.PORTS:
        yield node
    else:
        raise _unfit(setting, node)


def _each(setting: Setting, node: Node, parse: Callable[[Node], tuple[Item, ...]]) -> tuple[Item, ...]:
    """Read every member, and say which one is not fit."""
    nodes = list(_items(setting, node))
    found: list[Item] = []
    for number, item in enumerate(nodes, 1):
        try:
            found += parse(item)
        except UnfitError as unfit:
            raise UnfitError(f"item {number}: {unfit}" if len(nodes) > 1 else str(unfit)) from None
    return tuple(dict.fromkeys(found))


def _name_servers(setting: Setting, node: Node) -> tuple[NameServer, ...]:
    if isinstance(node.value, Mapping):
        raise UnfitError(
            "an object of resolver options cannot be had here; write the name servers as text, as in "
            '"dns": "1.1.1.1, 9.9.9.9"'
        )
    servers = _each(setting, node, lambda item: parse_name_server(str(item.value)))
    check_together(servers)
    return servers


def _texts(setting: Setting, node: Node) -> tuple[str, ...]:
    """A list whose texts are taken as they are, with commas and all."""
    if not isinstance(node.value, tuple):
        raise _unfit(setting, node)
    return tuple(_text(setting, item) for item in node.value if item.value is not BROKEN)


def _networks(setting: Setting, node: Node) -> tuple[str, ...]:
    return _each(setting, node, _network)


def _network(node: Node) -> tuple[str]:
    text = str(node.value)
    try:
        parse_network(text)
    except ValueError as error:
        raise UnfitError(f"{error}; networks are written as in 10.0.0.0/8 or fc00::/7") from None
    return (text,)


_RANGE = re.compile(r"([0-9]{1,5})(?:\s*-\s*([0-9]{1,5}))?")


def _ports(setting: Setting, node: Node) -> tuple[tuple[int, int], ...]:
    def parse(item: Node) -> tuple[tuple[int, int]]:
        if not isinstance(item.value, str):
            port = _port(setting, item)
            return ((port, port),)
        found = _RANGE.fullmatch(item.value)
        if found is None:
            raise UnfitError("this is neither a port nor a range of ports, such as 6881-6889")
        first, last = int(found[1]), int(found[2] or found[1])
        if not 1 <= first <= last <= PORT_MAX:
            raise UnfitError(f"ports are numbers from 1 to {PORT_MAX}, and a range begins with the smaller one")
        return ((first, last),)

    return _each(setting, node, parse)


def _names(setting: Setting, node: Node) -> tuple[str, ...]:
    return _each(setting, node, lambda item: (_text(setting, item),))


def _urls(setting: Setting, node: Node) -> tuple[Secret, ...]:
    """No text is divided: a comma may stand in an address. Empty stands for none."""
    items = node.value if isinstance(node.value, tuple) else (node,)
    found: list[Secret] = []
    for number, item in enumerate(items, 1):
        if item.value in ("", BROKEN):
            continue
        try:
            found.append(Secret(check_url(_text(setting, item))))
        except UnfitError as unfit:
            raise UnfitError(f"item {number}: {unfit}" if len(items) > 1 else str(unfit)) from None
    return tuple(dict.fromkeys(found))


# Methods


def _method(setting: Setting, node: Node) -> Method:
    name = _text(setting, node)
    try:
        method = find_method(name)
    except KeyError:
        near = nearest(name, [*METHODS, *ALIASES])
        hint = f"the nearest known one is {near}" if near else "one that always works is 2022-blake3-aes-256-gcm"
        raise UnfitError(f"no method has this name; {hint}") from None
    if not is_ready(method):
        raise UnfitError(
            f"{method.name} is known, but not available in this version; use 2022-blake3-aes-256-gcm or aes-256-gcm "
            "at both ends"
        )
    return method


_CONVERTERS: Final[dict[Kind, Callable[[Setting, Node], object]]] = {
    Kind.HOST: _host,
    Kind.ADDRESS: _address,
    Kind.PORT: _port,
    Kind.TEXT: _text,
    Kind.SECRET: _text,
    Kind.LINK: _text,
    Kind.METHOD: _method,
    Kind.SECONDS: _real,
    Kind.NUMBER: _real,
    Kind.COUNT: _count,
    Kind.FLAG: _flag,
    Kind.CHOICE: _choice,
    Kind.LEVEL: _level,
    Kind.SIZE: _size,
    Kind.PATH: _path,
    Kind.IP: _ip,
    Kind.INTERFACE: _interface,
    Kind.NAME_SERVERS: _name_servers,
    Kind.NETWORKS: _networks,
    Kind.PORTS: _ports,
    Kind.TEXTS: _texts,
    Kind.URLS: _urls,
    Kind.NAMES: _names,
}
