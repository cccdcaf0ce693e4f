"""Builds one server from its section: the place where security is checked.

A server comes out of here with an address, a method this version can run, and a
password that fits it, or not at all. Called by `load.py`.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ..core.address import Address
from ..core.errors import KeyTextError
from ..core.later import later
from ..core.secret import Secret
from ..crypto.keys import parse_keys
from ..crypto.methods import Edition, Method
from .allowed_plugins import Allowed
from .findings import Findings
from .hops import SHADOW, from_environment, parse_proxy, scheme_of
from .hosts import UnfitError, is_loopback
from .links import ReadLink, link_entries, parse_entry
from .model import DEFAULT_MODE, DEFAULT_OUTBOUND, Hop, Mode, Outbound, PluginConfig, ServerConfig
from .passwords import ENOUGH_BITS, is_weak_key, strength
from .plugins import build_plugin, check_plugin
from .reader import BROKEN
from .sections import Entry, Section
from .setting import LOCAL_END, SERVER_END, Place

_build_users = later(__package__, ".users", "build_users")
_build_destinations = later(__package__, ".users", "build_destinations")

_MISSING: Final = {
    "server": 'is missing; add the host, as in "server": "203.0.113.5", or give -s HOST:PORT',
    "server_port": 'is missing; add the port, as in "server_port": 8388, or give -s HOST:PORT',
    "method": 'is missing; add a method, as in "method": "2022-blake3-aes-256-gcm", or give -m METHOD',
}
SHADOW_HOPS_MOST: Final = 2
"""Shadowsocks servers in a chain: `wire/nested.py` has buffers for three, and a client's own server is one of them."""
LABEL_MAX: Final = 256
"""Characters of a server's name or id; a UUID has 36, and no screen shows more."""
LINK_MODE: Final = Mode.TCP_AND_UDP
"""Of the server that a link names: SIP002 has no word for it, and what the server does not serve nobody asks it for."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What old programs at the other end want, and how many connections are kept ready to it."""

    one_time_auth: bool
    compat: str
    pool: int = 0


NO_HABITS: Final = Habits(one_time_auth=False, compat="none")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a server takes from outside its own section."""

    handshake_timeout: float
    dial_timeout: float
    outbound_proxy: tuple[Hop, ...]
    allow_none: bool
    environ: Mapping[str, str]
    read_link: ReadLink | None
    mode: Mode = DEFAULT_MODE
    """Of a server that names none."""
    outbound: Outbound = DEFAULT_OUTBOUND
    acl: str | None = None
    base: str = ""
    """The directory at which relative paths of the file start; empty: the working directory."""
    allow_legacy: bool = False
    habits: Habits = NO_HABITS
    plugin: PluginConfig | None = None
    """Of whoever names none."""
    allowed_plugins: Allowed = None
    """What links and documents may start."""
    commanded: bool = False
    """True for a server that a manager's command makes."""
    dialled: bool = False
    """True for a proxy on the way: it is dialled, whatever end is started."""
    starts: bool = True
    """Whether something is to be started from it; else what only other programs can run is taken as well."""
    has_store: bool = False
    """Whether users come from a store, too."""


def build_server(section: Section, around: Surroundings, findings: Findings) -> ServerConfig | None:
    """Return the server of a section, None after a problem."""
    for name, text in _MISSING.items():
        if not section.has(name):
            findings.problem(section.mark, section.key(name), text)
    host = section.value("server", findings)
    port = section.value("server_port", findings)
    method = section.value("method", findings)
    password = _password(section, method if isinstance(method, Method) else None, around, findings)
    remarks = section.value("remarks", findings)
    server_id = section.value("id", findings)
    handshake, dial = timeouts(section, around.handshake_timeout, around.dial_timeout, findings)
    proxy = around.outbound_proxy
    if section.place is Place.SERVER and section.has("outbound_proxy"):
        proxy = build_hops(section.entries["outbound_proxy"], around, findings)
    mode, acl = mode_of(section, around.mode, findings), acl_of(section, around.acl, around.base, findings)
    plugin = build_plugin(
        section,
        around.plugin,
        findings,
        commanded=around.commanded,
        allowed=around.allowed_plugins,
        starts=around.starts,
    )
    if plugin is not None:
        check_plugin(section, plugin, acl, bool(proxy), findings)
    covered = plugin is not None and plugin.mode in (mode, Mode.TCP_AND_UDP)
    if isinstance(host, str) and isinstance(method, Method) and not covered:
        _check_none(section, host, method, around, findings)
    habits = habits_of(section, around.habits, findings)
    if isinstance(method, Method):
        _check_legacy(section, method, habits, around, findings)
    if not (isinstance(host, str) and isinstance(port, int) and isinstance(method, Method) and password is not None):
        return None
    shared = _has_keys(section)
    if shared and section.has("raw_key"):
        _problem(section, "raw_key", "a server with users, or with destinations, has its key as password", findings)
        return None
    them = (section, method, password.reveal(), around.environ, findings)
    return ServerConfig(
        Address(host, port),
        method,
        password,
        _label(remarks),
        _label(server_id),
        handshake,
        dial,
        proxy,
        mode,
        around.outbound if section.place is Place.TOP else outbound_of(section, around.outbound, findings),
        acl,
        habits.one_time_auth,
        habits.compat,
        section.has("raw_key"),
        *_weights(section, findings),
        habits.pool,
        group_of(section, findings),
        plugin,
        _build_users(*them, has_store=around.has_store) if section.has("users") else None,
        _build_destinations(*them) if section.has("destinations") else (),
    )


