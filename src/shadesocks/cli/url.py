"""`shadesocks url`: from a config to links, and from links to a config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from .command import command
from .exits import CONFIG, Failed, say, tell
from .flags import dialect_option

if TYPE_CHECKING:
    from ..wire.uri import Link


@command(
    "url",
    usage="-e FILE [--host NAME] [-q]  |  -d LINK [-d LINK]... [-q]",
    params=[dialect_option()],
    examples="""
shadesocks url -e config.json                     the link of each server, or of each user
shadesocks url -e config.json --host example.org -q
shadesocks url -d 'ss://…' > config.json          a config for `server -c` and `local -c`
shadesocks url -d 'ssconf://…' > config.json      one for `local -c`: a document names its servers
shadesocks url -d - < link.txt                    so that the link is in no list of processes
""",
)
@click.option("-e", "--encode", "file", metavar="FILE", help="Print the links of a config; - reads stdin.")
@click.option(
    "-d",
    "--decode",
    "links",
    metavar="LINK",
    multiple=True,
    help="Print the config of a link, or of several; - reads stdin.",
)
@click.option("-q", "--qrcode", "qr", is_flag=True, help="Draw each link as a QR code as well.")
@click.option("--host", metavar="NAME", help="Name or address by which others reach the server, for -e.")
def command_url(file: str | None, links: tuple[str, ...], qr: bool, host: str | None, dialect: str | None) -> None:
    """Turn a config into ss:// links, or links into a config.

    A link holds the key: treat it as a password.
    """
    if (file is None) == (not links):
        raise click.UsageError("give either -e FILE or -d LINK")
    if file is not None:
        _encode(file, host, qr, dialect)
    else:
        if host is not None:
            raise click.UsageError("--host goes with -e: a link names its host already")
        _decode(links, qr)


def _encode(file: str, host: str | None, qr: bool, dialect: str | None) -> None:
    from ..config.load import load
    from ..config.users import clients_of
    from ..wire.uri import UriError, parse_link
    from .links import document_links, link_of, public_host, remark_on_plugin
    from .source import read_source

    text, source = read_source(file)
    old = {"allow_legacy": "true"}  # a link starts nothing, and old programs take links as well
    config = load(text, where=source, read_link=parse_link, dialect=dialect, fallbacks=old, starts=False)
    for warning in config.warnings:
        tell(f"warning: {warning}")
    links = []
    for index, server in enumerate(config.servers):
        where, remark = public_host(server, host)
        try:
            if server.raw_key:
                raise UriError("bad_key", _NO_KEYS)
            its = [link_of(client, where) for client in clients_of(server)]
        except UriError as error:
            tell(f"left out: {source}: servers[{index}]: {error}")
            continue
        for each in filter(None, (remark, remark_on_plugin(server)) if its else ()):
            tell(f"note: {each}")
        for link in its:
            _show(link, qr)
        links += its
    for link in document_links(config):
        links.append(link)
        _show(link, qr)
    if config.store is not None:
        tell("note: users of its store are not among them; see: shadesocks user link NAME")
    if not links:
        raise Failed(f"{source}: there is no server in it that a link can name, so there is no link to print", CONFIG)


def _decode(texts: tuple[str, ...], qr: bool) -> None:
    from ..config.allowed_plugins import shown_name, why_not
    from ..config.hops import scheme_of
    from ..config.save import dump
    from ..config.urls import OUTLINE, check_url
    from ..wire.uri import format_link
    from .source import check_link, parse, read_links

    texts = tuple(read_links(texts))
    for text in texts:
        check_link(text)
    links = [parse(text) for text in texts if scheme_of(text) != OUTLINE]
    documents = [check_url(text) for text in texts if scheme_of(text) == OUTLINE]
    entries = [_entry(link) for link in links]
    keys: dict[str, object] = entries[0] if len(entries) == 1 else {"servers": entries} if entries else {}
    if documents:
        keys |= {"online_config": {"config_url": documents[0] if len(documents) == 1 else documents}}
    rest = {"local_address": "127.0.0.1", "local_port": 1080}
    rest |= {"mode": "tcp_and_udp"}  # as `connect` takes the link, which has no word for it
    say(dump(keys | rest).rstrip("\n"))
    for link in links:
        if link.plugin and why_not(link.plugin, link.plugin_opts or "", None):
            tell(f"note: {shown_name(link.plugin)} would be run by whoever starts this config: see that you know it")
    if qr:
        for text in (*map(format_link, links), *(f"{OUTLINE}{url.removeprefix('https')}" for url in documents)):
            _show(text, qr)


_NO_KEYS: Final = "a link has room for a password, and none for the key of shadowsocks-libev that stands in its place"


def _entry(link: Link) -> dict[str, object]:
    entry = {
        "server": link.host,
        "server_port": link.port,
        "method": link.method,
        "password": link.password,
        "plugin": link.plugin,
        "plugin_opts": link.plugin_opts,
        "remarks": link.tag,
    }
    return {key: value for key, value in entry.items() if value is not None}


def _show(link: str, qr: bool) -> None:
    from .qr import render_qr

    say(link)
    if not qr:
        return
    code = render_qr(link)
    if code:
        say(code)
    else:
        tell("note: this link is longer than a QR code can be (2,953 characters), so none is drawn")
