"""`shadesocks connect`: a SOCKS5 port on this machine, from nothing but links."""

from __future__ import annotations

import errno
import socket
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from .command import command
from .exits import DIED, LINK, Failed, say

if TYPE_CHECKING:
    from ..service.service import Service

HOST: Final = "127.0.0.1"
PORT: Final = 1080
"""The port of SOCKS (RFC 1928 §3)."""
_STRANGERS: Final = dict.fromkeys(
    ("-d", "--daemonize", "--daemonize-pid", "--pid-file", "--log-file", "-a", "--user"),
    "this command stays in the foreground, as the one who calls it; `shadesocks local --server-url LINK` has this flag",
)
_TRIES: Final = 100
"""Ports tried from there on; who has a hundred clients running should say which port he wants."""


@command(
    "connect",
    usage="LINK... [--port PORT]",
    examples="""
shadesocks connect 'ss://…'
shadesocks connect 'ss://…' 'ss://…'              the better one of two servers
shadesocks connect 'ssconf://…'                   those that a document names, now and later
shadesocks connect - < link.txt                   so that the link is in no list of processes
SHADESOCKS_LINK='ss://…' shadesocks connect       the same
curl -x socks5h://127.0.0.1:1080 https://example.com/
""",
    strangers=_STRANGERS,
)
@click.argument("links", metavar="LINK", required=False, nargs=-1)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Listen on this port only; 0 means any. Default: 1080, or the next free one.",
)
@click.option("--allow-legacy", is_flag=True, help="Allow an old cipher, for a server that knows nothing better.")
@click.option(
    "--allow-plugin",
    "plugins",
    metavar="NAME",
    multiple=True,
    help="Let the links start this plugin; the known ones need no leave.",
)
@click.option("-v", "verbose", count=True, help="Log more; twice for all.")
def command_connect(
    links: tuple[str, ...], port: int | None, allow_legacy: bool, plugins: tuple[str, ...], verbose: int
) -> int:
    """Open a SOCKS5 port on this machine whose connections and datagrams go out through the server of LINK.

    The port is one of TCP and of UDP (UDP ASSOCIATE). A link holds the key: treat it as a password. LINK may be - for
    stdin, or stand in SHADESOCKS_LINK. Of several servers the one that serves best is taken.

    A link may name a plugin, which is a program: a known one with harmless options is started, any other only if
    --allow-plugin names it.
    """
    from ..config.load import config_from_links
    from ..core.address import Address
    from ..wire.uri import parse_link
    from .logs import set_up_logs, warn_of
    from .run import run_service, start_local
    from .screen import standard_error
    from .source import check_link, read_links

    texts = read_links(links)
    for text in texts:
        check_link(text)
    config = config_from_links(
        texts, parse_link, where=LINK, role="local", allow_legacy=allow_legacy, allowed_plugins=plugins or None
    )
    where = Address(HOST, _free_port() if port is None else port)
    local = replace(config.locals[0], address=where)
    config = replace(config, locals=(local,), log_level=("info", "debug", "trace")[min(verbose, 2)])
    screen = standard_error()
    set_up_logs(screen, level=config.log_level)
    screen.hold()
    warn_of(config.warnings)
    return run_service(config, partial(start_local, config), screen, _told)


async def _told(service: Service) -> None:
    address = service.addresses[0]
    say(f"listening on {address}")
    say(f"try: curl -x socks5h://{address} https://example.com/")


def _free_port() -> int:
    """Return the first port from 1080 on that nobody listens on, over TCP or UDP."""
    for port in range(PORT, PORT + _TRIES):
        with socket.socket() as probe, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            try:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the listener will
                probe.bind((HOST, port))
                probe.listen(1)
                datagrams.bind((HOST, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise Failed(f"cannot listen on {HOST}:{port}: {error.strerror}", DIED) from None
            return port
    raise Failed(f"no port from {PORT} to {PORT + _TRIES - 1} is free; say which one with --port", DIED)
