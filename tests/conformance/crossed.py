"""Our program in the place of an old one: the same file, the same flags, under the same name.

Called by `test_crossed.py`. What a file holds and how a command is put together is told by `tests/ancestors.py`, so
that either end can be theirs or ours and nothing else changes.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests import ancestors
from tests.ancestors import ANCESTORS, PASSWORD, Ancestor, settings_for
from tests.peers import HOST, Program, Role, free_port
from tests.peers import start as start_program

from .stage import command

NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "python": ("ssserver", "sslocal"),
    "go-1.1.5": ("shadowsocks-server", "shadowsocks-local"),
    "go-1.2.2": ("shadowsocks-server", "shadowsocks-local"),
    "procurator": ("procurator-server", "procurator-local"),
    "lite": ("sslserver", "ssllocal"),
    "node": ("node-ssserver", "node-sslocal"),
    "libev": ("ss-server", "ss-local"),
}
"""The names of a server and a client of each old program, as ours has them."""

_AS_FILE: Final = ANCESTORS["node"].command
"""A command with a file; ours needs no ping to choose by."""


def stand_in(name: str) -> Ancestor:
    """Return our program as an old one would be described."""
    theirs = ANCESTORS[name]
    server, local = map(command, NAMES[name])
    form = theirs.command if name == "procurator" else _AS_FILE
    return replace(theirs, name=f"our-{name}", server=server, local=local, command=form)


@contextlib.contextmanager
def run_ours(
    name: str,
    role: Role,
    method: str,
    folder: Path,
    *,
    server_port: int = 0,
    settings: Mapping[str, object] | None = None,
    udp: bool = False,
) -> Iterator[Program]:
    """Run our program in the place of an old one on a free port of loopback."""
    ancestor, port = stand_in(name), free_port()
    ports = (port, 0) if role == "server" else (server_port, port)
    given = settings_for(ancestor, role, method, *ports) | dict(settings or {})
    words = ancestor.command(ancestor, role, {k: v for k, v in given.items() if v is not None}, folder, ())
    with start_program(words, port, folder, title=f"our-{name}-{role}", udp=udp) as program:
        yield program
    assert "Traceback (most recent call last)" not in program.log(), program.log()[-8000:]


@contextlib.contextmanager
def crossed(
    name: str,
    theirs: Role,
    method: str,
    folder: Path,
    *,
    far: Mapping[str, object] | None = None,
    near: Mapping[str, object] | None = None,
) -> Iterator[tuple[Program, Program]]:
    """Start a server and a client, one of them the old program; `far` and `near` go into their files."""
    udp = theirs in ANCESTORS[name].udp
    start: Mapping[Role, Callable[..., contextlib.AbstractContextManager[Program]]] = {
        theirs: ancestors.run,
        "local" if theirs == "server" else "server": run_ours,
    }
    more = {"udp": udp and name != "go-1.2.2"}
    with (
        start["server"](name, "server", method, folder, settings=far, **(more if theirs == "local" else {})) as server,
        start["local"](
            name,
            "local",
            method,
            folder,
            server_port=server.port,
            settings=near,
            **(more if theirs == "server" else {}),
        ) as local,
    ):
        yield server, local


def own_keys(server_port: int, method: str, stream_replay: str) -> dict[str, object]:
    """A file of our own form, for what no old program could be told."""
    keys = {"server": HOST, "server_port": server_port, "method": method, "password": PASSWORD}
    return {**keys, "allow_legacy": True, "allow_private": True, "stream_replay": stream_replay}


@contextlib.contextmanager
def own(role: Role, port: int, folder: Path, keys: Mapping[str, object]) -> Iterator[Program]:
    """Run our program by its own name, with a file of its own form."""
    file = folder / f"own-{role}-{port}.json"
    file.write_text(json.dumps(keys))
    line = (sys.executable, "-m", "shadesocks", role, "-c", str(file))
    with start_program(line, port, folder, title=f"our-own-{role}") as program:
        yield program
    assert "Traceback (most recent call last)" not in program.log(), program.log()[-8000:]