def _label(value: object) -> str:
    """Return a name as logs and tables can show it: a link or a document may put anything there."""
    text = value[:LABEL_MAX] if isinstance(value, str) else ""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def _weights(section: Section, findings: Findings) -> tuple[float, float]:
    """Return how much a server is preferred for connections and for datagrams."""
    tcp, udp = (section.value(name, findings) if section.has(name) else None for name in ("tcp_weight", "udp_weight"))
    return tcp if isinstance(tcp, float) else 1.0, udp if isinstance(udp, float) else 1.0


def group_of(section: Section, findings: Findings) -> str:
    """Return the group that an entry of a list belongs to; empty for none, and for the top level."""
    group = section.value("group", findings) if section.has("group") else None
    return group if isinstance(group, str) else ""


# Outbound proxies


def build_hops(entry: Entry, around: Surroundings, findings: Findings) -> tuple[Hop, ...]:
    """Return the proxies that an `outbound_proxy` names: one link, or a list of them; empty after a problem."""
    built = [_build_hop(hop, around, findings) for hop in _hop_entries(entry)]
    hops = tuple(hop for hop in built if hop is not None)
    if sum(isinstance(hop, ServerConfig) for hop in hops) > SHADOW_HOPS_MOST:
        text = f"{SHADOW_HOPS_MOST} ss:// proxies in a chain are the most; leave one out"
        findings.problem(entry.mark, entry.key, text)
    return hops


def _hop_entries(entry: Entry) -> Iterator[Entry]:
    """Yield an entry for each hop: none for what is empty, which switches the proxy of the file off."""
    value = entry.node.value
    if not isinstance(value, tuple):
        if value not in ("", BROKEN):
            yield entry
        return
    for index, node in enumerate(value):
        if node.value is not BROKEN:
            yield Entry(entry.key and f"{entry.key}[{index}]", node.mark, node)


def _build_hop(entry: Entry, around: Surroundings, findings: Findings) -> Hop | None:
    text = entry.node.value
    if isinstance(text, str) and scheme_of(text) != SHADOW:
        try:
            return parse_proxy(text, around.environ)
        except UnfitError as unfit:
            findings.problem(entry.mark, entry.key, str(unfit))
            return None
    link = parse_entry(entry, around.read_link, findings)
    if link is None:
        return None
    if link.plugin:
        text = "a proxy on the way has no plugin: that would connect by itself, and not through the others"
        findings.problem(entry.mark, entry.key, text)
        return None
    section = Section(Place.SERVER, entry.key, entry.mark, link_entries(link, entry.key, entry.mark))
    alone = replace(around, outbound_proxy=(), mode=LINK_MODE, outbound=DEFAULT_OUTBOUND, acl=None, dialled=True)
    return build_server(section, alone, findings)


# What an entry says itself, else the file


def acl_of(section: Section, acl: str | None, base: str, findings: Findings) -> str | None:
    """Return the path of a section's rules: its own, else the one given. An empty one is none."""
    if not section.has("acl"):
        return acl
    path = section.value("acl", findings)
    if not isinstance(path, str) or not path:
        return None
    given_by_flag = section.entries["acl"].mark.line is None
    return path if given_by_flag else os.path.join(base, path)


_FAMILIES: Final = {"local_ipv4_address": "bind_ipv4", "local_ipv6_address": "bind_ipv6"}
_PARTS: Final = {"outbound_bind_interface": "interface", "outbound_fwmark": "fwmark"}
"""Keys, and the fields of `Outbound` that they fill."""


