"""`shadesocks service`: a server or a client that systemd starts with the machine, and keeps running.

    install   find the config, check it -> write the unit -> enable and start it
    remove    stop it -> take the unit away
    status    what systemd says of it

A file that this command did not write is never written over and never taken away.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..core.address import Address, pack_zoned
from .command import command
from .exits import CONFIG, OK, USAGE, Failed, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..config.model import Config
    from ..config.setting import Role

MARK: Final = (
    "# Written by `shadesocks service install`, which writes it anew: `systemctl edit` is for what you change.\n"
)
"""The first line of our units: what does not begin with it is another's."""
SYSTEM_UNITS: Final = Path("/etc/systemd/system")
STATES: Final = Path("/var/lib")
"""Where systemd makes the directories of state of system services."""
BOOTED: Final = Path("/run/systemd/system")
"""There while systemd is the machine's first process (sd_booted(3))."""
_HOMES: Final = ("/home", "/root", "/run/user")
"""What ProtectHome hides."""
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
"""What systemd takes in the name of a unit; of 255 characters at most."""


@command(
    "service",
    usage="install|remove|status [NAME] [-c FILE] [--local] [--user|--system] [--socket] [--dry-run]",
    examples="""
sudo shadesocks service install                   a server, with the config that is found
sudo shadesocks service install office --socket   with /etc/shadesocks/office.json
sudo shadesocks service install -c /srv/config.json
shadesocks service install --local --user -c local.json
shadesocks service install --dry-run              the unit, and nothing done
shadesocks service status office
sudo shadesocks service remove office
""",
)
@click.argument("action", metavar="ACTION", type=click.Choice(["install", "remove", "status"]))
@click.argument("name", metavar="[NAME]", default="")
@click.option(
    "-c", "--config", "file", metavar="FILE", help="The config to serve. Default: NAME.json, or the first found."
)
@click.option("--local", "client", is_flag=True, help="A client, and not a server.")
@click.option("--user/--system", "users", default=None, help="Whose service it is. Default: for root the system's.")
@click.option("--socket", "socket", is_flag=True, help="Let systemd listen: nobody is refused while it restarts.")
@click.option("--dry-run", "dry", is_flag=True, help="Print the unit, and do nothing.")
def command_service(
    action: str, name: str, file: str | None, client: bool, users: bool | None, socket: bool, dry: bool
) -> int:
    """Let systemd run a server (or a client) from now on: started with the machine, and again when it dies.

    A system service runs as a user of its own with one right, to use ports below 1024. It gets a copy of the config
    from systemd, so the config may stay readable for root alone.
    """
    if name and not _NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is no name for a service; letters, digits and any of _ . : - make one")
    if users is None:
        users = not hasattr(os, "geteuid") or os.geteuid() != 0
    role: Role = "local" if client else "server"
    service = _Service(f"shadesocks-{role}{f'-{name}' if name else ''}", role, users)
    if action == "install":
        return service.install(_config_path(role, name, file), with_socket=socket, dry=dry)
    return service.remove(dry=dry) if action == "remove" else service.status()


