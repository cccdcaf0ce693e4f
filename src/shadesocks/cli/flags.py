"""The flags of `server` and `local`: made from the table of settings, with the sentences for those we do not have.

    config.options(role) -> click options -> {setting: text} -> load(overrides=...)

A flag passes the same checks as the key it stands for; nothing is judged here. Flags
of other programs that mean something this version cannot do are no options of ours:
to accept and ignore them would be a promise. Each has its sentence below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from ..config.dialects import DIALECTS
from ..config.options import Option, options

if TYPE_CHECKING:
    from ..config.flags import Given
    from ..config.setting import Role

_PREFIX: Final = "row_"
"""Of the names of the parameters that come from rows of the table; the number of the row follows."""

_ONE = "threads gain nothing here; --workers is the number of processes"
_SOCKS = "this version serves socks and tunnel; others come later"

_RUST: Final = {
    "this marks sockets of FreeBSD only; --outbound-fwmark marks those of Linux": "--outbound-user-cookie",
    _ONE: "--single-threaded --worker-threads",
    "the log goes to stderr; its level is --log-level, or -v": "--log-config",
}
_RUST_LOCAL: Final = {
    _SOCKS: "--tcp-redir --udp-redir --local-dns-addr --remote-dns-addr --tun-interface-name "
    "--tun-interface-address --tun-interface-destination --tun-device-fd-from-path --fake-dns-record-expire-duration "
    "--fake-dns-ipv4-network --fake-dns-ipv6-network --fake-dns-database-path",
    "this belongs to Android, which comes in a later version": "--vpn --dns-addr --stat-path --stat-addr",
}
_OTHERS: Final = {
    "this is shadowsocks-libev's; give the port with the host, as in -s HOST:8388": "-p",
    "this is shadowsocks-libev's; give the port with the host, as in -b 127.0.0.1:1080": "-l",
    "this is shadowsocks-libev's; write --timeout SECONDS": "-t",
    "this is shadowsocks-libev's; write it as key in the config, where the list of processes does not show it": "--key",
}


def strangers(role: Role) -> dict[str, str]:
    """Return the flags of other programs that this end does not have, each with the sentence to answer."""
    tables = (_RUST, *((_RUST_LOCAL,) if role == "local" else ()), _OTHERS)
    return {flag: text for table in tables for text, flags in table.items() for flag in flags.split()}


def dialect_option() -> click.Option:
    """Return the option that says whose a config is."""
    text = f"Read the config as that of: {', '.join(DIALECTS)}. By default what stands in it tells."
    return click.Option(["--dialect"], metavar="NAME", type=click.Choice([*DIALECTS]), help=text)


def make_options(role: Role) -> list[click.Parameter]:
    """Return the options of one end, in the order of the table of settings."""
    return [_make(number, row) for number, row in enumerate(options(role))]


def _make(number: int, row: Option) -> click.Option:
    declared = [*row.flags, f"{_PREFIX}{number}"]
    text = row.help
    if row.secret and row.name == "password":
        text += " Seen by everybody in the list of processes: a config, or the variable SS_SERVER_PASSWORD, is better."
    if row.choices:
        text += f" One of: {', '.join(row.choices)}."
    if row.switch is not None:
        return click.Option(declared, is_flag=True, flag_value=row.switch, default=None, help=text)
    if row.repeats:
        text += " May be given again."
    return click.Option(declared, metavar=row.metavar, multiple=row.repeats, help=text)


def overrides(role: Role, values: dict[str, Any]) -> dict[str, Given]:
    """Return what was given on the command line, by the name of the setting, as `config.load` wants it."""
    rows = options(role)
    given: dict[str, Given] = {}
    for key, value in values.items():
        if key.startswith(_PREFIX) and value not in (None, ()):
            texts = value if isinstance(value, tuple) else (str(value),)
            given[rows[int(key.removeprefix(_PREFIX))].name] = texts if len(texts) > 1 else texts[0]
    return given
