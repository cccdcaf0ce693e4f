"""`shadesocks url`: from a config to links, and from links to a config."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
shadesocks url -e config.json                     the link of every server in the file, or of each of its users
shadesocks url -e config.json --host example.org -q
shadesocks url -d 'ss://…' > config.json          a config for `server -c` and `local -c`
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
    from ..wire.uri import parse_link
    from .links import link_of, public_host
    from .source import read_source

    text, source = read_source(file)
    old = {"allow_legacy": "true"}  # a link starts nothing, and old programs take links as well
    config = load(text, where=source, read_link=parse_link, dialect=dialect, fallbacks=old, starts=False)
    if not config.servers:
        raise Failed(f"{source}: there is no server in it, so there is no link to print", CONFIG)
    for server in config.servers:
        where, remark = public_host(server, host)
        if remark:
            tell(f"note: {remark}")
        for client in clients_of(server):
            _show(link_of(client, where), qr)


def _decode(texts: tuple[str, ...], qr: bool) -> None:
    import json

    from ..wire.uri import format_link
    from .source import parse, read_links

    links = [parse(text) for text in read_links(texts)]
    entries = [_entry(link) for link in links]
    rest = {"local_address": "127.0.0.1", "local_port": 1080}
    rest |= {"mode": "tcp_and_udp"}  # as `connect` takes the link, which has no word for it
    keys = (entries[0] if len(entries) == 1 else {"servers": entries}) | rest
    say(json.dumps(keys, indent=4, ensure_ascii=False))
    if qr:
        for link in links:
            _show(format_link(link), qr)


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
    if qr:
        say(render_qr(link))
