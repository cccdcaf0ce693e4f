"""`shadesocks convert`: a config of any program of the family, in our own form or in another's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from .command import command
from .exits import CONFIG, OK, Failed, say, tell
from .flags import dialect_option

if TYPE_CHECKING:
    from ..config.export import Export
    from ..config.load import Report
    from ..config.model import Config
    from ..config.setting import Role

FORMS: Final = ("own", "libev", "rust", "sip008", "uri")
_ENDS: Final = ("server", "local")
_SUBSCRIBED: Final = ("own", "rust", "uri")
"""Forms that can say where servers come from."""
_FOR_CLIENTS: Final = ("sip008", "uri")
"""Forms that are handed out, and tell where to connect to."""
_NOWHERE: Final = (
    "{} is where it listens, and nowhere to connect to; `shadesocks url -e FILE --host NAME` makes links with a name"
)


@command(
    "convert",
    usage="FILE [--dialect NAME] [--to FORM] [--role END]",
    examples="""
shadesocks convert old.json > config.json
shadesocks convert old.json --dialect go --role local
shadesocks convert config.json --to libev --role server
shadesocks convert config.json --to uri
shadesocks convert links.txt > config.json
""",
    params=[dialect_option()],
)
@click.argument("file", metavar="FILE")
@click.option("--to", "form", type=click.Choice(FORMS), default="own", show_default=True, help="What to print.")
@click.option("--role", "end", type=click.Choice(_ENDS), help="The end it is for; without it the one it looks like.")
def command_convert(file: str, dialect: str | None, form: str, end: Role | None) -> int:
    """Print a config of any program of the family in another form; - reads stdin.

    FILE may also be a list of links (plain or base64), a document of SIP008, a key or the keys of Outline, or a config
    of sing-box, whose Shadowsocks outbounds are read.

    What is printed holds the keys: treat it as a password. What the other form cannot say is told on stderr, one line
    each.
    """
    from ..config.load import for_local
    from .source import read_source

    text, where = read_source(file)
    report = _examine(text, where, dialect, end)
    if report.taken is not None:
        tell(f"note: {where}: read as {report.taken.dialect.name}: {report.taken.why}")
    for warning in report.warnings:
        tell(f"warning: {warning}")
    for problem in report.problems:
        tell(f"error: {problem}")
    if report.config is None:
        return CONFIG
    config = report.config
    if not config.servers and config.manager_listen is None and not (config.online and form in _SUBSCRIBED):
        raise Failed(f"{where}: there is no server in it", CONFIG)
    if end == "local":
        config = for_local(config, where=where)
    export = _export(config, form, end or ("local" if config.locals or config.online else "server"))
    for line in export.lost:
        tell(f"left out: {line}")
    say(export.text.rstrip("\n"))
    return OK


def _examine(text: str, where: str, dialect: str | None, end: Role | None) -> Report:
    """Read the config as the program would that it was written for: with old methods, where it has some.

    Relative paths stay as they are: what is printed is taken to lie beside the file.
    """
    from ..config.load import examine
    from ..wire.uri import parse_link

    report = examine(
        text,
        where=where,
        role=end,
        dialect=dialect,
        read_link=parse_link,
        fallbacks={"allow_legacy": "true"},
        starts=False,
    )
    config = report.config
    if config is not None and not any(server.method.legacy for server in config.servers) and config.servers:
        report = replace(report, config=replace(config, allow_legacy=False))
    return report


def _export(config: Config, form: str, end: Role) -> Export:
    from ..config.export import to_own, to_rust, to_sip008
    from ..config.export_libev import to_libev
    from .links import remark_on_plugin
    from .place import is_wildcard

    table = {"own": to_own, "rust": to_rust, "sip008": to_sip008, "libev": to_libev, "uri": _to_uri}
    if form in _FOR_CLIENTS:
        for index, server in enumerate(config.servers):
            if is_wildcard(server.address.host):
                tell(f"note: servers[{index}].server: {_NOWHERE.format(server.address.host)}")
            remark = remark_on_plugin(server)
            if remark:
                tell(f"note: servers[{index}].plugin: {remark}")
    return table[form](config, end)


def _to_uri(config: Config, end: Role) -> Export:
    from ..config.export import Export, lose_all_but_servers, lose_beside_link
    from ..config.model import OnlineConfig
    from ..config.users import clients_of
    from ..wire.uri import UriError
    from .links import document_links, link_of

    export = Export()
    links = []
    for index, server in enumerate(config.servers):
        path = f"servers[{index}]"
        try:
            links += [link_of(client, None) for client in clients_of(server)]
        except UriError as error:
            export.lose(path, str(error))
            continue
        lose_beside_link(server, path, export)
    documents = document_links(config)
    online = config.online
    if online is not None:  # its addresses have a place here, and nothing else of it
        if len(documents) < len(online.urls):
            export.lose("online_config.config_url", "an address of this machine is of no use elsewhere")
        if online.interval != OnlineConfig(online.urls).interval:
            export.lose("online_config.update_interval", "there is no word for it")
    lose_all_but_servers(replace(config, online=None), end, export)
    export.text = "\n".join(links + documents)
    return export
