"""`shadesocks user link`: what a user gives to his program."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from ..command import command
from ..exits import CONFIG, OK, Failed, say, tell
from ..running import shown
from .book import opened, place_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...config.user import UserConfig
    from .book import Book


@command(
    "link",
    usage="NAME [-q] [--host NAME] [-c FILE] [--store FILE]",
    examples="""
shadesocks user link anna
shadesocks user link anna -q --host example.org
""",
)
@click.argument("name", metavar="NAME")
@click.option("-q", "--qrcode", "qr", is_flag=True, help="Draw each link as a QR code as well.")
@click.option("--host", metavar="NAME", help="Name or address by which others reach the server.")
@place_options
def command_link(name: str, qr: bool, host: str | None, file: str | None, store: str | None) -> int:
    """Print the link of a user: one for each server of the config at which he is.

    It holds his key and, where several share a port, the server's: treat it as a password.
    """
    from .people import user_named

    with opened(file, store) as book:
        user = user_named(book, book.roll(), name)
        links = links_of(book, user, host)
    if not links:
        raise Failed(_why_none(book, user), CONFIG)
    show_links(links, qr=qr)
    return OK


def _why_none(book: Book, user: UserConfig) -> str:
    if book.config is None:
        return "a link names the server, which a store does not know; name its config, too: -c FILE"
    return f"{user.name} is at no server of {book.file}, so there is no link"


def links_of(book: Book, user: UserConfig, host: str | None) -> list[tuple[str, str]]:
    """Return the links of a user, each with what is to be said of it; none where no config is known.

    Raises:
        click.UsageError: the host is none.
    """
    return links_by_name(book, [user], host).get(user.name, [])


def links_by_name(book: Book, users: Iterable[UserConfig], host: str | None) -> dict[str, list[tuple[str, str]]]:
    """Return the same of several."""
    from ...config.hosts import UnfitError, check_host
    from ...config.users import clients_of
    from ...wire.uri import UriError
    from ..links import link_of, public_host, remark_on_plugin

    try:
        host = None if host is None else check_host(host)
    except UnfitError as unfit:
        raise click.UsageError(f"--host: {unfit}") from None
    names = {user.name for user in users}
    found: dict[str, list[tuple[str, str]]] = {}
    now = time.time()
    for server in book.servers(users):
        where, remark = public_host(server, host)
        remarks = "\n".join(filter(None, (remark, remark_on_plugin(server))))
        for user, client in zip(server.users or (), clients_of(server, now), strict=True):
            if user.name in names:
                try:
                    found.setdefault(user.name, []).append((link_of(client, where), remarks))
                except UriError as error:
                    tell(f"warning: {shown(user.name)}: {error}")
    return found


def show_links(links: Sequence[tuple[str, str]], *, qr: bool) -> None:
    """Print links, and draw them; into no log: systemd's journal is kept, and read by others."""
    from ..qr import render_qr
    from ..screen import is_journal

    if is_journal(sys.stdout):
        tell("note: a link holds the key, so it is not written into the journal")
        return
    for link, remarks in links:
        say(link)
        if qr:
            code = render_qr(link)
            if code:
                say(code)
            else:
                tell("note: this link is longer than a QR code can be (2,953 characters), so none is drawn")
        for remark in remarks.splitlines():
            tell(f"note: {remark}")
