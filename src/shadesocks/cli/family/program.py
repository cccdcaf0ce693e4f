"""What an old program is: a name, a dialect, and a table of flags.

Values only. Each of the other files here holds the programs of one family; `run` starts any of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from ...core.networks import EVERYBODY

if TYPE_CHECKING:
    from ...config.model import Config
    from ...config.reader import Member
    from ...config.setting import Role
    from ...core.errors import Problem


NOTE: Final = logging.WARNING + 2
"""The level of what a program with words of its own did not say: seen where its warnings are, never taken for one."""


class Act(Enum):
    """What a flag does when it is met."""

    SET = auto()
    """It stands for a key, or for a setting."""
    COUNT = auto()
    """It counts up, or down, for the same key."""
    CONFIG = auto()
    """It names the file."""
    HELP = auto()
    VERSION = auto()
    NOTHING = auto()
    """It is accepted; its note says why nothing comes of it."""
    REFUSE = auto()
    """The program does not start with it; its note says why."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One row of a program's flags."""

    names: tuple[str, ...]
    help: str
    takes: str = ""
    """What its value is called; empty for a switch."""
    key: str = ""
    """The key of the dialect's file that it stands for."""
    setting: str = ""
    """The setting of ours that it stands for, where that file has no key for it."""
    constant: bool | int | str = True
    """What a switch sets; what a counting flag adds."""
    several: bool = False
    """Given again it adds to a list; else the last one holds."""
    act: Act = Act.SET
    note: str = ""
    """The rest of the sentence "FLAG: ..." that is said when it is met."""
    words: Mapping[str, str] = field(default_factory=dict)
    """The only values it takes, and what each stands for; any where this is empty."""
    also: str = ""
    """A switch among our settings that it turns on as well."""
    number: bool = False
    """Whether anything but a whole number is an error of the command line."""
    check: Callable[[str], str] | None = None
    """Says why the program cannot start with this value; empty where it can."""


@dataclass(frozen=True, slots=True)
class Need:
    """Keys of which one must be given, and what is said when none is."""

    keys: tuple[str, ...]
    text: str


class Words(Protocol):
    """Lines in the words of the program; they have its form, too, from the first one on."""

    def warnings(self, config: Config) -> Iterator[tuple[int, str]]:
        """Yield what it warned of, with the level of each."""
        ...

    def remark(self, problem: Problem) -> tuple[int, str]:
        """Return what is said of something odd, and its level."""
        ...

    def error(self, problem: Problem, given: Mapping[str, Member]) -> str:
        """Return what it said of a problem."""
        ...


@dataclass(frozen=True, slots=True)
class Met:
    """A flag as it stood on the command line."""

    flag: Flag
    name: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be done before a program starts, with the daemon that may run already."""

    members: Mapping[str, Member] = field(default_factory=dict)
    """Members of the dialect's file that come with it."""
    notes: tuple[str, ...] = ()
    stop: Callable[[], None] | None = None
    """Ends that daemon."""
    starts: bool = True
    """Whether the program starts then."""


Syntax = Callable[[Sequence[Flag], Sequence[str]], Iterator[Met]]
"""Turns words into the flags that stand there; raises `WrongFlagError`."""


def nowhere(_given: bool) -> Iterator[Path]:
    """A program that looks for no file."""
    return iter(())


@dataclass(frozen=True, slots=True)
class OldProgram:
    """A program that started under this name before."""

    name: str
    dialect: str
    role: Role
    summary: str
    flags: tuple[Flag, ...]
    syntax: Syntax
    usage: str
    """The first line of its help, with {name}."""
    version: str = "shadesocks {version}"
    usage_code: int = 2
    """Its exit code for a wrong command line."""
    refused_code: int = 1
    """Its exit code for a file, or a value, that it cannot start with."""
    usage_keys: frozenset[str] = frozenset()
    """Keys, and flags, whose bad values end it with the code for a wrong command line."""
    members: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    """Makes the values of the dialect's keys that neither a flag nor the file has."""
    derive: Callable[[Mapping[str, Member]], dict[str, Member]] | None = None
    """Makes members from those of the file, which only a program of this name reads so."""
    needs: tuple[Need, ...] = ()
    needs_code: int = 0
    """Its exit code where something is missing; 0: that for a wrong command line."""
    search: Callable[[bool], Iterator[Path]] = nowhere
    """Where it looks for a file that was not named; told whether any word was given."""
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    """Settings of ours that hold where neither a flag nor the file says."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Settings of ours that the name itself says, whatever the file says."""
    later: str = ""
    """Why the program does not start yet; empty where it does."""
    nothing: str = "config not specified"
    """What it says where neither a file nor a flag is given."""
    at_once: bool = False
    """Whether SIGTERM and SIGINT close its connections at once, with no time to end by themselves."""
    commands: Callable[[Mapping[str, Member], Mapping[str, Member]], Command] | None = None
    """Reads from the file and the flags what is to be done with a daemon, where the program does more than start."""
    tells_file: bool = False
    """Whether it says which file it reads."""
    words: Words | None = None
    """What it said in words that tools match; None: nothing such."""

    def help(self) -> str:
        """Return the text of -h."""
        rows = [(", ".join(_shown(flag)), flag.help) for flag in self.flags]
        width = min(max(len(left) for left, _ in rows), 28)
        lines = [self.usage.format(name=self.name), self.summary, ""]
        for left, right in rows:
            lines += (
                [f"  {left:<{width}}  {right}"] if len(left) <= width else [f"  {left}", f"  {'':<{width}}  {right}"]
            )
        return "\n".join(lines)

    def version_text(self) -> str:
        """Return the text of --version."""
        from ... import __version__

        return self.version.format(version=__version__)


def _shown(flag: Flag) -> Iterator[str]:
    """Yield the spellings of a flag, the last one with what it takes."""
    *others, last = flag.names
    yield from others
    joint = "=" if last.startswith("--") else " "
    yield f"{last}{joint}{flag.takes}" if flag.takes else last


HELP: Final = Flag(("-h", "--help"), "show this and exit", act=Act.HELP)
OLD_NAME: Final[Mapping[str, str]] = MappingProxyType({"allow_legacy": "true", "manager_allow": ",".join(EVERYBODY)})
"""What every old name brings along: its users' peers know the old ciphers only, and its manager listens where they say,
to everybody who comes there, after a warning."""
