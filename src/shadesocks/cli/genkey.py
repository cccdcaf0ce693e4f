"""`shadesocks genkey`: a random password of the right form for a method."""

from __future__ import annotations

import os

import click

from ..crypto.keys import make_key_text
from ..crypto.methods import Edition, find_method, is_ready
from .command import command
from .exits import say


@command(
    "genkey",
    usage="-m METHOD",
    examples="""
shadesocks genkey -m 2022-blake3-aes-256-gcm
""",
)
@click.option("-m", "--encrypt-method", "method", metavar="METHOD", required=True, help="The method the key is for.")
def command_genkey(method: str) -> None:
    """Print a new random key for METHOD in base64, as `password` in a config wants it."""
    try:
        found = find_method(method)
    except KeyError:
        raise click.UsageError(f"-m {method}: {unknown_method(method)}") from None
    if found.edition is Edition.PLAIN:
        raise click.UsageError(f"-m {method}: this method has no key")
    if not is_ready(found):
        raise click.UsageError(f"-m {method}: this version cannot run the method, so it makes no key for it")
    say(make_key_text(found, os.urandom))


def unknown_method(name: str) -> str:
    """The sentence for a name that is no method."""
    from difflib import get_close_matches

    from ..crypto.methods import METHODS

    ready = [method.name for method in METHODS.values() if is_ready(method)]
    near = get_close_matches(name.lower(), ready, 1, 0.5)
    return f"no such method; did you mean {near[0]}?" if near else f"no such method; there are {', '.join(ready)}"
