"""What a manager adds: where it listens, and how one of its commands becomes a server like those of the file.

A command has the keys of an entry of `servers[]`. What it does not say is as the top level of the file has it, and
everything is judged by the same rules: `build_server` makes the server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..core.address import PORT_MAX, Address
from ..core.errors import ConfigError, Problem
from ..core.networks import EVERYBODY
from ..core.secret import Secret
from ..crypto.methods import Method, find_method
from .findings import Findings
from .hosts import UnfitError, check_host, is_loopback, split_port
from .model import NO_SECRET, Config, ServerConfig
from .plugins import build_plugin
from .reader import Mark, Member, Node
from .sections import Entry, Section, sort_members
from .servers import Habits, Surroundings, build_server
from .setting import SERVER_END, Place

HOST: Final = "0.0.0.0"  # noqa: S104 - a server is there to be reached
"""Where an added port listens, if neither the command nor the file says."""
METHOD: Final = "chacha20-ietf-poly1305"
"""Of an added port, likewise: the one of libev's and rust's managers."""


_PORT: Final = re.compile(r"[0-9]{1,5}")


def manager_place(text: str) -> Address | str:
    """Return where commands come in: a UDP address, or the path of a Unix socket. Port 0: the system chooses.

    Raises:
        UnfitError: it is neither.
    """
    if "\0" in text:
        raise UnfitError("no address and no path has a NUL in it")
    if text.startswith(("/", ".")) or (text and ":" not in text):
        return text
    host, port = split_port(text)
    if not host or not _PORT.fullmatch(port) or int(port) > PORT_MAX:
        raise UnfitError("expected HOST:PORT, with an IPv6 address in brackets, or the path of a socket")
    return Address(check_host(host), int(port))


def check_manager(top: Section, _given: Mapping[str, Any], findings: Findings) -> None:
    """Look at where the manager listens: whoever reaches it commands the server; and at who is told what passed."""
    _check_report(top, findings)
    text = top.value("manager_listen", findings) if top.has("manager_listen") else None
    if not isinstance(text, str):
        return
    entry = top.entries["manager_listen"]
    try:
        place = manager_place(text)
    except UnfitError as unfit:
        findings.problem(entry.mark, entry.key, str(unfit))
        return
    if isinstance(place, Address) and not is_loopback(place.host):
        _check_reach(top, entry, findings)


def _check_reach(top: Section, entry: Entry, findings: Findings) -> None:
    """Look at who may command from other machines: everybody may, behind old names only, and with a warning."""
    if top.has("manager_secret"):
        return
    allow = top.value("manager_allow", findings) if top.has("manager_allow") else None
    if not isinstance(allow, tuple):
        text = (
            "whoever could reach this address would command the server; give manager_secret, or manager_allow with the "
            "networks of those who may, or listen on 127.0.0.1 or at the path of a Unix socket"
        )
        findings.problem(entry.mark, entry.key, text)
    elif not {*EVERYBODY}.isdisjoint(allow):
        text = (
            "whoever can reach this address commands the server: the manager asks for no secret; manager_secret and "
            "manager_allow bound it, and 127.0.0.1 and the path of a Unix socket are for this machine"
        )
        findings.warn(entry.mark, entry.key, text, SERVER_END)


SECRET_LEAST: Final = 16
"""Letters of a secret: signatures travel, and a shorter one could be guessed from them at leisure."""


def secret_of(top: Section, findings: Findings) -> Secret | None:
    """Return what commands are signed with, None where they are not."""
    text = top.value("manager_secret", findings) if top.has("manager_secret") else None
    if not isinstance(text, str):
        return None
    if len(text) < SECRET_LEAST:
        entry = top.entries["manager_secret"]
        findings.problem(entry.mark, entry.key, f"expected at least {SECRET_LEAST} letters that nobody can guess")
    return Secret(text)


def report_place(config: Config) -> Address | str | None:
    """Return who is told what passed: a UDP address, the path of a Unix socket, or None for nobody."""
    if config.manager_address is None:
        return None
    if config.manager_port is not None:
        return Address(config.manager_address, config.manager_port)
    return manager_place(config.manager_address)


def _check_report(top: Section, findings: Findings) -> None:
    """Look at who is told what passed."""
    text = top.value("manager_address", findings) if top.has("manager_address") else None
    if not isinstance(text, str):
        return
    entry = top.entries["manager_address"]
    try:
        if top.has("manager_port"):
            check_host(text)
        else:
            manager_place(text)
    except UnfitError as unfit:
        findings.problem(entry.mark, entry.key, str(unfit))


def build_template(
    top: Section, around: Surroundings, servers: Sequence[tuple[Section, ServerConfig | None]], findings: Findings
) -> ServerConfig:
    """Return what an added port has where its command does not say: its port and password are none.

    Host and method are those of the top level, else of the first server: a dialect has put them there.
    """
    first = next((server for _, server in servers if server is not None), None)
    host = top.value("server", findings) if top.has("server") else first and first.address.host
    method = top.value("method", findings) if top.has("method") else first and first.method
    plugin = build_plugin(top, first.plugin if first else None, findings)
    return ServerConfig(
        Address(host if isinstance(host, str) else HOST, 0),
        method if isinstance(method, Method) else find_method(METHOD),
        NO_SECRET,
        "",
        "",
        around.handshake_timeout,
        around.dial_timeout,
        around.outbound_proxy,
        around.mode,
        around.outbound,
        around.acl,
        around.habits.one_time_auth,
        around.habits.compat,
        plugin=plugin,
    )


def template_of(config: Config) -> ServerConfig:
    """Return the template of a configuration, also of one that was not read from a file."""
    if config.template is not None:
        return config.template
    if config.servers:
        return config.servers[0]
    return ServerConfig(
        Address(HOST, 0),
        find_method(METHOD),
        Secret(""),
        handshake_timeout=config.handshake_timeout,
        dial_timeout=config.dial_timeout,
        outbound=config.outbound,
        acl=config.acl,
    )


def added_server(config: Config, keys: Mapping[str, Any]) -> tuple[ServerConfig, tuple[Problem, ...]]:
    """Return the server that the keys of a command make beside those of a configuration, and what is odd in it.

    Raises:
        ConfigError: it may not be, or cannot be.
    """
    template = template_of(config)
    findings = Findings("server")
    section = sort_members(_node(keys), Place.SERVER, "", findings, strict=False)
    for name, value in (("server", template.address.host), ("method", template.method.name)):
        section.entries.setdefault(name, Entry("", _MARK, Node(value, _MARK)))
    around = Surroundings(
        template.handshake_timeout,
        template.dial_timeout,
        template.outbound_proxy,
        config.allow_none,
        {},  # a command does not read the environment
        None,
        template.mode,
        template.outbound,
        template.acl,
        "",
        config.allow_legacy,
        Habits(template.one_time_auth, template.compat),
        template.plugin,
        commanded=True,
    )
    server = build_server(section, around, findings)
    section.check(findings)
    own = server is not None and section.has("acl") and server.acl
    if own and own not in (config.acl, template.acl, *(each.acl for each in config.servers)):
        text = "a command names no access list but one that the config names: it could have any file read"
        findings.problem(section.entries["acl"].mark, "acl", text)
    if server is None or findings.problems:
        raise ConfigError(findings.problems)
    return server, findings.warnings


_MARK: Final = Mark("manager", 1)
"""What messages call a command: its one line."""


def _node(value: Any) -> Node:
    if isinstance(value, Mapping):
        return Node({str(key): Member(_MARK, _node(item)) for key, item in value.items()}, _MARK)
    return Node(tuple(map(_node, value)) if isinstance(value, list) else value, _MARK)
