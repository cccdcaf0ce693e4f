"""Where a command gets a text from: a config from a file or stdin, a link from wherever it is least seen.

A config is looked at by several before a service starts: whose program is meant, what of a daemon, what is to be
served. They hand one `Source` along, so that it is read once, and all of them see the same.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from ..config.hops import SHADOW, scheme_of
from ..config.hosts import UnfitError
from ..config.reader import Reading, read
from ..config.text_file import read_config
from ..config.urls import OUTLINE, check_url
from ..core.errors import ConfigError, Problem
from .exits import LINK
from .screen import is_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..wire.uri import Link

STDIN: Final = "-"
LINK_VARIABLE: Final = "SHADESOCKS_LINK"
_QUOTES: Final = "'\"\u2018\u2019\u201c\u201d"
"""What a paste brings along from a chat or a manual."""


class Source:
    """A config and where it is: read when it is first looked at, and let go when it is taken.

    So a service does not carry the tree of its config for life; and taken once more, it is what the file says by then.
    """

    def __init__(self, file: str) -> None:
        """Name a file; `-` is stdin."""
        self.file: Final = file
        self.base: Final = directory_of(file)
        """Where relative paths in it start."""
        self._reading: Reading | None = None

    def look(self) -> Reading:
        """Return what was read.

        Raises:
            ConfigError: it cannot be read.
        """
        if self._reading is None:
            self._reading = read(*read_source(self.file))
        return self._reading

    def take(self) -> Reading:
        """Do the same, and keep nothing."""
        reading, self._reading = self.look(), None
        return reading


def source_of(file: str | None, known: Source | None = None) -> Source | None:
    """Return the source of a file, if there is a file: the one that is known already, if it is of that file."""
    if file is None:
        return None
    return known if known is not None and known.file == file else Source(file)


def read_source(file: str) -> tuple[str, str]:
    """Return the text of a config and what messages call it; `-` is stdin.

    Raises:
        ConfigError: it cannot be read.
    """
    if file != STDIN:
        return read_config(file), file
    try:
        return sys.stdin.read(), "stdin"
    except (OSError, ValueError):
        raise ConfigError([Problem("stdin", None, "", "stdin cannot be read, or is not UTF-8")]) from None


def directory_of(file: str) -> str:
    """Return where the relative paths in a config start; empty for the working directory, and so of stdin."""
    return "" if file == STDIN else os.path.dirname(file)


def parse(text: str) -> Link:
    """Return what a link says.

    Raises:
        click.UsageError: it is no usable link.
    """
    import click

    from ..wire.uri import UriError, parse_link

    try:
        return parse_link(text)
    except UriError as error:
        raise click.UsageError(f"{LINK}: {error}") from None


def read_links(texts: Sequence[str]) -> list[str]:
    """Return several links: those given, each `-` a line of stdin, else all in the environment, else the person's.

    Raises:
        click.UsageError: there is none.
    """
    texts = texts or os.environ.get(LINK_VARIABLE, "").splitlines()
    return [read_link(text) for text in texts or (None,)]


def check_link(text: str) -> None:
    """Refuse what is neither a link to a server nor one to a document of servers (ssconf://).

    Raises:
        click.UsageError: it is neither.
    """
    import click

    scheme = scheme_of(text)
    if scheme != OUTLINE:
        if scheme != SHADOW:
            raise click.UsageError(f"{LINK}: {_not_a_link(text, scheme)}")
        parse(text)
        return
    try:
        check_url(text)
    except UnfitError as unfit:
        raise click.UsageError(f"{LINK}: {unfit}") from None


def _not_a_link(text: str, scheme: str) -> str:
    """Say what is to be done with a text in the place of a link, without repeating it."""
    if scheme == "https":
        return "https:// is no link to a server; where a document names servers at that address, write ssconf:// for it"
    if not scheme and os.path.isfile(text):
        return "this is a file; `shadesocks local -c FILE` starts a client from a config, or from a list of links"
    return "a link begins with ss://, or with ssconf:// where a document names the servers"


def read_link(text: str | None) -> str:
    """Return a link: the one given, from stdin for `-`, else from the environment, else from the person.

    Raises:
        click.UsageError: there is none.
    """
    import click

    if text is None:
        text = os.environ.get(LINK_VARIABLE, "")
        if not text and is_terminal(sys.stdin):
            text = STDIN
    if text == STDIN:
        text = click.prompt("link", hide_input=True, err=True) if is_terminal(sys.stdin) else sys.stdin.readline()
    text = text.strip().strip(_QUOTES)
    if not text:
        raise click.UsageError(
            f"no link was given; give one that begins with ss://, or - for stdin, or set {LINK_VARIABLE}"
        )
    return text
