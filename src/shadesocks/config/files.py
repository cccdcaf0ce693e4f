"""The files of configurations: where they lie, and how one is written. How one is read: `text_file.py`.

Files hold keys, so what is written here can be read by its owner only, and takes
its place in one step: a reader sees the old file or the new one, whole.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from stat import S_IWOTH
from typing import Final

from .setting import Role
from .text_file import problem_of, why

NAME: Final = "config.json"
"""What all programs of the family call it."""
_OURS: Final = "shadesocks"
_RUST: Final = "shadowsocks-rust"

OLD_PLACES: Final = tuple(
    Path("/etc") / name
    for name in (
        "shadowsocks-libev/config.json",  # Debian's package
        "shadowsocks/config.json",  # the Python original's, and other packages of libev
        "shadowsocks.json",
        "shadowsocks-lite/config.json",
    )
)
"""Where the old programs' packages and guides put the config. Its dialect is told by what is in it."""

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700


def config_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return the directory of the user's configurations (XDG Base Directory Specification)."""
    environ = os.environ if environ is None else environ
    if sys.platform == "win32":
        return Path(environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    given = environ.get("XDG_CONFIG_HOME", "")
    # The specification: "All paths must be absolute"; relative ones are to be ignored.
    return Path(given) if given.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".config"


def default_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return where `shadesocks up` keeps its configuration."""
    return config_directory(environ) / _OURS / NAME


def search_list(role: Role, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> tuple[Path, ...]:
    """Return where a configuration is looked for when none is named: shadowsocks-rust's places, and ours before them.

    The working directory, the user's directory, those of $XDG_CONFIG_DIRS, /etc; in each the file
    of the role (`server.json`, `local.json`) goes before `config.json`.
    """
    environ = os.environ if environ is None else environ
    directories = [Path.cwd() if cwd is None else cwd, *_directories(environ)]
    names = (f"{role}.json", NAME)
    return tuple(dict.fromkeys(directory / name for directory in directories for name in names))


def _directories(environ: Mapping[str, str]) -> Iterator[Path]:
    roots = [config_directory(environ)]
    roots += [Path(root) for root in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if root.startswith("/")]
    roots.append(Path("/etc"))
    for root in roots:
        yield root / _OURS
        yield root / _RUST


def find_config(
    role: Role, environ: Mapping[str, str] | None = None, cwd: Path | None = None, *, old_places: bool = True
) -> Path | None:
    """Return the first file of the search list, or else of the old places, that is there; None where none is."""
    places = (*search_list(role, environ, cwd), *(OLD_PLACES if old_places else ()))
    return next((path for path in places if path.is_file()), None)


def is_planted(path: str | os.PathLike[str]) -> bool:
    """Whether somebody may have put a file there for us to find: another user's, where everybody may make files."""
    try:
        uid, folder = os.lstat(path).st_uid, os.stat(Path(path).parent)
    except OSError:
        return False
    return bool(folder.st_mode & S_IWOTH) and hasattr(os, "geteuid") and uid not in (0, os.geteuid())


def write_private(path: str | os.PathLike[str], text: str) -> None:
    """Write a file that only its owner can read, in one step; makes its directory where there is none.

    Raises:
        ConfigError: it cannot be written, or is a symbolic link, which would be replaced and not followed.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.urandom(8).hex()}")
    try:
        target.parent.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        if target.is_symlink():
            raise problem_of(os.fspath(path), None, "this is a symbolic link; name the file that it points to")
        _write_new(temporary, text.encode())
        temporary.replace(target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise problem_of(os.fspath(path), None, f"this file cannot be written: {why(error)}") from None


def _write_new(path: Path, data: bytes) -> None:
    """Make a file that was not there, and be sure that it is on the disk before it gets its name."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    with os.fdopen(os.open(path, flags, FILE_MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
