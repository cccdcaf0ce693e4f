"""From the text of a configuration to a `Config`, with every problem found at once.

    text -> reader -> dialect -> sections, and flags over them -> values -> Config
            the problems and warnings of every step are collected and told together

Called by the command line and by programs that embed this package. One file can
hold the keys of both ends; `role` names the end that is to be started, and then
the other end's warnings are not told. Nothing here opens a file or a socket, and
no message repeats the text of a value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import ConfigError, Problem
from ..core.later import later
from .dialects import DIALECTS, Taken, find_dialect, find_text_dialect
from .findings import Findings, left_out
from .flags import NO_FILE, Given, add_flags, add_links
from .links import LinkLike, ReadLink, link_entries, parse_entry
from .model import (
    DEFAULT_MODE,
    DEFAULT_OUTBOUND,
    Config,
    ServerConfig,
)
from .needs import check_needs, filled, ways_of
from .plugins import check_top, check_workers, take_leave_from
from .reader import BROKEN, Mark, Member, Node, Reading, read
from .sections import Entry, Section, sort_members
from .servers import (
    LINK_MODE,
    NO_HABITS,
    Surroundings,
    acl_of,
    build_hops,
    build_server,
    habits_of,
    mode_of,
    outbound_of,
    timeouts,
)
from .setting import Place, Role
from .settings import SETTINGS
from .values import shown

if TYPE_CHECKING:
    from .allowed_plugins import Allowed


@dataclass(frozen=True, slots=True)
class Report:
    """All that is to be said about a configuration; `config` is None when it has problems."""

    config: Config | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    taken: Taken | None = None
    """The dialect it was read in, None where there was nothing to read."""


def load(
    text: str | Reading | None,
    *,
    where: str = "config",
    role: Role | None = None,
    strict: bool = False,
    overrides: Mapping[str, Given] | None = None,
    fallbacks: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    read_link: ReadLink | None = None,
    dialect: str | None = None,
    overlay: Mapping[str, Member] | None = None,
    base: str | os.PathLike[str] = "",
    starts: bool = True,
) -> Config:
    """Return the configuration that a text and the options over it make.

    Args:
        text: the file, or what `reader.read` made of it; None when everything comes from options.
        where: what messages call the file; a `Reading` knows that.
        role: the end to start; it must find all it needs. None: any valid configuration will do.
        strict: unknown keys are problems, not warnings.
        overrides: options of the command line, by the name of their setting; several texts of one are a tuple.
        fallbacks: what holds for the top level where neither the text nor an option says, in the same form.
        environ: where `${NAME}` passwords are looked up; the process's own by default.
        read_link: reads ss:// links, `wire.uri.parse_link`; needed where there may be some.
        dialect: one of `dialects.DIALECTS`; None finds out.
        overlay: members of the file's top level, in its dialect, that go before those of the text: what the command
            line of an old program said.
        base: the directory of the file, where its relative paths start; empty for the working directory.
        starts: False where nothing is started from it, but it is written in another form: what only other programs
            can run is taken as well.

    Raises:
        ConfigError: with every problem, in the order of the file.
    """
    report = examine(
        text,
        where=where,
        role=role,
        strict=strict,
        overrides=overrides,
        fallbacks=fallbacks,
        environ=environ,
        read_link=read_link,
        dialect=dialect,
        overlay=overlay,
        base=base,
        starts=starts,
    )
    return _unless_bad(report)


def examine(
    text: str | Reading | None,
    *,
    where: str = "config",
    role: Role | None = None,
    strict: bool = False,
    overrides: Mapping[str, Given] | None = None,
    fallbacks: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    read_link: ReadLink | None = None,
    dialect: str | None = None,
    overlay: Mapping[str, Member] | None = None,
    base: str | os.PathLike[str] = "",
    starts: bool = True,
) -> Report:
    """Do what `load` does, and return the problems beside the warnings instead of raising."""
    environ = os.environ if environ is None else environ
    findings = Findings(role)
    tree, taken = _take(text, where, dialect, overlay or {}, findings)
    if tree is None or taken is None:
        return Report(None, findings.problems, findings.warnings)
    root = taken.dialect.translate(tree, role, findings)
    top = sort_members(root, Place.TOP, "", findings, strict=strict)
    if taken.dialect.is_document:
        take_leave_from(top, findings)
    if overrides:
        add_flags(top, overrides, environ, read_link, findings)
    for name, value in (fallbacks or {}).items():
        top.entries.setdefault(name, Entry("", NO_FILE, Node(value, NO_FILE)))
    builder = _Builder(
        top,
        role,
        findings,
        strict=strict,
        environ=environ,
        read_link=read_link,
        base=os.fspath(base),
        is_document=taken.dialect.is_document,
        starts=starts,
    )
    return replace(builder.report(), taken=taken)


def config_from_link(
    link: LinkLike,
    *,
    where: str = "link",
    role: Role | None = None,
    allow_legacy: bool = False,
    allowed_plugins: Allowed = None,
) -> Config:
    """Return the configuration of the one server that a link names, over TCP and UDP.

    Raises:
        ConfigError: the link asks for what this version cannot do, or for a program that it may not start.
    """
    findings = Findings(role)
    mark = Mark(where)
    top = _top_of_links(mark, allow_legacy, allowed_plugins)
    top.entries |= link_entries(link, "", mark)
    return _unless_bad(_Builder(top, role, findings).report())


def config_from_links(
    links: Sequence[str],
    read_link: ReadLink,
    *,
    where: str = "link",
    role: Role | None = None,
    allow_legacy: bool = False,
    allowed_plugins: Allowed = None,
) -> Config:
    """Return the configuration of the servers that several links name, over TCP and UDP; ssconf:// is a subscription.

    Raises:
        ConfigError: one of them is no usable link, or asks for what this version cannot do, or for a program that it
            may not start.
    """
    findings = Findings(role)
    mark = Mark(where)
    top = _top_of_links(mark, allow_legacy, allowed_plugins)
    add_links(top, tuple(links), mark, read_link, findings)
    return _unless_bad(_Builder(top, role, findings, read_link=read_link).report())


def _unless_bad(report: Report) -> Config:
    if report.config is None:
        raise ConfigError(report.problems)
    return report.config


def _top_of_links(mark: Mark, allow_legacy: bool, allowed_plugins: Allowed) -> Section:
    """Return what holds for servers that are named by nothing but links."""
    said = {"mode": Node(LINK_MODE.value, mark), "allow_legacy": Node(allow_legacy, mark)}
    if allowed_plugins is not None:
        said["allowed_plugins"] = Node(tuple(Node(name, mark) for name in allowed_plugins), mark)
    return Section(Place.TOP, "", mark, {key: Entry("", mark, node) for key, node in said.items()})


def for_server(config: Config, *, where: str = "config") -> Config:
    """Return the configuration if a server can be started from it.

    Raises:
        ConfigError: it names neither a server nor a manager, or two servers on one address.
    """
    return _for_role(config, "server", where)


def for_local(config: Config, *, where: str = "config") -> Config:
    """Return the configuration with a listener for the client: the default one where it names none.

    Raises:
        ConfigError: it names no server, or two listeners on one address.
    """
    return _for_role(config, "local", where)


def _for_role(config: Config, role: Role, where: str) -> Config:
    findings = Findings(role)
    mark = Mark(where)
    entries = config.servers if role == "server" else config.locals
    managed = role == "server" and config.manager_listen is not None
    subscribed = role == "local" and config.online is not None
    check_needs(
        bool(config.servers) or managed or subscribed, [(ways_of(entry), mark, "") for entry in entries], mark, findings
    )
    if findings.problems:
        raise ConfigError(findings.problems)
    return filled(config, role)


def _take(
    text: str | Reading | None, where: str, dialect: str | None, overlay: Mapping[str, Member], findings: Findings
) -> tuple[Node | None, Taken | None]:
    """Read a text into its tree, and find its dialect; None for what could not be had, after a problem."""
    plain, where = (text.text, text.where) if isinstance(text, Reading) else (text or "", where)
    taken = find_text_dialect(dialect, plain, where, findings)
    if taken is not None:
        tree, by_text = taken
        if not isinstance(tree.value, Mapping):
            return None, by_text
        return Node({**tree.value, **overlay}, tree.mark), by_text
    root = _read(text, where, overlay, findings)
    return root, None if root is None else _find_dialect(dialect, root, findings)


def _read(text: str | Reading | None, where: str, overlay: Mapping[str, Member], findings: Findings) -> Node | None:
    """Read a text into its tree, with the overlay on it; None after a problem that leaves nothing to look at."""
    if text is None:
        return Node(overlay, NO_FILE)
    reading = read(text, where) if isinstance(text, str) else text
    for fault in reading.faults:
        findings.problem(fault.mark, fault.key, f"{fault.text} (column {fault.mark.column})")
    root = reading.root
    if root is None or root.value is BROKEN:
        return None
    if not isinstance(root.value, Mapping):
        findings.problem(root.mark, "", f"a configuration is an object in braces; this is {shown(root)}")
        return None
    return Node({**root.value, **overlay}, root.mark)


def _find_dialect(name: str | None, root: Node, findings: Findings) -> Taken | None:
    try:
        return find_dialect(name, root)
    except KeyError:
        findings.problem(Mark("--dialect"), "", f"no dialect has this name; known are {', '.join(DIALECTS)}")
        return None


_ONE_SERVER: Final = ("server", "server_port", "password")
"""One of these at the top level means a server there; `method` alone does not."""
_ONE_LOCAL: Final = ("local_address", "local_port")
_RESOLVED: Final = ("handshake_timeout", "dial_timeout", "acl", "manager_secret", "store")
"""Set by `timeout`, too, a path that starts at the file, or a secret: not taken from the file as they are."""
_PLAIN_FIELDS: Final = tuple(
    field.name for field in fields(Config) if field.name in SETTINGS and field.name not in _RESOLVED
)

# What few configurations say is looked at by modules that only those load.
_build_local = later(__package__, ".listeners", "build_local")
_check_listeners = later(__package__, ".listeners", "check_listeners")
_check_weights = later(__package__, ".balance", "check_weights")
_build_online = later(__package__, ".online", "build_online")
_build_template = later(__package__, ".manager", "build_template")
_secret_of = later(__package__, ".manager", "secret_of")
_store_of = later(__package__, ".stored", "store_of")
_check_same = later(__package__, ".stored", "check_same")
_CHECKS: Final = (
    (("dns_ttl_min", "dns_ttl_max"), later(__package__, ".bounds", "check_names")),
    (("forbidden_ip",), later(__package__, ".bounds", "check_forbidden")),
    (("manager_listen", "manager_address"), later(__package__, ".manager", "check_manager")),
    (
        ("balancer_best_interval", "balancer_probe_url", "balancer_probe_name"),
        later(__package__, ".balance", "check_probes"),
    ),
)
"""Settings of the top level, and who judges them beside others where one of them is given."""


class _Builder:
    """Makes the models from the sections of one configuration."""

    def __init__(
        self,
        top: Section,
        role: Role | None,
        findings: Findings,
        *,
        strict: bool = False,
        environ: Mapping[str, str] | None = None,
        read_link: ReadLink | None = None,
        base: str = "",
        is_document: bool = False,
        starts: bool = True,
    ) -> None:
        self._top = top
        self._role = role
        self._findings = findings
        self._strict = strict
        self._environ = environ or {}
        self._read_link = read_link
        self._base = base
        self._is_document = is_document
        self._starts = starts

    def report(self) -> Report:
        config, findings = self._config(), self._findings
        problems, warnings = findings.problems, findings.warnings
        return Report(None if problems else replace(config, warnings=warnings), problems, warnings)

    def _config(self) -> Config:
        top, findings = self._top, self._findings
        # Any: the table says the type of each value, and a test compares it with the field's.
        given: dict[str, Any] = {name: top.value(name, findings) for name in _PLAIN_FIELDS if top.has(name)}
        given = {name: value for name, value in given.items() if value is not None}
        defaults = Config()
        handshake, dial = timeouts(top, defaults.handshake_timeout, defaults.dial_timeout, findings)
        around = Surroundings(
            handshake,
            dial,
            (),
            given.get("allow_none", defaults.allow_none),
            self._environ,
            self._read_link,
            mode_of(top, DEFAULT_MODE, findings),
            outbound_of(top, DEFAULT_OUTBOUND, findings),
            acl_of(top, None, self._base, findings),
            self._base,
            given.get("allow_legacy", defaults.allow_legacy),
            habits_of(top, NO_HABITS, findings),
            allowed_plugins=given.get("allowed_plugins"),
            starts=self._starts,
            has_store=top.has("store"),
        )
        if top.has("outbound_proxy"):
            around = replace(around, outbound_proxy=build_hops(top.entries["outbound_proxy"], around, findings))
        servers = self._servers(around)
        server_sections = [section for section, _ in servers]
        local_sections = [section for section, _ in self._sections(Place.LOCAL, _ONE_LOCAL)]
        if self._role == "local" and not local_sections:
            local_sections = [top]  # the default listener, with what the top level says of it
        locals_ = [(section, _build_local(section, top, around, findings)) for section in local_sections]
        for section in (top, *server_sections, *local_sections):
            section.check(findings)
        if top.has("method") and top not in server_sections and not top.has("manager_listen"):
            entry = top.entries["method"]
            findings.warn(entry.mark, entry.key, "this method is of no server: each entry of servers[] names its own")
        managed_file = top.has("manager_listen")
        check_top(top, top in server_sections or managed_file, findings)
        if any(server is not None and server.plugin is not None for _, server in servers) or (
            managed_file and top.has("plugin")
        ):
            check_workers(top, findings)
            given["workers"] = 1
        if locals_:
            _check_listeners(top, servers, locals_, findings)
        for names, check in _CHECKS:
            if top.has(*names):
                check(top, given, findings)
        if sum(server is not None and server.users is not None for _, server in servers) > 1:
            _check_same(servers, findings)
        online = _build_online(top, around, findings) if top.has("online_urls") else None
        if online is None and any(section.has("tcp_weight", "udp_weight") for section in server_sections):
            _check_weights(servers, locals_, findings)
        if self._role == "local":
            given["workers"] = 1  # a server's
        if self._role is not None:
            listeners = [
                (ways_of(model), section.mark, section.path)
                for section, model in (servers if self._role == "server" else locals_)
                if model is not None
            ]
            managed = self._role == "server" and top.has("manager_listen")
            subscribed = self._role == "local" and online is not None
            unread = bool(findings.problems) and not top.entries  # what it lacks is not its fault
            check_needs(bool(servers) or managed or subscribed or unread, listeners, top.mark, findings)
        return Config(
            tuple(server for _, server in servers if server is not None),
            tuple(local for _, local in locals_ if local is not None),
            handshake,
            dial,
            outbound=around.outbound,
            acl=around.acl,
            online=online,
            manager_secret=_secret_of(top, findings) if top.has("manager_secret") else None,
            store=_store_of(top, self._base, self._environ, findings) if top.has("store") else None,
            where=top.mark.where,
            template=_build_template(top, around, servers, findings) if managed_file else None,
            **given,
        )

    def _servers(self, around: Surroundings) -> list[tuple[Section, ServerConfig | None]]:
        """Return the servers and their sections: of a document only those that can be used."""
        servers: list[tuple[Section, ServerConfig | None]] = []
        for section, findings in self._sections(Place.SERVER, _ONE_SERVER):
            server = build_server(section, around, findings)
            section.check(findings)
            if self._may_stay(section.mark, section.path, findings):
                servers.append((section, server))
        return servers

    @property
    def _is_template(self) -> bool:
        """True where the top level names no server of its own, but what those that a manager adds have in common."""
        return self._top.has("manager_listen") and not self._top.has("server_port", "password")

    def _sections(self, place: Place, single: tuple[str, ...]) -> list[tuple[Section, Findings]]:
        """Return the entries of one list that are in use, the one of the top level first, and who hears of faults."""
        found: list[tuple[Section, Findings]] = []
        if self._top.has(*single) and not (place is Place.SERVER and self._is_template):
            found.append((self._top, self._findings))
        for at, entry in self._top.lists:
            if at is not place or entry.node.value is BROKEN:
                continue
            if not isinstance(entry.node.value, tuple):
                text = f"expected a list of objects, in square brackets; found {shown(entry.node)}"
                self._findings.problem(entry.mark, entry.key, text)
                continue
            for index, item in enumerate(entry.node.value):
                path = entry.key and f"{entry.key}[{index}]"
                findings = self._findings.apart() if self._is_document and place is Place.SERVER else self._findings
                section = self._item(item, place, path, findings)
                if section is None:
                    self._may_stay(item.mark, path, findings)
                elif section.value("disabled", findings) is not True:
                    found.append((section, findings))
        return found

    def _item(self, item: Node, place: Place, path: str, findings: Findings) -> Section | None:
        if isinstance(item.value, Mapping):
            section = sort_members(item, place, path, findings, strict=self._strict)
            return section.of_others() if self._is_document else section
        if isinstance(item.value, str) and place is Place.SERVER:
            link = parse_entry(Entry(path, item.mark, item), self._read_link, findings)
            return None if link is None else Section(place, path, item.mark, link_entries(link, path, item.mark))
        if item.value is not BROKEN:
            also = " or a link in quotes" if place is Place.SERVER else ""
            findings.problem(item.mark, path, f"expected an object in braces{also}, found {shown(item)}")
        return None

    def _may_stay(self, mark: Mark, path: str, findings: Findings) -> bool:
        """Take over what was found of an entry apart; False where that leaves it out."""
        if findings is self._findings:
            return True
        problems = findings.problems
        if problems:
            self._findings.warn(mark, path, left_out(problems))
        else:
            self._findings.adopt(findings)
        return not problems