def outbound_of(section: Section, outbound: Outbound, findings: Findings) -> Outbound:
    """Return from where a section's connections leave: each part its own, else the one given."""
    parts: dict[str, object] = {}
    for name, field in _FAMILIES.items():
        address = section.value(name, findings) if section.has(name) else None
        if isinstance(address, str):
            parts[field] = address
            if address and _family(address) != field:
                other = next(key for key, value in _FAMILIES.items() if value != field)
                _problem(section, name, f"this is an address of the other family; its key is {other}", findings)
    both = section.value("outbound_bind_address", findings) if section.has("outbound_bind_address") else None
    if isinstance(both, str):
        by_flag = section.entries["outbound_bind_address"].mark.line is None
        for field in [_family(both)] if both else _FAMILIES.values():
            if both and not by_flag and parts.get(field, both) != both:
                text = "another address of this family is given beside this one; keep one of the two"
                _problem(section, "outbound_bind_address", text, findings)
            if both or by_flag:
                parts[field] = both
            else:
                parts.setdefault(field, both)
    for name, field in _PARTS.items():
        value = section.value(name, findings) if section.has(name) else None
        if value is not None:
            parts[field] = value
    if not parts:
        return outbound  # one for all, where there are thousands of servers
    # The table says the type of each value.
    return replace(outbound, **parts)  # type: ignore[arg-type]


def _family(address: str) -> str:
    return "bind_ipv6" if ":" in address else "bind_ipv4"


def _problem(section: Section, name: str, text: str, findings: Findings) -> None:
    entry = section.entries[name]
    findings.problem(entry.mark, entry.key, text)


def mode_of(section: Section, mode: Mode, findings: Findings) -> Mode:
    """Return the mode of a section: its own, else the one given."""
    word = section.value("mode", findings) if section.has("mode") else None
    return Mode(word) if isinstance(word, str) else mode


def timeouts(section: Section, handshake: float, dial: float, findings: Findings) -> tuple[float, float]:
    """Return handshake_timeout and dial_timeout of a section: its own, else its `timeout`, else those given."""
    both = section.value("timeout", findings)
    own_handshake = section.value("handshake_timeout", findings)
    own_dial = section.value("dial_timeout", findings)
    if isinstance(both, float):
        handshake = dial = both
    return (
        own_handshake if isinstance(own_handshake, float) else handshake,
        own_dial if isinstance(own_dial, float) else dial,
    )


def _check_none(section: Section, host: str, method: Method, around: Surroundings, findings: Findings) -> None:
    if method.edition is Edition.PLAIN and not around.allow_none and not is_loopback(host):
        entry = section.entries["method"]
        text = (
            f"method {method.name} neither hides nor protects anything, so it is refused away from loopback; "
            "choose another method, or allow it with allow_none (--allow-none)"
        )
        findings.problem(entry.mark, entry.key, text)


def habits_of(section: Section, habits: Habits, findings: Findings) -> Habits:
    """Return the habits of a section: each its own, else the one given."""
    own = {name: section.value(name, findings) for name in ("one_time_auth", "compat", "pool") if section.has(name)}
    if not own:
        return habits
    # The table says the type of each value.
    return replace(habits, **{name: value for name, value in own.items() if value is not None})  # type: ignore[arg-type]


def _check_legacy(section: Section, method: Method, habits: Habits, around: Surroundings, findings: Findings) -> None:
    """Refuse what is old where it is not allowed, and what cannot run here; say once why it is a bad choice."""
    entry = section.entries["method"]
    if method.legacy:
        why = f"method {method.name} {_WHY_NOT[method.edition]}"
        if not around.allow_legacy:
            text = f"{why}, so it is refused; choose another method, or allow it with allow_legacy (--allow-legacy)"
            findings.problem(entry.mark, entry.key, text)
            return
        from ..crypto.available import missing  # loads ciphers that nobody else needs

        lacks = missing(method)
        if lacks:
            findings.problem(entry.mark, entry.key, lacks)
            return
        findings.warn_once(entry.mark, entry.key, f"{why}; a 2022 method at both ends mends that")
    if habits.one_time_auth and method.edition is not Edition.STREAM:
        auth = section.entries.get("one_time_auth", entry)
        findings.warn(auth.mark, auth.key, f"has no effect: method {method.name} authenticates everything by itself")


_WHY_NOT: Final = {
    Edition.STREAM: "does not notice when somebody on the way changes the data, and recorded traffic can be decrypted "
    "with the server's own help",
    Edition.AEAD: "is spoken by no program but the last version of Python shadowsocks",
}


# Passwords


