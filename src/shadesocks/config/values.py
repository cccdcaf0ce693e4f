"""From one value of a file, or the text of one flag, to the value of a setting.

One function for each kind of setting, in a table. Called by `load.py`. An
`UnfitError` is a sentence that says what is expected; no sentence repeats a text that
was given, since a password may stand in any place by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from math import isfinite
from typing import Final

from ..core.address import NAME_MAX, Address, pack_ip
from ..crypto.methods import ALIASES, METHODS, Edition, Method, find_method, is_ready
from .reader import Node
from .setting import Kind, Setting


class UnfitError(Exception):
    """A value is not what its setting wants; the text is a sentence for people."""


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


def _seconds(setting: Setting, node: Node) -> float:
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

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,15}")  # IF_NAMESIZE is 16 with its NUL


def _host(setting: Setting, node: Node) -> str:
    if isinstance(node.value, tuple):
        raise UnfitError("expected one host, found a list; several servers are written as servers[]")
    return check_host(_text(setting, node))


def check_host(text: str) -> str:
    """Return a host as `Address` wants it: an IP text without brackets, or a name.

    Raises:
        UnfitError: it is neither.
    """
    if not text:
        raise UnfitError("the host is empty; write a name or an IP address")
    if "://" in text:
        raise UnfitError("a host is expected here, not a link; links are given by --server-url or to `connect`")
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in host:
        base, percent, zone = host.partition("%")
        if pack_ip(base) is not None and (not percent or _ZONE.fullmatch(zone)):
            return host
        if host.count(":") == 1:
            raise UnfitError("a host without a port is expected here; the port has a key of its own")
        raise UnfitError("this is no IPv6 address; look at its colons and digits")
    if host != text:
        raise UnfitError("only IPv6 addresses stand in brackets")
    if pack_ip(host) is not None:
        return host
    _check_name(host)
    return host


def split_port(text: str) -> tuple[str, str]:
    """Cut HOST:PORT; an IPv6 address has its colons in brackets, or stands without a port, which is empty then."""
    head, colon, port = text.rpartition(":")
    if colon and (":" not in head or head.endswith("]")):
        return head, port
    return text, ""


def _address(setting: Setting, node: Node) -> Address:
    """Port 0 stands for none."""
    host, port = split_port(_text(setting, node))
    return Address(check_host(host), _port(replace(setting, kind=Kind.PORT), Node(port, node.mark)) if port else 0)


def _check_name(host: str) -> None:
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise UnfitError("this is no host name; a name with letters beyond a to z must follow IDNA") from None
    labels = name.removesuffix(".").split(".")
    if labels[-1].isdigit():
        raise UnfitError("this looks like an IPv4 address and is none: four numbers from 0 to 255 with dots between")
    if len(name) > NAME_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise UnfitError("this is no host name; names are made of letters, digits, hyphens and dots")


# Methods

_INSTEAD: Final = {
    Edition.STREAM: "is an old stream cipher without integrity, and comes in a later version",
    Edition.AEAD: "is known, but not available in this version",
    Edition.AEAD2022: "is known, but not available in this version",
}


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
            f"{method.name} {_INSTEAD[method.edition]}; use 2022-blake3-aes-256-gcm or aes-256-gcm at both ends"
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
    Kind.SECONDS: _seconds,
    Kind.COUNT: _count,
    Kind.FLAG: _flag,
    Kind.CHOICE: _choice,
    Kind.LEVEL: _level,
}
