"""The plugin of a server: a program that this process starts, so who may name one is judged here.

A name is looked up in PATH; a path is absolute, since nobody knows where a service is started. A link or a document
says what `allowed_plugins.py` lets it, and a command to a manager none but the one of the config: all of them may come
from somebody else.
"""

from __future__ import annotations

from typing import Final

from ..core.secret import Secret
from .allowed_plugins import Allowed, shown_name, why_not
from .findings import Findings
from .model import Mode, PluginConfig
from .sections import Section
from .setting import LOCAL_END, SERVER_END

_PARTS: Final = ("plugin_opts", "plugin_args", "plugin_mode")
"""What is said of a plugin beside its name."""


def build_plugin(
    section: Section,
    common: PluginConfig | None,
    findings: Findings,
    *,
    commanded: bool = False,
    allowed: Allowed = None,
    starts: bool = True,
) -> PluginConfig | None:
    """Return the plugin of a section, None where it has none, and after a problem.

    Args:
        section: of a server.
        common: of whoever names none; None for a server of a file.
        findings: where problems go.
        commanded: the section is a command, so it may name no other than that one.
        allowed: what a section of somebody else's may name.
        starts: False where nothing is started: then whoever will start it is warned.
    """
    name = section.value("plugin", findings) if section.has("plugin") else None
    if not name and common is not None:
        name = common.name
    if not isinstance(name, str) or not name:
        _warn_of_parts(section, findings)
        return None
    if commanded and (common is None or name != common.name):
        text = "a command names no plugin but the one that the config names: it could run any program"
        return _problem(section, "plugin", text, findings)
    if text := _judge(name):
        return _problem(section, "plugin", text, findings)
    options = section.value("plugin_opts", findings) if section.has("plugin_opts") else None
    if section.has("plugin") and section.entries["plugin"].by_others:
        text = why_not(name, options if isinstance(options, str) else "", allowed)
        if text and (starts or "/" in name):
            return _problem(section, "plugin", text, findings)
        if text:
            _warn_of_stranger(section, name, findings)
    if isinstance(options, str) and not _fits_environment(options):
        return _problem(
            section, "plugin_opts", "this cannot stand in an environment: it holds NUL, or is no UTF-8", findings
        )
    args = section.value("plugin_args", findings) if section.has("plugin_args") else None
    if isinstance(args, tuple) and not all(map(_fits_environment, args)):
        return _problem(
            section, "plugin_args", "this cannot stand in a command line: it holds NUL, or is no UTF-8", findings
        )
    word = section.value("plugin_mode", findings) if section.has("plugin_mode") else None
    found = common or PluginConfig(name)
    return PluginConfig(
        name,
        Secret(options) if isinstance(options, str) else found.options,
        args if isinstance(args, tuple) else found.args,
        Mode(word) if isinstance(word, str) else found.mode,
    )


def _judge(name: str) -> str:
    """Return what keeps a text from being a plugin; empty for nothing."""
    if not name.isprintable():
        return "this is no name of a program"
    if "/" in name and not name.startswith("/"):
        return "a path begins with / here; give the absolute path, or the bare name of a program in PATH"
    return ""


def _fits_environment(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _problem(section: Section, name: str, text: str, findings: Findings) -> PluginConfig | None:
    entry = section.entries[name]
    findings.problem(entry.mark, entry.key, text)
    return None


def _warn_of_stranger(section: Section, name: str, findings: Findings) -> None:
    entry = section.entries["plugin"]
    text = (
        f"{shown_name(name)} comes with what was read; in a config that is the owner's word, so it is run without "
        "asking: see that you know it"
    )
    findings.warn(entry.mark, entry.key, text)


def _warn_of_parts(section: Section, findings: Findings) -> None:
    if section.has("plugin"):  # which is empty: SIP008 has them side by side
        return
    for part in _PARTS:
        if section.has(part) and section.entries[part].node.value not in ("", ()):
            entry = section.entries[part]
            findings.warn(entry.mark, entry.key, "has no effect without a plugin")


def check_plugin(section: Section, plugin: PluginConfig, acl: str | None, proxied: bool, findings: Findings) -> None:
    """Look at what does not go together with a plugin.

    A plugin of a client connects to the server itself, so whoever wants a proxy on that way must not start without.
    """
    entry = section.entries.get("plugin")
    if entry is None:
        return
    if proxied and findings.concerns(LOCAL_END) and not findings.concerns(SERVER_END):
        text = "a plugin connects to the server by itself, and not through outbound_proxy; leave out one of the two"
        findings.problem(entry.mark, entry.key, text)
    if acl is not None:
        text = (
            "behind a plugin every client comes from this machine, so what acl says of its loopback address holds for "
            "all of them; rules about targets hold as always"
        )
        findings.warn_once(entry.mark, entry.key, text, SERVER_END)


def check_top(top: Section, used: bool, findings: Findings) -> None:
    """Refuse a plugin at the top level that is of no server there: those of the list would go without."""
    if used or not top.has("plugin") or not top.value("plugin", findings):
        return
    text = "this plugin is of no server: each entry of servers[] names its own; move it there"
    _problem(top, "plugin", text, findings)


def take_leave_from(document: Section, findings: Findings) -> None:
    """Take from a document what it says of the plugins that it may start: that is not for it to say."""
    entry = document.entries.pop("allowed_plugins", None)
    if entry is not None:
        text = "has no effect in a document, which may come from somebody else; give it as --allow-plugin NAME"
        findings.warn(entry.mark, entry.key, text)


def check_workers(top: Section, findings: Findings) -> None:
    """Warn whoever wants several processes: the plugin of a server leads to one."""
    if top.has("workers") and top.value("workers", findings) != 1:
        entry = top.entries["workers"]
        text = "the plugin of a server leads to one process, so one does the work; leave out one of the two"
        findings.warn(entry.mark, entry.key, text, SERVER_END)