class _Service:
    """One service of this machine: its files, and the commands that systemd takes for it."""

    def __init__(self, name: str, role: Role, users: bool) -> None:
        self._name: Final = name
        self._role: Final = role
        self._users: Final = users
        directory = _users_units() if users else SYSTEM_UNITS
        self._file: Final = directory / f"{name}.service"
        self._socket: Final = directory / f"{name}.socket"

    # -- install -------------------------------------------------------------------------------------

    def install(self, path: str, *, with_socket: bool, dry: bool) -> int:
        """Write the unit of a config, and start it."""
        from ..process.unit import UnfitPathError, Unit

        config = _checked(self._role, path, needs_whole_paths=not self._users)
        program = _program()
        unit = Unit(
            self._name,
            self._role,
            path,
            program,
            is_users=self._users,
            sees_home=_is_at_home(program),
            listens=tuple(_listens(self._role, config)) if with_socket else (),
        )
        try:
            texts = {self._file: unit.service(), **({self._socket: unit.socket()} if with_socket else {})}
        except UnfitPathError as unfit:
            raise Failed(str(unfit), CONFIG) from None
        if dry:
            for where, text in texts.items():
                say(f"# {where}\n{text}")
            return OK
        if not self._users and (closed := _closed_directory(program)):
            raise Failed(
                f"the program lies beyond {closed}, where only its owner may go, and a system service runs as another "
                "user; install it for all (pipx install --global), or use --user",
                CONFIG,
            )
        for where in (self._file, self._socket):
            _check_ours(where)
        for where, text in texts.items():
            _write(where, MARK + text)
            say(f"written: {where}")
        before = []
        if not with_socket and self._socket.exists():
            before = [("disable", "--now", self._socket.name)]
        self._systemctl(*before)
        if before:
            self._socket.unlink()
        self._systemctl(*self._starting(with_socket))
        runs = "is to serve" if _absence(self._users) else "serves"
        say(f"{self._name} {runs} {path}; its log: {' '.join(self._journal('-u', self._name))}")
        if self._users:
            say("so that it runs while you are not logged in: loginctl enable-linger")
        return OK

    def _starting(self, with_socket: bool) -> list[tuple[str, ...]]:
        service, socket = self._file.name, self._socket.name
        if not with_socket:
            return [("daemon-reload",), ("enable", service), ("restart", service)]
        # A socket cannot be listened on again while its service has it.
        return [
            ("daemon-reload",),
            ("enable", socket, service),
            ("stop", service),
            ("restart", socket),
            ("start", service),
        ]

    # -- afterwards ----------------------------------------------------------------------------------

    def remove(self, *, dry: bool) -> int:
        """Stop the service, and take its files away."""
        there = [path for path in (self._socket, self._file) if os.path.lexists(path)]
        if not there:
            raise Failed(f"there is no service of that name: {self._file} does not exist", USAGE)
        for path in there:
            _check_ours(path)
        if dry:
            for path in there:
                say(f"to be removed: {path}")
            return OK
        self._systemctl(("disable", "--now", *(path.name for path in there)))
        for path in there:
            path.unlink()
            say(f"removed: {path}")
        # By a pattern, which may fit nothing: one that failed would be listed for as long as the machine runs.
        self._systemctl(("daemon-reload",), ("reset-failed", f"{self._name}.*"))
        state = STATES / self._name
        if not self._users and state.is_dir() and any(state.iterdir()):
            say(f"kept: {state}, what it remembers against replays; delete it if the service is not to come back")
        return OK

    def status(self) -> int:
        """Show what systemd says of the service, and return its exit code: 0 while it runs."""
        if absence := _absence(self._users):
            state = "is installed" if self._file.exists() else f"is not installed: there is no {self._file}"
            say(f"{self._name} {state}; {absence}")
            return OK if self._file.exists() else _NOT_THERE
        # S603: a program of the system, with words that were checked.
        return subprocess.run(self._words("status", "--no-pager", self._file.name), check=False).returncode  # noqa: S603

    def _systemctl(self, *orders: tuple[str, ...]) -> None:
        """Give orders to systemd, one after the other; print them where it cannot be reached."""
        absence = _absence(self._users)
        if orders and absence:
            say(f"{absence}; where it can be told:")
        for order in orders:
            words = self._words(*order)
            if absence:
                say(f"    {' '.join(words)}")
                continue
            began = time.time()
            done = subprocess.run(words, check=False, capture_output=True, text=True)  # noqa: S603 - as in `status`
            if done.returncode and (told := self._told(order, began)):
                raise Failed(
                    f"{order[-1]} does not start; it says:\n{told}\nThe unit is there; to try again: {' '.join(words)}"
                )
            if done.returncode:
                raise Failed(f"{' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")

    def _told(self, order: tuple[str, ...], since: float) -> str:
        """Return what a unit that was to start wrote into the journal; of a socket, what systemd wrote of it."""
        if order[0] not in ("start", "restart") or shutil.which("journalctl") is None:
            return ""
        field = f"{'USER_' if self._users else ''}UNIT={order[-1]}"
        words = self._journal(
            "-q",
            "--no-pager",
            "-o",
            "cat",
            "-n",
            "5",
            f"--since=@{since:.6f}",
            field if order[-1].endswith(".socket") else f"_SYSTEMD_{field}",
        )
        done = subprocess.run(words, check=False, capture_output=True, text=True)  # noqa: S603 - as in `status`
        lines = done.stdout.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        return "\n".join(f"    {line}" for line in errors or lines)  # other lines may be of the one that ran before

    def _words(self, *order: str) -> list[str]:
        return ["systemctl", *(["--user"] if self._users else []), *order]

    def _journal(self, *words: str) -> list[str]:
        return ["journalctl", *(["--user"] if self._users else []), *words]


_NOT_THERE: Final = 4
"""What `systemctl status` answers for a unit that does not exist."""


def _users_units() -> Path:
    from ..config.files import config_directory

    return config_directory() / "systemd" / "user"


def _absence(users: bool) -> str:
    """Return why there is no service manager to talk to; empty where there is one."""
    if not BOOTED.is_dir() or shutil.which("systemctl") is None:
        return "systemd does not run here"
    if users and "XDG_RUNTIME_DIR" not in os.environ:
        return "your service manager is out of reach: XDG_RUNTIME_DIR is not set, as after su and sudo"
    return ""


# -- the config and the program -----------------------------------------------------------------------


