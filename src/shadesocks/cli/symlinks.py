"""`shadesocks links`: every old program by its name, in one directory.

A link where the system has links, else a small script. What is there and is not ours stays as it is.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from shlex import quote
from typing import Final

import click

from .command import command
from .exits import DIED, OK, Failed, say, tell, why

PROGRAM: Final = "shadesocks"
_MARK: Final = "made by shadesocks links"
"""By which a script is known as ours."""


@command(
    "links",
    usage="DIR",
    examples="""
shadesocks links ~/.local/bin                     ss-local, ssserver and all the others
shadesocks links /usr/local/bin
""",
)
@click.argument("directory", metavar="DIR")
def command_links(directory: str) -> int:
    """Make a link to this program in DIR for every old program of the family, and print each.

    A file of another program is never replaced: it is named, the other links are made, and the exit code is 70.
    Links that this command made before are made anew.
    """
    from .doors import old_names

    where = Path(directory)
    if not where.is_dir():
        raise click.UsageError(f"{directory} is no directory; make it, and put it into PATH")
    target = find_program()
    code = OK
    for name in old_names():
        place = where / name
        if os.path.lexists(place) and not is_ours(place, target):
            tell(f"error: {place} is there already, and is not of this command; remove it, or choose another DIR")
            code = DIED
            continue
        make(place, target, name)
        say(f"{place} -> {target}")
    return code


def find_program() -> Path:
    """Return where the program `shadesocks` lies: the one that runs, else the one beside this Python, else on PATH.

    Raises:
        Failed: it is nowhere.
    """
    called = Path(sys.argv[0])
    beside = Path(sys.executable).with_name(called.name if called.stem == PROGRAM else PROGRAM)
    for path in (called, beside):
        if path.stem == PROGRAM and path.is_file() and os.access(path, os.X_OK):
            return path.absolute()
    found = shutil.which(PROGRAM)
    if found is None:
        raise Failed(f"the program {PROGRAM} is not found on PATH; install the package first", DIED)
    return Path(found).absolute()


def is_ours(place: Path, target: Path) -> bool:
    """True for a link to a program of this name, and for a script that says it was made here."""
    if place.is_symlink():
        return Path(os.readlink(place)).name == target.name
    if not place.is_file():
        return False
    with place.open("rb") as file:
        return _MARK.encode() in file.read(512)


def make(place: Path, target: Path, name: str) -> None:
    """Make one link, or a script where links cannot be made.

    Raises:
        Failed: neither can be made.
    """
    temporary = place.with_name(f".{place.name}.{os.urandom(4).hex()}")
    try:
        try:
            temporary.symlink_to(target)
        except (OSError, NotImplementedError):
            temporary.write_text(f'#!/bin/sh\n# {_MARK}\nexec {quote(str(target))} as {name} "$@"\n')
            temporary.chmod(0o755)
        temporary.replace(place)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Failed(f"{place}: it cannot be made: {why(error)}", DIED) from None
