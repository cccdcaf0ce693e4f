"""Proxies that are no Shadowsocks servers, given as links: hops of an `outbound_proxy`.

    socks5://[user[:password]@]host[:port]      also socks5h:// and socks://: names are always the proxy's to look up
    http://[user[:password]@]host[:port]

User and password are percent-encoded; a password `${NAME}` is taken from the environment.
A link may hold a password, so no sentence repeats a part of one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from ..core.address import Address
from ..core.secret import Secret
from .hosts import UnfitError, check_host, check_port, split_port
from .model import ProxyConfig

SHADOW: Final = "ss"
"""The scheme of links to Shadowsocks servers, which others read."""
_SCHEMES: Final[dict[str, tuple[Literal["socks5", "http"], int]]] = {
    "socks5": ("socks5", 1080),
    "socks5h": ("socks5", 1080),
    "socks": ("socks5", 1080),
    "http": ("http", 80),
}
"""What is spoken, and on which port where none is given."""
_REFUSED: Final = {
    "https": "HTTPS proxies cannot be had; only http:// is spoken, and what passes through it can be an ss:// hop",
    "socks4": "SOCKS4 proxies cannot be had; socks5:// is spoken",
    "socks4a": "SOCKS4 proxies cannot be had; socks5:// is spoken",
}
_UNKNOWN: Final = "this is no usable link: a proxy's begins with ss://, socks5:// or http://"
LOGIN_MAX: Final = 255
"""Bytes of a user and of a password: their size is one byte on the wire (RFC 1929)."""
VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""A password that stands in the environment."""


def scheme_of(text: str) -> str:
    """Return the scheme of a link, in lower case; empty where it has none."""
    return text.partition("://")[0].strip().lower() if "://" in text else ""


def from_environment(text: str, environ: Mapping[str, str]) -> str:
    """Return a password, looked up where it names a variable.

    Raises:
        UnfitError: there is no such variable.
    """
    variable = VARIABLE.fullmatch(text)
    if variable is None:
        return text
    name = variable.group(1)
    if name not in environ:
        raise UnfitError(f"the environment has no variable {name}; set it and start again")
    return environ[name]


def parse_proxy(text: str, environ: Mapping[str, str]) -> ProxyConfig:
    """Return the proxy that a link names.

    Raises:
        UnfitError: it names none that can be spoken to.
    """
    scheme = scheme_of(text)
    if scheme in _REFUSED:
        raise UnfitError(_REFUSED[scheme])
    if scheme not in _SCHEMES:
        raise UnfitError(_UNKNOWN)
    protocol, port = _SCHEMES[scheme]
    login, host, digits = _parts(text.strip().partition("://")[2])
    user, password = _login(login, environ)
    if protocol == "http" and ":" in user:
        raise UnfitError("the user of an HTTP proxy cannot hold a colon (RFC 7617)")
    return ProxyConfig(protocol, Address(check_host(host), check_port(digits) if digits else port), user, password)


def _parts(text: str) -> tuple[str, str, str]:
    """Cut what follows the scheme to login, host and port."""
    end = re.search(r"[/?#]", text)
    place, rest = (text[: end.start()], text[end.start() :]) if end else (text, "")
    if rest not in ("", "/"):
        raise UnfitError(
            "the link of a proxy ends with its host and port; write %2F, %3F and %23 for /, ? and # in a password"
        )
    login, _, place = place.rpartition("@")
    return login, *split_port(place)


def _login(text: str, environ: Mapping[str, str]) -> tuple[str, Secret]:
    from urllib.parse import unquote_to_bytes  # 0.4 MiB with what it imports, for whoever has such a proxy

    user, _, password = text.partition(":")
    # An error of a decoder carries what it decoded, so the sentence is raised where there is none to be chained.
    plain = _utf8(unquote_to_bytes(user)), _utf8(unquote_to_bytes(password))
    if plain[0] is None or plain[1] is None:
        raise UnfitError("user and password of a proxy are UTF-8, percent-encoded")
    secret = from_environment(plain[1], environ)
    if secret and not plain[0]:
        raise UnfitError("there is a password without a user; write user:password before the @")
    if max(len(part.encode(errors="replace")) for part in (plain[0], secret)) > LOGIN_MAX:
        raise UnfitError(f"user and password of a proxy have {LOGIN_MAX} bytes at most")
    return plain[0], Secret(secret)


def _utf8(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
