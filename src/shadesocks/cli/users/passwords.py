"""The passwords of a user: made for the method of his server, given, rotated, dropped."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from ...config.limits import MemberError, parse_instant
from ...config.user import Credential
from ...core.secret import Secret
from ..screen import is_terminal
from .entries import NONE, instant

if TYPE_CHECKING:
    from ...crypto.methods import Method
    from .book import Book

NEW: Final = "new"
"""In the place of a password: one is made."""
STDIN: Final = "-"


def typed(text: str | None) -> str | None:
    """Return a password that was given: for `-` the one of stdin, for which a person is asked."""
    if text != STDIN:
        return text
    if is_terminal(sys.stdin):
        return str(click.prompt("password", hide_input=True, err=True))
    return sys.stdin.readline().strip()


def credential_of(
    book: Book, port: int | None, text: str, valid_from: str | None, valid_until: str | None, now: float
) -> Credential:
    """Return a password: the one given, or a new one for `new`.

    Raises:
        click.UsageError: there is none, or its dates are none.
    """
    if text == NEW:
        text = _make(book, port)
    if not text:
        raise click.UsageError("the password is empty")
    begins, ends = (
        _end(flag, date, now) for flag, date in (("--valid-from", valid_from), ("--valid-until", valid_until))
    )
    if begins is not None and ends is not None and begins >= ends:
        raise click.UsageError("--valid-from is an instant before --valid-until")
    return Credential(Secret(text), begins, ends)


def _end(flag: str, text: str | None, now: float) -> int | None:
    if text is None or text.strip().lower() in NONE:
        return None
    try:
        return parse_instant(flag, instant(text, now))
    except MemberError as error:
        raise click.UsageError(f"{error}; or 30d, from now") from None


def _make(book: Book, port: int | None) -> str:
    from ...crypto.keys import make_key_text

    method = method_at(book, port)
    if method is None:
        raise click.UsageError(
            "a password is made for the method of a server, which a store does not know; name its config with -c FILE, "
            "or give one: --password KEY"
        )
    return make_key_text(method, os.urandom)


def method_at(book: Book, port: int | None) -> Method | None:
    """Return the method of the server at which a user of that port is, or would be; None where no config is known."""
    from ...config.manager import template_of

    config = book.config
    if config is None:
        return None
    for server in config.servers:
        if server.address.port == port or (port is None and server.is_shared):
            return server.method
    return template_of(config).method


def rotated(before: Sequence[Credential], fresh: Credential, overlap: int, now: float) -> tuple[Credential, ...]:
    """Return the passwords with a new one: those of before are valid for so many seconds more, if they are now."""
    until = int(now) + overlap
    kept = [
        replace(each, valid_until=until if each.valid_until is None else min(until, each.valid_until))
        for each in before
        if overlap and each.is_valid(now)
    ]
    return (*kept, fresh)


def without(before: Sequence[Credential], numbers: Sequence[int]) -> tuple[Credential, ...]:
    """Return the passwords but those with these numbers, as `show` has them.

    Raises:
        click.UsageError: one has no such number.
    """
    for number in numbers:
        if not 1 <= number <= len(before):
            raise click.UsageError(
                f"--drop-password {number}: there is no such password; `shadesocks user show` has them"
            )
    return tuple(each for number, each in enumerate(before, 1) if number not in numbers)
