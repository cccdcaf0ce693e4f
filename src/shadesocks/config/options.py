"""The rows from which the command line makes its options: one for each flag of the table.

Pure data, no click: `cli/` turns each row into an option, collects what was given
as `{row.name: text}`, and hands that to `load(overrides=...)`, where it takes the same
checks as a file's keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .setting import SEVERAL, Kind, Role, Setting
from .settings import TABLE


@dataclass(frozen=True, slots=True)
class Option:
    """One option of `shadesocks server` or `shadesocks local`."""

    name: str
    """The name of the setting; the key in `overrides`."""
    flags: tuple[str, ...]
    """As in ("-s", "--server-addr")."""
    metavar: str
    """What the value is called in the help; empty for a switch."""
    help: str
    choices: tuple[str, ...] = ()
    switch: str | None = None
    """The text a flag without a value stands for; None where it takes one."""
    secret: bool = False
    """True where the value is a key, so that it is better not given on a command line."""
    repeats: bool = False
    """True where it may be given again, for a list of values."""


_METAVARS: Final = {
    Kind.HOST: "HOST:PORT",
    Kind.ADDRESS: "HOST[:PORT]",
    Kind.PORT: "PORT",
    Kind.TEXT: "TEXT",
    Kind.SECRET: "PASSWORD",
    Kind.METHOD: "METHOD",
    Kind.SECONDS: "SECONDS",
    Kind.COUNT: "NUMBER",
    Kind.NUMBER: "NUMBER",
    Kind.CHOICE: "WORD",
    Kind.LEVEL: "LEVEL",
    Kind.LINK: "LINK",
    Kind.SIZE: "BYTES",
    Kind.PATH: "FILE",
    Kind.IP: "IP",
    Kind.INTERFACE: "NAME",
    Kind.NAME_SERVERS: "LIST",
    Kind.NETWORKS: "LIST",
    Kind.PORTS: "LIST",
    Kind.HOPS: "LINK",
    Kind.TEXTS: "TEXT",
    Kind.URLS: "URL",
    Kind.NAMES: "LIST",
}
_SECRETS: Final = (Kind.SECRET, Kind.LINK, Kind.HOPS, Kind.URLS)

MODE_FLAGS: Final = (
    Option(
        "mode",
        ("-u",),
        "",
        "Serve UDP only: the mode udp_only. A SOCKS port still takes TCP for UDP ASSOCIATE.",
        switch="udp_only",
    ),
    Option(
        "mode",
        ("-U",),
        "",
        "Serve TCP and UDP: the mode tcp_and_udp. By default the config says.",
        switch="tcp_and_udp",
    ),
)
"""shadowsocks-rust's letters; shadowsocks-libev means the opposite by them."""


def options(role: Role) -> tuple[Option, ...]:
    """Return the options of one end, in the order of the table."""
    rows = [_option(setting, setting.flags_of(role)) for setting in TABLE if setting.flags_of(role)]
    return (*rows, *MODE_FLAGS)


def _option(setting: Setting, flags: tuple[str, ...]) -> Option:
    if setting.kind is Kind.FLAG:
        return Option(setting.name, flags, "", setting.help, switch="true")
    return Option(
        setting.name,
        flags,
        "DIRECTORY" if setting.name == "state_dir" else _METAVARS[setting.kind],
        _help(setting),
        (*setting.choices, *setting.refused) if setting.kind is Kind.CHOICE else (),
        secret=setting.kind in _SECRETS,
        repeats=setting.kind in SEVERAL,
    )


def _help(setting: Setting) -> str:
    """Add the default to the sentence."""
    default = setting.default_words
    return f"{setting.help} Default: {default}." if default and default != "none" else setting.help
