"""The ss:// link of SIP002: one server as one line of text (protocol §14).

    ss://userinfo@host:port[/][?plugin=NAME;OPTIONS][#tag]
    userinfo = base64url(method ":" password)             stream ciphers, AEAD
             | method ":" password, percent-encoded       any method, a must for AEAD-2022
    ss://BASE64(method:password@host:port)[#tag]          the legacy form of QR codes

Who calls it: the command line (`url`, `connect`, `--server-url`), `config/` for
links inside a configuration. A link is a secret: no error made here repeats a
part of one, neither in its text nor in an exception that it drags along, which
is why the decoders below answer None and do not raise.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, unquote_plus, unquote_to_bytes

from ..core.address import Address, pack_ip
from ..core.errors import KeyTextError, LocalProtocolError, ProtocolError
from ..crypto.keys import parse_keys
from ..crypto.methods import Edition, find_method

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEME: Final = "ss://"

_PORT_DIGITS: Final = 5
"""Digits of the largest port, 65535; also keeps `int` away from texts of any length."""
_TO_STANDARD: Final = str.maketrans("-_", "+/")
_IPV6_SIZE: Final = 16

_HINTS: Final = {
    "bad_scheme": "a link begins with ss://",
    "bad_userinfo": "between ss:// and the last @ a link holds method:password, percent-encoded or as base64",
    "bad_host": "the host of a link is a name, an IPv4 address or an IPv6 address in brackets",
    "bad_port": "a link names its port after the host, as in host:8388, from 1 to 65535",
    "bad_method": "the method of this link is none of the Shadowsocks family",
    "bad_key": "the password of this link is no key of its method",
}


class UriError(ProtocolError):
    """A text that is no usable link. `code` is a key of the table above."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(code, text or _HINTS[code])


@dataclass(frozen=True, slots=True)
class Link:
    """What one link says. Its repr shows neither the password nor the plugin's options, which may hold a key too."""

    method: str
    """In lower case; `crypto.methods.find_method` knows it."""
    password: str = field(repr=False)
    host: str
    """A name or an IP text, without brackets."""
    port: int
    plugin: str | None = None
    """The plugin's name; None for no plugin."""
    plugin_opts: str | None = field(default=None, repr=False)
    """The plugin's options with their backslash escapes, as SIP003 hands them on."""
    tag: str | None = None
    """A label for people; None where there is no `#`."""


def parse_link(text: str) -> Link:
    """Read a link in any of its forms; white space around it is dropped.

    Raises:
        UriError: `bad_scheme`, `bad_userinfo`, `bad_host`, `bad_port`, `bad_method` or `bad_key`.
    """
    text = text.strip()
    if text[: len(SCHEME)].lower() != SCHEME:
        raise UriError("bad_scheme")
    if not _is_utf8(text):  # bytes of the command line that are none arrive as lone surrogates
        raise UriError("bad_userinfo", "a link is UTF-8 text, and this one is not")
    body, hash_sign, tag = text[len(SCHEME) :].partition("#")
    body, _, query = body.partition("?")
    if "@" in body:
        # The last @: a careless producer leaves / and @ of the password raw.
        userinfo, _, place = body.rpartition("@")
        login = _parse_userinfo(userinfo)
    else:
        login, place = _parse_legacy(body)
    host, port = _parse_place(place.partition("/")[0])
    method, password = login[0].lower(), login[1]
    _check_key(method, password)
    plugin, plugin_opts = _parse_plugin(query)
    return Link(method, password, host, port, plugin, plugin_opts, unquote(tag) if hash_sign else None)


def format_link(link: Link) -> str:
    """Return the one canonical text of a link: `parse_link` reads the same link from it.

    AEAD-2022 keys are percent-encoded, other methods take base64url without padding;
    percent-encoding leaves only the unreserved characters of RFC 3986. The text is ASCII:
    a host name beyond ASCII is written as its IDNA form.

    Raises:
        UriError: the link is one that `parse_link` would refuse.
    """
    method = link.method.lower()
    _check_key(method, link.password)
    if find_method(method).edition is Edition.AEAD2022:
        userinfo = f"{method}:{_quote(link.password)}"
    else:
        userinfo = base64.urlsafe_b64encode(f"{method}:{link.password}".encode()).decode().rstrip("=")
    text = f"{SCHEME}{userinfo}@{_format_place(link.host, link.port)}"
    if link.plugin:
        options = f";{link.plugin_opts}" if link.plugin_opts else ""
        text += f"/?plugin={_quote(link.plugin + options)}"
    return text if link.tag is None else f"{text}#{_quote(link.tag)}"


