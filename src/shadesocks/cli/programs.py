"""The program `shadesocks`: the group of its commands."""

from __future__ import annotations

from typing import Final

import click

from .command import LazyGroup

_COMMANDS = {
    "up": (".up", "Make this machine a server: config, key and link, in one word."),
    "connect": (".connect", "Open a SOCKS5 port on this machine that goes out through a server."),
    "server": (".serve", "Run a server from a config or from flags."),
    "local": (".serve", "Run a client from a config or from flags."),
    "url": (".url", "Turn a config into ss:// links, or a link into a config."),
    "genkey": (".genkey", "Print a new random key."),
    "check": (".check", "Tell everything that is wrong with a config."),
    "convert": (".convert", "Print a config of any program of the family in another form."),
    "acl": (".acl", "Tell what an access list says of a name or an address."),
    "as": (".as_name", "Be an old program, with its flags and its config."),
    "links": (".symlinks", "Make links by which every old program can be called."),
    "servers": (".servers", "Show how the servers of what runs here are; pin one."),
    "status": (".overview", "Show how what runs here is."),
    "sessions": (".sessions", "Show who is connected to what runs here, and how far."),
    "kick": (".sessions", "End sessions of what runs here."),
    "reload": (".overview", "Let what runs here read its config again."),
    "user": (".user", "Manage the users of a server: add, set, show, list, link, export."),
    "service": (".service", "Let systemd run a server or a client: install, remove, status."),
}

_HELP = """A Shadowsocks server and client in pure Python.

On the server:  shadesocks up

On your machine:  shadesocks connect 'ss://…'
"""


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"shadesocks {version()}")
        ctx.exit()


def version() -> str:
    """The version of the installed package."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("shadesocks")
    except PackageNotFoundError:
        return "(not installed)"


_ENDS: Final = "Ctrl-C ends what a terminal shows, `systemctl` what systemd runs"
_MEANT: Final = {
    **dict.fromkeys(("users", "adduser"), "user"),
    **dict.fromkeys(("client", "socks"), "local"),
    **dict.fromkeys(("start", "run"), "did you mean 'up', 'server' or 'local'?"),
    **dict.fromkeys(("stop", "restart"), _ENDS),
    **dict.fromkeys(("qr", "link"), "links are printed by 'url' and 'user link', with -q as a QR code, too"),
}

group = LazyGroup(
    _COMMANDS,
    _MEANT,
    name="shadesocks",
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Option(
            ["-V", "--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_show_version,
            help="Show the version and exit.",
        )
    ],
)
