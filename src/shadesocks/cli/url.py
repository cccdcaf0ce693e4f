"""`shadesocks url`: from a config to links, and from a link to a config."""

from __future__ import annotations

import click

from .command import command
from .exits import CONFIG, Failed, say, tell
from .flags import dialect_option


@command(
    "url",
    usage="-e FILE [--host NAME] [-q]  |  -d LINK [-q]",
    params=[dialect_option()],
    examples="""
shadesocks url -e config.json                     the link of every server in the file
shadesocks url -e config.json --host example.org -q
shadesocks url -d 'ss://…' > config.json          a config for `server -c` and `local -c`
shadesocks url -d - < link.txt                    so that the link is in no list of processes
""",
)
@click.option("-e", "--encode", "file", metavar="FILE", help="Print the links of a config; - reads stdin.")
@click.option("-d", "--decode", "link", metavar="LINK", help="Print the config of a link; - reads stdin.")
@click.option("-q", "--qrcode", "qr", is_flag=True, help="Draw each link as a QR code as well.")
@click.option("--host", metavar="NAME", help="Name or address by which others reach the server, for -e.")
def command_url(file: str | None, link: str | None, qr: bool, host: str | None, dialect: str | None) -> None:
    """Turn a config into ss:// links, or a link into a config.

    A link holds the key: treat it as a password.
    """
    if (file is None) == (link is None):
        raise click.UsageError("give either -e FILE or -d LINK")
    if file is not None:
        _encode(file, host, qr, dialect)
    elif link is not None:
        if host is not None:
            raise click.UsageError("--host goes with -e: a link names its host already")
        _decode(link, qr)


def _encode(file: str, host: str | None, qr: bool, dialect: str | None) -> None:
    from ..config.load import load
    from ..wire.uri import parse_link
    from .links import link_of, public_host
    from .source import read_source

    text, source = read_source(file)
    old = {"allow_legacy": "true"}  # a link starts nothing, and old programs take links as well
    config = load(text, where=source, read_link=parse_link, dialect=dialect, fallbacks=old)
    if not config.servers:
        raise Failed(f"{source}: there is no server in it, so there is no link to print", CONFIG)
    for server in config.servers:
        where, remark = public_host(server, host)
        if remark:
            tell(f"note: {remark}")
        _show(link_of(server, where), qr)


def _decode(text: str, qr: bool) -> None:
    import json

    from ..wire.uri import format_link
    from .source import parse, read_link

    link = parse(read_link(text))
    entry = {
        "server": link.host,
        "server_port": link.port,
        "method": link.method,
        "password": link.password,
        "plugin": link.plugin,
        "plugin_opts": link.plugin_opts,
        "remarks": link.tag,
        "local_address": "127.0.0.1",
        "local_port": 1080,
        "mode": "tcp_and_udp",  # as `connect` takes the link, which has no word for it
    }
    say(json.dumps({key: value for key, value in entry.items() if value is not None}, indent=4, ensure_ascii=False))
    if qr:
        _show(format_link(link), qr)


def _show(link: str, qr: bool) -> None:
    from .qr import render_qr

    say(link)
    if qr:
        say(render_qr(link))