def _parse_userinfo(userinfo: str) -> tuple[str, str]:
    """Return method and password of a SIP002 link's first part."""
    if ":" in userinfo:
        method, _, password = userinfo.partition(":")
        plain = _text(unquote_to_bytes(password))
        if plain is None:
            raise UriError("bad_userinfo")
        return unquote(method), plain
    # Some producers percent-encode the padding of the base64.
    decoded = _text(_decode_base64(unquote(userinfo)))
    if decoded is None or ":" not in decoded:
        raise UriError("bad_userinfo")
    method, _, password = decoded.partition(":")
    return method, password


def _parse_legacy(body: str) -> tuple[tuple[str, str], str]:
    """Return method and password, and `host:port`, of a link that is base64 as a whole.

    Nothing inside is percent-encoded, so the password may hold any of `@ : / #`. A
    slash at the end is the empty path: base64 of a text that ends in a digit has none there.
    """
    decoded = _text(_decode_base64(unquote(body).removesuffix("/")))
    if decoded is None:
        raise UriError("bad_userinfo")
    userinfo, at_sign, place = decoded.rpartition("@")
    method, colon, password = userinfo.partition(":")
    if not at_sign or not colon:
        raise UriError("bad_userinfo")
    return (method, password), place


def _parse_place(place: str) -> tuple[str, int]:
    """Split `host:port`."""
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or len(pack_ip(host) or b"") != _IPV6_SIZE:
            raise UriError("bad_host")
        if not rest.startswith(":"):
            raise UriError("bad_port")
        digits = rest[1:]
    else:
        host, _, digits = place.rpartition(":") if ":" in place else (place, "", "")
        if ":" in host or not _is_host(host):
            raise UriError("bad_host")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > _PORT_DIGITS:
        raise UriError("bad_port")
    return host, _checked_port(int(digits))


def _format_place(host: str, port: int) -> str:
    if not _is_host(host):
        raise UriError("bad_host")
    name = host if host.isascii() else host.encode("idna").decode()
    return str(Address(name, _checked_port(port)))


def _is_host(host: str) -> bool:
    """True for what can stand in an address on the wire and does not break a link apart."""
    if ":" in host:
        return len(pack_ip(host) or b"") == _IPV6_SIZE
    try:
        Address(host, 0).pack()
    except LocalProtocolError:
        return False
    return not set("@/?#[]%\\") & set(host)


def _checked_port(port: int) -> int:
    if not 0 < port < 0x10000:
        raise UriError("bad_port")
    return port


def _check_key(method: str, password: str) -> None:
    """Refuse a method that nobody knows and a password that cannot be its key."""
    if not _is_utf8(password):
        raise UriError("bad_key", "the password of this link has no UTF-8 form")
    try:
        parse_keys(find_method(method), password)
        return
    except KeyError:
        error = UriError("bad_method")
    except KeyTextError as wrong:
        error = UriError("bad_key", str(wrong))
    raise error


def _parse_plugin(query: str) -> tuple[str | None, str | None]:
    """Find the plugin among a query's parameters; all others are ignored (SIP002)."""
    for name, value in _parameters(query):
        if name == "plugin":
            plugin, _, options = value.partition(";")
            return (plugin, options or None) if plugin else (None, None)
    return None, None


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        yield unquote_plus(name), unquote_plus(value)


def _quote(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(data: bytes | None) -> str | None:
    """Decode UTF-8; None for what is none."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _decode_base64(text: str) -> bytes | None:
    """Decode either alphabet, padded or not; None for what is no base64."""
    bare = text.translate(_TO_STANDARD).rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