def _config_path(role: Role, name: str, file: str | None) -> str:
    """Return the path of the config: that which was named, NAME.json, the first of the search list, the only one."""
    from ..config.files import OLD_PLACES, find_config, search_list

    if file == "-":
        raise click.UsageError("a service needs a config in a file, not on stdin")
    if file is not None:
        return os.path.abspath(file)
    here = Path.cwd()
    directories = dict.fromkeys(path.parent for path in (*search_list(role), *OLD_PLACES) if path.parent != here)
    directories.pop(Path("/etc"), None)
    own = (directory / f"{name}.json" for directory in directories)
    found = next((path for path in own if name and path.is_file()), None) or find_config(role)
    if found is None:
        # Those of old programs hold examples, too.
        found = _only_one(directory for directory in directories if directory.name == "shadesocks")
    return os.path.abspath(found)


def _only_one(directories: Iterable[Path]) -> Path:
    """Return the only config in all these directories."""
    for directory in directories:
        there = sorted(directory.glob("*.json"))
        if len(there) == 1:
            return there[0]
        if there:
            names = ", ".join(path.stem for path in there)
            raise click.UsageError(f"there are several configs in {directory}; give one of their names: {names}")
    users = os.environ.get("SUDO_USER", "")
    with contextlib.suppress(ImportError, KeyError, OSError):
        import pwd

        made = Path(pwd.getpwnam(users).pw_dir) / ".config" / "shadesocks" / "config.json"
        if users and made.is_file():
            raise click.UsageError(f"no config was found but that of {users}; to serve it: -c {made}")
    raise click.UsageError("no config was found; name one with -c FILE (`shadesocks up` makes one)")


def _checked(role: Role, path: str, *, needs_whole_paths: bool) -> Config:
    """Return the config: one with mistakes becomes no service."""
    from ..config.load import load
    from ..config.text_file import read_config
    from ..wire.uri import parse_link

    if os.path.exists(path) and not os.access(path, os.R_OK):
        raise Failed(f"{path} cannot be read by this user; run it as root, or name another config with -c FILE", CONFIG)
    text = read_config(path)
    here, elsewhere = (
        load(text, where=path, role=role, read_link=parse_link, base=base) for base in (os.path.dirname(path), "/")
    )
    if needs_whole_paths and here != elsewhere:
        raise Failed(
            f"{path}: a path in it does not begin with /, and a system service reads a copy that lies elsewhere; "
            "write the whole path",
            CONFIG,
        )
    return here


def _program() -> tuple[str, ...]:
    """Return the words that start this program."""
    script = Path(sys.executable).with_name("shadesocks")
    return (str(script),) if os.access(script, os.X_OK) else (sys.executable, "-m", "shadesocks")


def _places(program: Sequence[str]) -> Iterator[Path]:
    """All that must be readable for the program to start."""
    for path in (program[0], sys.executable, sys.base_prefix, __file__):
        yield Path(path).absolute()
        yield Path(path).resolve()


def _is_at_home(program: Sequence[str]) -> bool:
    return any(path.is_relative_to(home) for path in _places(program) for home in _HOMES)


def _closed_directory(program: Sequence[str]) -> Path | None:
    """Return the directory that keeps others away from the program, if there is one."""
    for path in _places(program):
        for directory in reversed(path.parents):
            if not directory.stat().st_mode & 0o001:
                return directory
    return None


def _listens(role: Role, config: Config) -> Iterator[tuple[str, str]]:
    """What systemd is to listen on, each once: it takes addresses, and no names."""
    from ..config.manager import manager_place
    from ..service.roles import ports_of

    ports = ports_of(role, config)
    wanted: list[tuple[str, Address | str | None]] = []
    for port in ports:
        wanted += [("Stream", port.streams), ("Datagram", port.packets)]
    if role == "server" and config.manager_listen:
        wanted.append(("Datagram", manager_place(config.manager_listen)))
    for kind, place in dict.fromkeys(wanted):
        if isinstance(place, str):
            yield kind, os.path.abspath(place)
        elif place is not None:
            if pack_zoned(place.host) is None:
                raise Failed(
                    f"{place} is a name, and systemd listens on addresses only; write one, or leave out --socket"
                )
            yield kind, str(place)


# -- files ---------------------------------------------------------------------------------------------


def _check_ours(path: Path) -> None:
    """Refuse to touch a file that somebody else wrote."""
    if not os.path.lexists(path):
        return
    try:
        is_ours = path.is_file() and not path.is_symlink() and path.read_text(errors="replace").startswith(MARK)
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from None
    if not is_ours:
        raise Failed(f"{path} was not written by this command, and is left alone; give another NAME, or move it away")


def _write(path: Path, text: str) -> None:
    """Write a unit in one step: systemd reads the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        more = "; run it as root, or with --user" if isinstance(error, PermissionError) else ""
        raise Failed(f"{path} cannot be written: {error.strerror}{more}") from None