def _password(section: Section, method: Method | None, around: Surroundings, findings: Findings) -> Secret | None:
    """Return the password, or the key in its place, once it fits the method; None after a problem."""
    name = "raw_key" if section.has("raw_key") else "password"
    if not section.has(name):
        if method is not None and method.edition is Edition.PLAIN:
            return Secret("")
        if method is not None and method.is_tried and section.has("users") and findings.concerns(SERVER_END):
            return _none_or_theirs(section, findings)
        recipe = _recipe(method) if method is not None else "make one with: shadesocks genkey -m METHOD"
        if method is not None and method.is_tried and section.has("users"):
            recipe = "a client has the password of one of the users"
        elif _has_keys(section):
            recipe = f"it is the server's own key, which all its users have before theirs; {recipe}"
        findings.problem(section.mark, section.key("password"), f"is missing; {recipe}")
        return None
    text = section.value(name, findings)
    if not isinstance(text, str):
        return None
    entry = section.entries[name]
    if name == "raw_key" and section.has("password"):
        other = section.entries["password"]
        findings.warn(other.mark, other.key, "has no effect beside key, which goes before it; remove one of the two")
    try:
        text = from_environment(text, {} if entry.by_others else around.environ)
    except UnfitError as unfit:
        findings.problem(entry.mark, entry.key, str(unfit))
        return None
    if method is None:
        return Secret(text)
    problem = _judge(text, method, raw=name == "raw_key")
    if not problem and not around.dialled and around.starts:
        problem = _judge_chain(section, method, text, findings)
    if problem:
        findings.problem(entry.mark, entry.key, problem)
        return None
    _warn_if_weak(text, method, entry, findings, raw=name == "raw_key")
    return Secret(text)


def _none_or_theirs(section: Section, findings: Findings) -> Secret | None:
    """Return no password for a server whose users have theirs; None after a problem: one alone has the server's."""
    items = section.entries["users"].node.value
    if not _has_keys(section) and items:
        text = "is missing; it is the password of the one user in the list, who has none of his own"
        findings.problem(section.mark, section.key("password"), text)
        return None
    return Secret("")


def _has_keys(section: Section) -> bool:
    """Say whether users or servers behind have keys of their own. One user without has the server's."""
    if section.has("destinations"):
        return True
    items = section.entries["users"].node.value if section.has("users") else ()
    if not isinstance(items, tuple) or len(items) != 1 or not isinstance(items[0].value, Mapping):
        return section.has("users")
    return not items[0].value.keys().isdisjoint(("password", "passwords"))


def _recipe(method: Method) -> str:
    return f"make one with: shadesocks genkey -m {method.name}"


def _judge(text: str, method: Method, *, raw: bool) -> str:
    """Return what keeps a text from being the password of a method; empty for nothing."""
    if method.edition is Edition.PLAIN:
        return ""
    if not text:
        return f"the {'key' if raw else 'password'} is empty; {_recipe(method)}"
    if raw and not method.key_size:
        return f"{method.name} has no key but its password; give a password"
    try:
        parse_keys(method, text, raw=raw)
    except KeyTextError as error:
        return f"{error}; {_recipe(method)}"
    return ""


def _judge_chain(section: Section, method: Method, text: str, findings: Findings) -> str:
    """Return what is wrong with the count of keys: a server has its own, a client those on the way as well."""
    if method.edition is not Edition.AEAD2022:
        return ""
    several, shared = ":" in text, _has_keys(section)
    if several and findings.concerns(SERVER_END) and (shared or not findings.concerns(LOCAL_END)):
        return (
            "a server has one key; several, with colons between, are for clients: the last is the user's, and stands "
            "in the server's list of users"
        )
    if shared and not several and not findings.concerns(SERVER_END):
        entry = section.entries["password"]
        text = "this server tells its users apart; a client's password is this key and the user's, with a colon between"
        findings.warn(entry.mark, entry.key, text)
    return ""


def _warn_if_weak(text: str, method: Method, entry: Entry, findings: Findings, *, raw: bool) -> None:
    if method.edition is Edition.PLAIN:
        return
    if raw or method.edition is Edition.AEAD2022:
        if any(is_weak_key(key) for key in parse_keys(method, text, raw=raw)):
            findings.warn_once(
                entry.mark, entry.key, f"this key is not random, so it can be guessed; {_recipe(method)}"
            )
    elif strength(text) < ENOUGH_BITS:
        findings.warn_once(
            entry.mark,
            entry.key,
            f"this password is weak: whoever records the traffic can guess it at home; {_recipe(method)}",
        )
