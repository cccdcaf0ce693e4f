"""The reference of the configuration, `docs/config.md`, made from the table.

Called by the generator (`python -m shadesocks.config`). What is written by hand
here is only what no row can say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ..crypto.methods import METHODS, is_ready
from .foreign import FOREIGN, Foreign
from .setting import YEAR, Kind, Place, Setting
from .settings import TABLE

_HEAD: Final = """\
# Configuration

Made by `python -m shadesocks.config docs` from the table in `src/shadesocks/config/settings.py`: change its rows there.
`config.schema.json` beside this page is the same for editors.

A configuration is one JSON object. Comments (`//`, `/* */`, `#`), trailing commas, single quotes and names without
quotes are allowed; keys that begin with `_` or `//` are comments, too. One file can start either end: `shadesocks
server -c FILE` and `shadesocks local -c FILE` each take their keys from it.

```json
{
    "server": "203.0.113.5",
    "server_port": 8388,
    "method": "2022-blake3-aes-256-gcm",
    "password": "(what shadesocks genkey -m 2022-blake3-aes-256-gcm prints)",
    "local_address": "127.0.0.1",
    "local_port": 1080
}
```

- A file of Python shadowsocks, shadowsocks-libev, shadowsocks-go, shadowsocks-lite, shadowsocks for Node.js or
  procurator is read as that program read it, with its defaults; keys of this page may stand in it, and go before them.
  `shadesocks check FILE` says whose a file was taken for, and why; `--dialect NAME` takes it for another's;
  `shadesocks convert FILE` prints it in this form.
- One server and one listener stand at the top level; several stand in the lists `servers` (or `shadowsocks`) and
  `locals`, which go together with those of the top level. `balancer.policy` says how several servers are used.
- `mode` at the top level is that of every server and listener that names none; so are `udp_associate_addr`,
  `udp_require_association` and `udp_socket_per_association` for listeners, `acl` for both, and for servers
  `outbound_proxy` and the addresses, interface and mark of what leaves, each by itself; an empty value in an entry
  switches off what the top level says. An ss:// link has no word for a mode: as a hop, its server serves both.
- A list may be written as one text with commas, but for `outbound_proxy`. Options that take a list may be given again.
- A relative path of `acl` starts at the directory of the file; one of an option, at the working directory.
- A password `${NAME}` is taken from the environment.
- `timeout` sets `handshake_timeout` and `dial_timeout`, each unless it is given itself; a server's own come first.
- An option of the command line takes the place of its key. A server given by `-s` or `--server-url` takes the place of
  all servers of the file, a listener given by `-b` that of all listeners. `$SS_SERVER_PASSWORD` stands in for a
  missing `-k`.
- Every problem is told at once, with its line and its key, and then nothing starts (exit code 78). A key that is not
  known warns with the nearest known one, and fails `shadesocks check`.
"""

_PLACES: Final = {
    Place.TOP: "Keys of the top level",
    Place.SERVER: "Keys of an entry of `servers[]`",
    Place.LOCAL: "Keys of an entry of `locals[]`",
}
_KINDS: Final = {
    Kind.HOST: "host",
    Kind.ADDRESS: "host, or host:port",
    Kind.PORT: "port, 1 to 65535",
    Kind.TEXT: "text",
    Kind.SECRET: "text, secret",
    Kind.METHOD: "method",
    Kind.SECONDS: "seconds",
    Kind.NUMBER: "number",
    Kind.COUNT: "whole number",
    Kind.FLAG: "true, false",
    Kind.LINK: "ss:// link, secret",
    Kind.LEVEL: "level",
    Kind.SIZE: "whole number",
    Kind.PATH: "path",
    Kind.IP: "IP address",
    Kind.INTERFACE: "interface",
    Kind.NAME_SERVERS: "name servers: list, or text with commas",
    Kind.NETWORKS: "networks: list, or text with commas",
    Kind.PORTS: "ports: list, number, or text with commas",
    Kind.TEXTS: "list of texts",
    Kind.HOPS: "link or list of links, secret",
    Kind.URLS: "https:// address or list of them, secret",
    Kind.NAMES: "names: list, or text with commas",
    Kind.USERS: "list of objects, secret",
    Kind.DESTINATIONS: "list of objects, secret",
}


def reference() -> str:
    """Return the whole page."""
    parts = [_HEAD]
    for place, title in _PLACES.items():
        rows = [setting for setting in TABLE if place in setting.places]
        text = _table(_SETTING_HEAD, (_setting_row(setting, place) for setting in rows))
        parts.append(f"## {title}\n\n{text}")
    rows = [setting for setting in TABLE if not setting.places]
    text = _table(_SETTING_HEAD, (_setting_row(setting, Place.TOP) for setting in rows))
    parts.append(f"## Options without a key\n\n{text}")
    ready = {name: method.legacy for name, method in METHODS.items() if is_ready(method)}
    parts.append(_METHODS_HEAD + "".join(f"- `{name}`\n" for name, old in ready.items() if not old))
    parts.append(_OLD_HEAD + ", ".join(f"`{name}`" for name, old in ready.items() if old) + "\n")
    foreign = dict.fromkeys(FOREIGN.values())
    parts.append(_FOREIGN_HEAD + _table(("key", "place", "of", "here"), map(_foreign_row, foreign)))
    return "\n".join(parts)


_METHODS_HEAD: Final = """\
## Methods

These work; other names of the family are known, and the message says what to use in their place. `none` is refused
away from loopback without `allow_none`.

"""

_OLD_HEAD: Final = """\
## Old methods

For old peers; each is refused without `allow_legacy`, and warned about with it: stream ciphers do not notice when
somebody changes the data, and what was recorded can be decrypted with the server's own help. salsa20, salsa20-ctr and
rc2-cfb come with the extra `legacy`. `mbedtls:` and `sodium:` before a name are taken as the Python original took them.

"""

_FOREIGN_HEAD: Final = """\
## Keys of other programs

These may stay in a file: each warns once, with its reason. The ones in bold are locks, and refused as soon as they
hold something: to start without them would open what they close.

"""

_SETTING_HEAD: Final = ("key", "option", "value", "default", "read by", "from", "meaning")


def _setting_row(setting: Setting, place: Place) -> tuple[str, ...]:
    keys = [setting.path, *setting.aliases] if setting.places else []
    return (
        _codes(keys),
        _codes(setting.flags if place is Place.TOP else ()),  # an option is about the top level
        _value(setting),
        setting.default_words,
        "both" if len(setting.roles) > 1 else setting.roles[0],
        f"{setting.source}, {setting.since}" if setting.source == "shadesocks" else setting.source,
        setting.help,
    )


def _value(setting: Setting) -> str:
    if setting.kind is Kind.CHOICE:
        return _codes(setting.choices)
    bounds = [f"from {setting.low}"] if setting.low else []
    if setting.high < YEAR:
        bounds.append(f"to {setting.high}")
    return " ".join([_KINDS[setting.kind], *bounds])


def _foreign_row(row: Foreign) -> tuple[str, ...]:
    key = f"**`{row.key}`**" if row.lock else f"`{row.key}`"
    return key, ", ".join(place.value for place in row.places), row.source, row.reason


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(_lines(head, rows))


def _lines(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |\n"
    yield f"|{'---|' * len(head)}\n"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n"
