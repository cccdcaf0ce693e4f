"""Exit codes, and the one door through which every command leaves.

The codes are those of sysexits.h, which shadowsocks-rust uses as well, so that
a supervisor can tell a wrong command (never restart) from a dead one (restart).
Every error becomes a sentence on stderr; a traceback is for our own bugs only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from ..core.errors import ConfigError, Problem, ShadesocksError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import click

OK: Final = 0
USAGE: Final = 64
"""EX_USAGE: the command line is wrong."""
DIED: Final = 70
"""EX_SOFTWARE: the service could not start, or ended by itself."""
CONFIG: Final = 78
"""EX_CONFIG: the configuration, or what stands for it on the command line, is wrong."""


COMMAND_LINE: Final = "command line"
"""Where a key is missing when there is no file."""
LINK: Final = "link"
"""What messages call a link that was given."""
TYPED: Final = (COMMAND_LINE, LINK)
"""Places of problems that are errors of usage."""


class Failed(Exception):
    """A command gives up: one sentence for the person, one code for the supervisor."""

    def __init__(self, text: str, code: int = DIED) -> None:
        super().__init__(text)
        self.code = code


def leave(command: click.Command, prog: str, argv: Sequence[str] | None = None) -> NoReturn:
    """Run `command` as the program `prog` and end the process with its exit code."""
    occupy_standard_streams()
    end(run(command, prog, argv))


def end(code: int) -> NoReturn:
    """End the process with an exit code, once what was said is written."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):  # told already, or no error; the interpreter must not try again while it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def run(command: click.Command, prog: str, argv: Sequence[str] | None = None) -> int:
    """Run `command`, tell its errors on stderr, and return the exit code."""
    import click  # not at the top: the old programs of `family/` start without it

    try:
        result = command.main(argv, prog_name=prog, standalone_mode=False)
        return result if isinstance(result, int) else OK
    except click.UsageError as error:
        tell(_usage(error))
        return USAGE
    except click.ClickException as error:
        tell(f"error: {error.format_message()}")
        return USAGE
    except Failed as error:
        tell(f"error: {error}")
        return error.code
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except ConfigError as error:
        for problem in error.problems:
            tell(f"error: {problem}")
        for note in getattr(error, "__notes__", ()):
            tell(f"note: {note}")
        return USAGE if all(_is_typed(problem) for problem in error.problems) else CONFIG
    except ShadesocksError as error:
        tell(f"error: {error}")
        return DIED
    except BrokenPipeError:
        return OK
    except OSError as error:
        tell(f"error: {error.filename or 'the output'}: {why(error)}")
        return DIED


def tell(text: str) -> None:
    """Write one line on stderr; when nobody listens there, there is nobody to tell."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def say(text: str = "") -> None:
    """Write one line on stdout. That its reader went away is no error: a service goes on.

    Raises:
        OSError: the line cannot be written (a full disk).
    """
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def write(pieces: Iterable[str]) -> None:
    """Write texts on stdout as they come, until its reader goes away; raises as `say`."""
    with contextlib.suppress(BrokenPipeError):
        for piece in pieces:
            sys.stdout.write(piece)
        sys.stdout.flush()


def why(error: OSError) -> str:
    """Say what the system said, without its number."""
    return os.strerror(error.errno) if error.errno else str(error)


def _is_typed(problem: Problem) -> bool:
    """True for a problem of the command line and not of a file."""
    return problem.where.startswith("-") or problem.where in TYPED


def _usage(error: click.UsageError) -> str:
    """The sentence, and where to read more. The usage line is not repeated: it is long, and it is not the answer."""
    from .command import HelpWanted

    if isinstance(error, HelpWanted):
        return error.format_message()
    context = error.ctx
    more = f"\nTry '{context.command_path} --help'." if context else ""
    return f"error: {error.format_message()}{more}"


def occupy_standard_streams() -> None:
    """Fill descriptors 0 to 2 where the parent closed them, so that no socket takes their place.

    A socket with number 2 would receive our messages as if they were traffic.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - lives as long as the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
