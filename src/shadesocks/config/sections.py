"""Sorts the members of one object by setting, and tells which of them are no settings.

An object of a configuration (the top level, one entry of `servers[]` or of
`locals[]`) becomes a `Section`: for each setting the entry that gives it. Aliases
and nested keys (`log.level`) are resolved here, comments dropped, keys of other
programs and unknown ones reported. Values are not looked at; `load.py` does that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from .findings import Findings
from .foreign import FOREIGN
from .hosts import UnfitError
from .reader import BROKEN, Mark, Member, Node, printable
from .setting import Kind, Place
from .settings import LISTS, SETTINGS, known_keys
from .values import convert, nearest, shown

_KNOWN: Final = {place: known_keys(place) for place in Place}


@dataclass(frozen=True, slots=True)
class Entry:
    """A value that was given for a setting, and the key under which it stands."""

    key: str
    """The whole path, as in `servers[0].port`; empty where a flag gave it."""
    mark: Mark
    node: Node
    by_others: bool = False
    """True for what a link or a document says: it may come from anybody."""


_TREES: Final = (Kind.LINK, Kind.HOPS, Kind.USERS, Kind.DESTINATIONS)
"""Values that are more than one: whoever needs them makes something of them."""


@dataclass(slots=True)
class Section:
    """The settings of one object, not yet converted."""

    place: Place
    path: str
    """`servers[0]`; empty at the top."""
    mark: Mark
    entries: dict[str, Entry] = field(default_factory=dict)
    """By the name of the setting."""
    lists: list[tuple[Place, Entry]] = field(default_factory=list)
    """The `servers` and `locals` of the top level."""
    _values: dict[str, object] = field(default_factory=dict)

    def key(self, name: str) -> str:
        """Return the path of a key in this section."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, *names: str) -> bool:
        """True when one of these settings is given."""
        return not self.entries.keys().isdisjoint(names)

    def of_others(self) -> Section:
        """Return a section that says the same, and comes from somebody else."""
        theirs = {name: replace(entry, by_others=True) for name, entry in self.entries.items()}
        return replace(self, entries=theirs)

    def value(self, name: str, findings: Findings) -> object:
        """Return the value of a setting, None where it is not given or not fit (which is reported once)."""
        if name not in self.entries:
            return None
        if name not in self._values:
            self._values[name] = self._convert(name, findings)
        return self._values[name]

    def check(self, findings: Findings) -> None:
        """Convert what nobody asked for, so that its faults are reported, too."""
        for name in self.entries:
            if SETTINGS[name].kind not in _TREES:
                self.value(name, findings)

    def _convert(self, name: str, findings: Findings) -> object:
        entry = self.entries[name]
        if entry.node.value is BROKEN:
            return None
        setting = SETTINGS[name]
        try:
            value = convert(setting, entry.node)
        except UnfitError as unfit:
            findings.problem(entry.mark, entry.key, str(unfit))
            return None
        return value


def sort_members(root: Node, place: Place, path: str, findings: Findings, *, strict: bool) -> Section:
    """Make a section of an object; report what is no setting (as a problem when `strict`)."""
    section = Section(place, path, root.mark)
    known = _KNOWN[place]
    for key, member in _flat(root, place, "", section, findings):
        mark, node = member.mark, member.node
        entry = Entry(_shown(section, key, member), mark, node)
        setting = known.get(key)
        if setting is not None:
            _add(section, setting.name, entry, findings)
        elif place is Place.TOP and key in LISTS:
            if node.value is not None:
                section.lists.append((LISTS[key], entry))
        elif (place, key) in FOREIGN:
            _report_foreign(place, key, entry, findings)
        else:
            text = _unknown(place, key)
            if strict:
                findings.problem(mark, entry.key, text)
            else:
                findings.warn(mark, entry.key, text + "; it is ignored")
    return section


def _shown(section: Section, key: str, member: Member) -> str:
    """Return what messages call a member: nothing where its mark is the name of a flag, which says it already."""
    if member.mark.line is None and not member.mark.default:
        return ""
    return member.said or section.key(printable(key))


def _add(section: Section, name: str, entry: Entry, findings: Findings) -> None:
    if entry.node.value is None:  # null says nothing, as in shadowsocks-rust
        return
    first = section.entries.get(name)
    if first is not None:
        line = first.mark.line
        findings.problem(entry.mark, entry.key, f"another name of {first.key}, which stands in line {line}; remove one")
        return
    section.entries[name] = entry


def _is_comment(key: str) -> bool:
    return key.startswith(("_", "//"))


def _flat(node: Node, place: Place, prefix: str, section: Section, findings: Findings) -> Iterator[tuple[str, Member]]:
    """Yield every member after its dotted key; objects that only group keys are opened."""
    if not isinstance(node.value, Mapping):
        return
    groups = _GROUPS[place]
    for name, member in node.value.items():
        if _is_comment(name):
            continue
        key = f"{prefix}{name}"
        if key not in groups or member.node.value is BROKEN:
            yield key, member
        elif isinstance(member.node.value, Mapping):
            yield from _flat(member.node, place, f"{key}.", section, findings)
        elif member.node.value is not None:
            findings.problem(member.mark, section.key(key), f"expected an object in braces, found {shown(member.node)}")


def _groups(place: Place) -> frozenset[str]:
    """Return the keys that hold an object of settings: `log`, `log.format`, ..."""
    keys = [*_KNOWN[place], *(key for at, key in FOREIGN if at is place)]
    return frozenset(key[:at] for key in keys for at, char in enumerate(key) if char == ".")


_GROUPS: Final = {place: _groups(place) for place in Place}


def _report_foreign(place: Place, key: str, entry: Entry, findings: Findings) -> None:
    row = FOREIGN[place, key]
    if entry.node.value in (BROKEN, None) or not findings.concerns(row.roles):
        return
    text = f"this {'key' if entry.key else 'flag'} of {row.source} {row.reason}"
    if not row.lock:
        findings.warn(entry.mark, entry.key, text, row.roles)
    elif entry.node.value:  # an empty lock locks nothing
        findings.problem(entry.mark, entry.key, f"{text}; remove it only if you can do without")


def _unknown(place: Place, key: str) -> str:
    """Say that a key is not known, and which one may be meant."""
    for other in Place:
        if key in _KNOWN[other]:
            where = "at the top level" if other is Place.TOP else f"in an entry of {other.value}"
            return f"this key has no meaning here; it belongs {where}"
    keys = [*_KNOWN[place], *(LISTS if place is Place.TOP else ()), *(other for at, other in FOREIGN if at is place)]
    near = nearest(key, keys)
    return f"this key is not known; the nearest known one is {near}" if near else "this key is not known"
