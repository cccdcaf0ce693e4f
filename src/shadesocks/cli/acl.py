"""`shadesocks acl test`: what an access list says of a name or an address, and which line says it.

It asks the same `Acl` as a service does, and for a server's targets the table of special addresses beneath it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import click

from .command import LazyGroup, command
from .exits import OK, Failed, say, tell

if TYPE_CHECKING:
    from ..proxy.acl import Acl, Ruling, Way

_HELP: Final = """Tell what an access list says of a name or an address.

Examples:

  shadesocks acl test rules.acl www.example.com
"""

command_acl = LazyGroup(
    {"test": (".acl", "Tell what becomes of one name or address, and by which line.")},
    name="acl",
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@command(
    "test",
    usage="FILE HOST [--client IP] [--resolve] [--dialect rust|libev]",
    examples="""
shadesocks acl test rules.acl www.example.com
shadesocks acl test rules.acl www.example.com --resolve     judge its addresses as well
shadesocks acl test rules.acl 10.1.2.3
shadesocks acl test rules.acl example.com --client 192.0.2.7
shadesocks acl test --dialect libev gfwlist.acl example.com
""",
)
@click.argument("file", metavar="FILE")
@click.argument("host", metavar="HOST")
@click.option("--client", metavar="IP", help="Tell whether a server accepts a client with this address, too.")
@click.option("--resolve", is_flag=True, help="Ask the system for the addresses of HOST, and judge each.")
@click.option(
    "--dialect",
    type=click.Choice(["rust", "libev"]),
    default="rust",
    show_default=True,
    help="Whose file it is: shadowsocks-rust's or shadowsocks-libev's.",
)
def command_test(file: str, host: str, client: str | None, resolve: bool, dialect: Literal["rust", "libev"]) -> int:
    """Tell what an access list says of HOST, a name or an address: as the target of a client, and of a server.

    Exit code 78 when the file has problems; they are all told. 0 whatever the rules say.
    """
    from ..core.names import fold_name
    from ..service.rules import read_acl

    acl = read_acl(file, dialect)
    for warning in acl.warnings:
        tell(f"warning: {warning}")
    packed = _pack(host)
    if packed is not None:
        rows = _address_rows(acl, packed)
    else:
        try:
            name = fold_name(host)
        except ValueError as error:
            raise click.UsageError(f"HOST is neither an address nor a name: {error}") from None
        rows = _name_rows(acl, name, _resolved(name) if resolve else None)
    if client is not None:
        address = _pack(client)
        if address is None:
            raise click.UsageError(f"--client: {client!r} is no address; give one such as 192.0.2.7 or 2001:db8::7")
        ruling = acl.explain_admits(address)
        rows.append((f"client {client}", _sentence("accepted" if ruling.decision else "met with silence", ruling)))
    width = max(len(title) for title, _ in rows) + 2
    for title, sentence in rows:
        say(f"{title + ':':<{width}}{sentence}")
    return OK


_Rows = list[tuple[str, str]]
"""What is judged, and what is said of it."""


def _pack(host: str) -> bytes | None:
    """Return the bytes of an address, bare or in brackets; None for a name. A zone changes no rule."""
    from ..core.address import pack_zoned
    from ..core.networks import unmapped

    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    packed = pack_zoned(bare)
    return None if packed is None else unmapped(packed)


def _address_rows(acl: Acl, packed: bytes) -> _Rows:
    client = acl.explain_client_ip(packed)
    return [("at a client", _way(client.decision, client)), ("at a server", _target(acl, None, packed))]


def _name_rows(acl: Acl, name: str, addresses: list[tuple[str, bytes]] | None) -> _Rows:
    """Return what is said of a name and, where they are known, of each of its addresses."""
    return [
        ("at a client", _client_name(acl, name, addresses)),
        ("at a server", _server_name(acl, name, addresses)),
        *((f"at a server, {text}", _target(acl, name, packed)) for text, packed in addresses or ()),
    ]


def _client_name(acl: Acl, name: str, addresses: list[tuple[str, bytes]] | None) -> str:
    by_name = acl.explain_client_host(name)
    if by_name.decision is not None:
        return _way(by_name.decision, by_name)
    if not acl.needs_addresses:
        return _way(acl.default, by_name)
    if addresses is None:
        return f"undecided: no line matches the name, so its addresses decide; else {_way_word(acl.default)} ({_MORE})"
    ruling = acl.explain_client_addresses([packed for _, packed in addresses])
    return _way(ruling.decision, ruling)


def _server_name(acl: Acl, name: str, addresses: list[tuple[str, bytes]] | None) -> str:
    ruling = acl.explain_outbound_host(name)
    if ruling.decision is False:
        return _sentence("refused", ruling)
    more = "" if addresses is not None else f" ({_MORE})"
    if ruling.decision:
        return f"{_sentence('allowed', ruling)}; but none of its addresses that is blocked or special{more}"
    default = "allowed" if acl.outbound_default else "refused"
    return f"undecided: no line matches the name, so each address is judged; else {default}{more}"


_MORE: Final = "--resolve shows them"
"""Behind what depends on addresses that were not asked for."""


def _target(acl: Acl, name: str | None, packed: bytes) -> str:
    """Say what a server does with an address: the rules first, then the table of special addresses."""
    from ..net.origin import prefix_of, special

    ruling = acl.explain_refuse_target(name, packed)
    if ruling.decision:
        return _sentence("refused", ruling)
    word, needed, opened = special(packed), prefix_of(packed), acl.opened(packed)
    if word is None or (opened is not None and opened >= needed):
        return _sentence("allowed", ruling)
    opener = f"a network of /{needed} or narrower in [outbound_allow_list] opens it"
    return f"refused by the safe default: the address is special ({word}); {opener}"


def _way(way: Way, ruling: Ruling[Way] | Ruling[Way | None]) -> str:
    return _sentence(_way_word(way), ruling)


def _way_word(way: Way) -> str:
    from ..proxy.acl import Way

    return {Way.PROXY: "proxied", Way.BYPASS: "direct"}[way]


def _sentence(what: str, ruling: Ruling[bool] | Ruling[bool | None] | Ruling[Way] | Ruling[Way | None]) -> str:
    if ruling.line is None:
        return f"{what} by default: no line matches"
    return f"{what} by line {ruling.line}: {ruling.rule}"


def _resolved(name: str) -> list[tuple[str, bytes]]:
    """Return the addresses that the system knows of a name, as texts and as bytes.

    Raises:
        Failed: it knows none.
    """
    import socket

    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Failed(f"{name}: its addresses cannot be found: {why}") from None
    texts = dict.fromkeys(str(where[0]) for *_, where in found)
    return [(text, packed) for text in texts if (packed := _pack(text)) is not None]
