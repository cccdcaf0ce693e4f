"""`shadesocks up`: this machine becomes a server, and the person learns all there is to know about it.

    first run: key and port -> start -> write the config -> self-check -> tell
    later:     read the config -> start                  -> self-check -> tell

The config is written once the server listens, so a failed first run leaves nothing that a second one trips over.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import sys
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

import click

from .command import command
from .exits import CONFIG, DIED, USAGE, Failed, say
from .flags import dialect_option

if TYPE_CHECKING:
    from ..config.model import Config, ServerConfig
    from ..service.service import Service

log = logging.getLogger("shadesocks.cli")

METHOD: Final = "2022-blake3-aes-256-gcm"
"""The newest edition, with the cipher that processors help with."""
_IN_CONFIG: Final = "write %s in the config: what stands there of user, pid file and log is done"
_STAYS: Final = "this command stays in the foreground, in one process; `shadesocks server -c FILE` has this flag"
_STRANGERS: Final = {
    **dict.fromkeys(("-a", "--user"), _IN_CONFIG % '"user"'),
    "--pid-file": _IN_CONFIG % '"pid_file"',
    "--log-file": _IN_CONFIG % '"log": {"file": …}',
    **dict.fromkeys(("-d", "--daemonize", "--daemonize-pid", "--workers"), _STAYS),
}
"""Flags of `shadesocks server` about its process, and how that is said here."""
_FIREWALLS: Final = {
    "ufw": "sudo ufw allow {}",
    "firewall-cmd": "sudo firewall-cmd --permanent --add-port={} && sudo firewall-cmd --reload",
}
"""A program that manages the firewall, and how it lets a port in, which is given as in 8388/tcp."""


@command(
    "up",
    usage="[--host NAME] [--port PORT] [--name NAME] [--config FILE]",
    examples="""
shadesocks up
shadesocks up --host proxy.example.org
shadesocks up --config /etc/shadesocks/config.json --port 8388 --name office
""",
    params=[dialect_option()],
    strangers=_STRANGERS,
)
@click.option(
    "--config", "file", metavar="FILE", help="The config to use or to make. Default: in the user's config directory."
)
@click.option("--host", metavar="NAME", help="Name or address by which others reach this machine, for the link.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of a new config. Default: a random free one.")
@click.option("--name", metavar="NAME", help="What clients show as the name of this server.")
@click.option("-v", "verbose", count=True, help="Log more; twice for all.")
def command_up(
    file: str | None, host: str | None, port: int | None, name: str | None, verbose: int, dialect: str | None
) -> int:
    """Make this machine a Shadowsocks server for TCP and UDP, and print the link for the others.

    The first run makes a config with a random key and a random port; later runs use it again, and serve what it
    says. Other programs of the family read it, too.
    """
    from ..config.hosts import UnfitError, check_host
    from .background import run_placed
    from .logs import set_up_logs, warn_of
    from .screen import standard_error

    try:
        host = None if host is None else check_host(host)
    except UnfitError as error:
        raise click.UsageError(f"--host: {error}") from None
    path = Path(file) if file is not None else _default_path()
    text = None if not _exists(path) else _read(path)
    is_new = text is None
    if text is None:
        text = _new_text(port, name)
    config = _load(text, path, dialect, verbose)
    if not is_new and port is not None and all(port != server.address.port for server in config.servers):
        said = config.servers[0].address.port
        raise Failed(f"{path} says port {said} already; change it there, or name another file with --config", USAGE)
    screen = standard_error()
    set_up_logs(screen, level=config.log_level, with_time=not config.log_without_time, style=config.log_style)
    screen.hold()
    warn_of(config.warnings)
    if not is_new:
        _warn_if_open(path)
    start = partial(_start, config, path, text if is_new else None)
    told = partial(_told, config, path, host, name, is_new)
    return run_placed(config, start, screen, reread=partial(_again, path, dialect, verbose), file=str(path), told=told)


# Before the start


def _default_path() -> Path:
    from ..config.files import default_path

    try:
        return default_path()
    except RuntimeError:
        raise Failed("there is no home directory to keep the config in; name a file with --config", CONFIG) from None


def _exists(path: Path) -> bool:
    """True when something is there, be it a dangling link: what we cannot read we do not replace."""
    return os.path.lexists(path)


def _read(path: Path) -> str:
    from ..config.text_file import read_config

    return read_config(path)


def _warn_if_open(path: Path) -> None:
    """Warn of a config that others can read; what `up` writes, they cannot."""
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        log.warning("others on this machine can read the key in %s; close it with: chmod 600 %s", path, path)


def _new_text(port: int | None, name: str | None) -> str:
    """Return the text of a new config: a key from the system's random source, and a port that is free."""
    from ..config.model import Mode
    from ..config.save import dump
    from ..crypto.keys import make_key_text
    from ..crypto.methods import METHODS
    from .place import free_port, wildcard

    try:
        chosen = free_port() if port is None else port
    except OSError as error:
        raise Failed(f"{error.strerror}; choose one with --port", DIED) from None
    keys: dict[str, object] = {
        "server": wildcard(),
        "server_port": chosen,
        "method": METHOD,
        "password": make_key_text(METHODS[METHOD], os.urandom),
        "mode": Mode.TCP_AND_UDP.value,
    }
    if name:
        keys["remarks"] = name
    return dump(keys)


