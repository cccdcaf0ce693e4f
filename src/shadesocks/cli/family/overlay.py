"""From the flags that were met to what they say: members of the dialect's file, settings of ours, and lines to be said.

Called by `run`. The values stay texts: the translation of the dialect, and the checks behind it, treat them as those
of a file, and name the flag where they would name a line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...config.reader import Mark, Member, Node
from .program import Act, Flag, Met
from .syntax import WrongFlagError

if TYPE_CHECKING:
    from ...config.flags import Given


@dataclass(slots=True)
class Overlay:
    """What a command line says."""

    members: dict[str, Member] = field(default_factory=dict)
    """By the keys of the dialect's top level."""
    settings: dict[str, Given] = field(default_factory=dict)
    """By the names of our settings."""
    config: str | None = None
    """The file that was named."""
    wish: Act | None = None
    """HELP or VERSION, where one was asked for."""
    notes: list[str] = field(default_factory=list)
    """Why a flag does nothing."""
    refusals: list[str] = field(default_factory=list)
    """Why the program does not start."""

    def keys(self) -> set[str]:
        """Return what was given, by either name."""
        return {*self.members, *self.settings}


def overlay_of(flags: Iterable[Met]) -> Overlay:
    """Return what flags say together.

    Raises:
        WrongFlagError: a value has not the form that its flag takes.
    """
    overlay = Overlay()
    for met in flags:
        _add(overlay, met)
    return overlay


def _add(overlay: Overlay, met: Met) -> None:
    flag, text = met.flag, met.text
    if flag.number and not text.removeprefix("-").isdecimal():
        raise WrongFlagError(f"{met.name}: expected a whole number")
    if flag.words and text not in flag.words:
        raise WrongFlagError(f"{met.name}: expected {' or '.join(flag.words)}")
    refusal = flag.check(text) if flag.check else ""
    if refusal or flag.act is Act.REFUSE:
        overlay.refusals.append(f"{met.name}: {refusal or flag.note}")
    elif flag.note:
        note = f"{met.name}: {flag.note}"
        if note not in overlay.notes:
            overlay.notes.append(note)
    if flag.act is Act.CONFIG:
        overlay.config = text
    elif flag.act in (Act.HELP, Act.VERSION):
        overlay.wish = overlay.wish or flag.act
    elif flag.act is Act.COUNT:
        _count(overlay, flag, Mark(met.name))
    elif flag.act is Act.SET:
        _set(overlay, flag, Mark(met.name), flag.words.get(text, text) if flag.takes else flag.constant)


def _count(overlay: Overlay, flag: Flag, mark: Mark) -> None:
    before = overlay.members.get(flag.key)
    count = before.node.value if before else 0
    assert isinstance(count, int)
    assert isinstance(flag.constant, int)
    overlay.members[flag.key] = Member(mark, Node(count + flag.constant, mark))


def _set(overlay: Overlay, flag: Flag, mark: Mark, value: str | int | bool) -> None:
    if flag.also:
        overlay.settings[flag.also] = "true"
    if flag.setting:
        overlay.settings[flag.setting] = str(value).lower() if isinstance(value, bool) else str(value)
        return
    node = Node(value, mark)
    before = overlay.members.get(flag.key)
    if flag.several and before is not None:
        node = Node((*_items(before.node), node), mark)
    overlay.members[flag.key] = Member(mark, node)


def _items(node: Node) -> tuple[Node, ...]:
    return node.value if isinstance(node.value, tuple) else (node,)
