"""Name servers as people write them: addresses, URLs, and words for the public ones.

    [(udp|tcp|tls)://]IP[:port][#name]      the name is the one that the certificate must show, for tls
    https://host[:port][/path]              its certificate must show that host
    system | google | cloudflare | quad9, the last three also with _tls or _https

`#name` is systemd-resolved's way of writing it. Of the public servers the table has the
addresses, since a name server whose name must be looked up first is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from ..core.nameserver import NameServer, Transport
from .hosts import UnfitError, check_host, check_ip, check_port, split_port

PATH: Final = "/dns-query"
"""Of the URL where it names none; RFC 8484 has it in its examples, and the public servers use it."""
_PORTS: Final = {Transport.UDP: 53, Transport.TCP: 53, Transport.TLS: 853, Transport.HTTPS: 443}
_PLAIN: Final = (Transport.UDP, Transport.TCP)
_SCHEMES: Final = {transport.value: transport for transport in _PORTS}
_PATH: Final = re.compile(r"/[!-~]*")
"""What an HTTP request line can hold."""

_PUBLIC: Final = {
    "google": ("dns.google", ("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844")),
    "cloudflare": ("cloudflare-dns.com", ("1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001")),
    "quad9": ("dns.quad9.net", ("9.9.9.9", "149.112.112.112", "2620:fe::fe", "2620:fe::9")),
}
"""The name in the certificate, and the addresses."""
_SUFFIXES: Final = {"": Transport.UDP, "_tls": Transport.TLS, "_https": Transport.HTTPS}


def _public(transport: Transport, name: str, hosts: tuple[str, ...]) -> tuple[NameServer, ...]:
    certificate = "" if transport in _PLAIN else name
    path = PATH if transport is Transport.HTTPS else ""
    return tuple(NameServer(transport, host, _PORTS[transport], certificate, path) for host in hosts)


WORDS: Final[dict[str, tuple[NameServer, ...]]] = {
    "system": (NameServer(Transport.SYSTEM),),
    **{
        word + suffix: _public(transport, name, hosts)
        for word, (name, hosts) in _PUBLIC.items()
        for suffix, transport in _SUFFIXES.items()
    },
}

_UNKNOWN: Final = (
    f"a name server is an IP address, a URL that begins with {', '.join(f'{word}://' for word in _SCHEMES)}, or one of "
    f"the words {', '.join(WORDS)}"
)


def parse_name_server(text: str) -> tuple[NameServer, ...]:
    """Return the server that a text names, or those that a word stands for.

    Raises:
        UnfitError: it names none.
    """
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = Transport.UDP.value, text
    if scheme.lower() == "unix":
        raise UnfitError("name servers on Unix sockets are not supported; give an IP address and a port")
    transport = _SCHEMES.get(scheme.lower())
    if transport is None:
        raise UnfitError(_UNKNOWN)
    if transport is Transport.HTTPS:
        return (_https(rest),)
    rest, hash_sign, certificate = rest.partition("#")
    if hash_sign and transport is not Transport.TLS:
        raise UnfitError("a name server that is asked in the clear has no certificate, so # has no meaning here")
    server = _by_address(transport, rest)
    if transport is Transport.TLS:
        server = replace(server, certificate=check_host(certificate) if hash_sign else server.host.partition("%")[0])
    return (server,)


def _by_address(transport: Transport, text: str) -> NameServer:
    host, port = split_port(text)
    try:
        host = check_ip(host, brackets=True)
    except UnfitError:
        hint = "; a name for its certificate follows a #, as in tls://8.8.8.8#dns.google"
        raise UnfitError(_UNKNOWN + (hint if transport is Transport.TLS else "")) from None
    return NameServer(transport, host, check_port(port) if port else _PORTS[transport])


def _https(text: str) -> NameServer:
    if "#" in text:
        raise UnfitError("the certificate of an https:// name server must show its host; remove # and what follows it")
    place, slash, path = text.removesuffix("{?dns}").partition("/")  # URLs of DoH servers are told as templates
    host, port = split_port(place)
    path = slash + path or PATH
    if not _PATH.fullmatch(path):
        raise UnfitError("the path of this URL holds characters that no URL has")
    if "@" in place:
        raise UnfitError("name servers have no login; write https://host/path")
    return NameServer(
        Transport.HTTPS, check_host(host), check_port(port) if port else _PORTS[Transport.HTTPS], path=path
    )


def check_together(servers: Iterable[NameServer]) -> None:
    """Make sure that some name servers can be used side by side.

    Raises:
        UnfitError: the system's resolver stands beside others, or plain ones beside encrypted ones.
    """
    transports = {server.transport for server in servers}
    if Transport.SYSTEM in transports and len(transports) > 1:
        raise UnfitError("system is the system's own resolver, which stands alone; remove it, or the others")
    if not transports.isdisjoint(_PLAIN) and not transports <= {*_PLAIN}:
        raise UnfitError(
            "plain and encrypted name servers stand side by side, so names would go out in the clear now and then; "
            "keep the ones or the others"
        )


def written(servers: Iterable[NameServer]) -> Iterator[str]:
    """Yield the texts that `parse_name_server` makes the same servers of."""
    rest = tuple(servers)
    while rest:
        word = next((word for word, those in WORDS.items() if rest[: len(those)] == those), None)
        yield _written(rest[0]) if word is None else word
        rest = rest[1 if word is None else len(WORDS[word]) :]


def _written(server: NameServer) -> str:
    is_plain = server.transport is not Transport.TLS or server.certificate in ("", server.host.partition("%")[0])
    return str(server) if is_plain else f"{server}#{server.certificate}"