def _again(path: Path, dialect: str | None, verbose: int) -> Config:
    """Read the config while it is served; raises ConfigError."""
    return _load(_read(path), path, dialect, verbose)


def _load(text: str, path: Path, dialect: str | None, verbose: int) -> Config:
    from dataclasses import replace

    from ..config.load import load
    from ..core.errors import ConfigError
    from ..wire.uri import parse_link

    try:
        config = load(text, where=str(path), role="server", read_link=parse_link, dialect=dialect, base=path.parent)
    except ConfigError as error:
        error.add_note(f"{path} was not changed; name another file with --config, and `up` makes it")
        raise
    return replace(config, log_level=("debug", "trace")[min(verbose, 2) - 1]) if verbose else config


async def _start(config: Config, path: Path, new_text: str | None) -> Service:
    from ..config.files import write_private
    from .run import start_server

    service = await start_server(config)
    if new_text is not None:
        try:
            write_private(path, new_text)
        except BaseException:
            await service.stop()
            raise
    return service


# Once it listens


async def _told(config: Config, path: Path, host: str | None, name: str | None, is_new: bool, service: Service) -> None:
    from .selfcheck import check_server, is_checked, size_of

    for server in config.servers:
        await check_server(config, server)
    listening = ", ".join(str(address) for address in service.addresses)
    say(f"listening on {listening}")
    checked = [server for server in config.servers if is_checked(server)]
    sent = list({size_of(server)[1]: None for server in checked if server.mode.tcp})
    sent += ["a datagram"] * any(server.mode.udp for server in checked)
    if sent:
        say(f"self-check: passed, {' and '.join(sent)} went through a client and this server and back")
    for number, server in enumerate(config.servers):
        _show_link(server, path, host, name, draw=number == 0)
    if config.store is not None:
        say("links of the users of the store: shadesocks user link NAME -c " + quote(str(path)))
    say(f"config: {path}")
    if is_new:
        say("    new, with a random key; the next `shadesocks up` uses it again")
    if not any(server.mode.udp for server in config.servers):
        # Opening a port that nobody asked for is not ours to do: a config means the same to `up` and to `server`.
        say('    it serves TCP only; with "mode": "tcp_and_udp" in it, the next start serves UDP, too')
    _show_firewall(config)
    if _is_terminal():
        say("stop: Ctrl-C")
    say()


def _show_link(server: ServerConfig, path: Path, host: str | None, name: str | None, *, draw: bool) -> None:
    from ..config.users import clients_of
    from .links import link_of, public_host
    from .screen import is_journal

    if is_journal(sys.stdout):
        say(f"link: it holds the key, so it is not written into the journal; see: shadesocks url -e {path}")
        return
    where, remark = public_host(server, host)
    clients = clients_of(server)
    if server.destinations or len(clients) != 1:
        say(f"links: one for each of {len(clients)} users; see: shadesocks url -e {path}" if clients else "links: none")
        return
    link = link_of(clients[0], where, name)
    say()
    say("link, which holds the key, so treat it as a password:")
    say(f"    {link}")
    say()
    if draw and _is_terminal():
        _draw(link)
    say("on the other machine:")
    say(f"    shadesocks connect '{link}'")
    say()
    if remark:
        say(f"note: {remark}")


def _draw(link: str) -> None:
    """Draw the link as a QR code where the terminal can show one; a code that wraps is noise."""
    from .qr import render_qr, width_of

    code = render_qr(link)
    if "utf" in (sys.stdout.encoding or "").lower() and width_of(code) <= shutil.get_terminal_size().columns:
        say(code)
        say()


def _show_firewall(config: Config) -> None:
    tcp = sorted({server.address.port for server in config.servers if server.mode.tcp})
    udp = sorted({server.address.port for server in config.servers if server.mode.udp})
    openings = [("TCP and UDP", tcp)] if tcp == udp else [("TCP", tcp), ("UDP", udp)]
    words = [f"{what} port {', '.join(map(str, ports))}" for what, ports in openings if ports]
    say(f"firewall: let {' and '.join(words)} in, here and at your provider")
    for program, line in _FIREWALLS.items():
        if shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"):
            for opening in (*(f"{port}/tcp" for port in tcp), *(f"{port}/udp" for port in udp)):
                say(f"    {line.format(opening)}")


def _is_terminal() -> bool:
    from .screen import is_terminal

    return is_terminal(sys.stdout)
