"""The text of a configuration, from its file."""

from __future__ import annotations

import os
import stat
from codecs import BOM_UTF8
from typing import Final

from ..core.errors import ConfigError, Problem
from .reader import SIZE_MAX

_BYTES_MAX: Final = 4 * SIZE_MAX
"""UTF-8 takes at most four bytes for a character."""


def read_config(path: str | os.PathLike[str]) -> str:
    """Return the text of a file, for `load(text, where=str(path))`.

    Raises:
        ConfigError: the file cannot be read, is too large, or is not UTF-8.
    """
    where = os.fspath(path)
    try:
        with open(path, "rb") as file:
            if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):
                raise IsADirectoryError
            data = file.read(_BYTES_MAX + 1)
    except OSError as error:
        raise problem_of(where, None, f"this file cannot be read: {why(error)}") from None
    if len(data) > _BYTES_MAX:
        raise problem_of(where, None, f"this file is larger than {_BYTES_MAX} bytes; it is no configuration")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise problem_of(where, 1, "this file is UTF-16; save it as UTF-8")
    try:
        return data.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise problem_of(where, line, "there are bytes here that are not UTF-8; save the file as UTF-8") from None


def why(error: OSError) -> str:
    """Say what the system said."""
    return (error.strerror or type(error).__name__).lower()


def problem_of(where: str, line: int | None, text: str) -> ConfigError:
    """Return the error of a file."""
    return ConfigError([Problem(where, line, "", text)])
