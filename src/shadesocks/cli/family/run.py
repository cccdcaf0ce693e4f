"""An old program, from its words to its end.

    words -> syntax -> overlay -> the file, if there is one -> load, in the program's dialect -> service

What is said before the service starts has the program's own exit codes, and behind the Python original's names its own
lines. Imports what a service needs only when one is to start.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from ...config.reader import Mark, Member, Node, Reading
from ...core.errors import ConfigError, Problem, ShadesocksError
from ..exits import COMMAND_LINE, OK, Failed, end, occupy_standard_streams, say, tell, why
from ..source import Source, source_of
from .overlay import Overlay, overlay_of
from .program import NOTE, Act, Command, OldProgram
from .syntax import WrongFlagError

if TYPE_CHECKING:
    from ...config.model import Config

log = logging.getLogger("shadesocks.cli")


def leave(program: OldProgram, words: Sequence[str], known: Source | None = None) -> NoReturn:
    """Run a program and end the process with its exit code; `known` is a config that was looked at already."""
    occupy_standard_streams()
    end(run(program, words, known))


def run(program: OldProgram, words: Sequence[str], known: Source | None = None) -> int:
    """Run a program to its end and return its exit code."""
    run = _Run(program, known)
    try:
        return run.to_its_end(words)
    except WrongFlagError as error:
        run.tell("ERROR", str(error))
        return run.usage(program.usage_code)
    except ConfigError as error:
        for problem in error.problems:
            run.tell("ERROR", run.words_for(problem))
        return program.usage_code if _is_usage(program, error.problems) else program.refused_code
    except (Failed, ShadesocksError) as error:
        run.tell("ERROR", str(error))
        return program.refused_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return OK
    except OSError as error:
        run.tell("ERROR", f"{error.filename or 'the output'}: {why(error)}")
        return program.refused_code


def _is_usage(program: OldProgram, problems: Sequence[Problem]) -> bool:
    return not program.usage_keys.isdisjoint(name for problem in problems for name in (problem.key, problem.where))


class _Run:
    """One run, and how it speaks."""

    def __init__(self, program: OldProgram, known: Source | None) -> None:
        self._program = program
        self._known = known
        self._overlay = Overlay()
        self._command = Command()
        if program.words is not None:
            self._log(early=True)

    def _log(self, *, early: bool) -> None:
        """Begin lines as the program did. One with words of its own says all in them, first without a time."""
        from ..logs import log_screen, set_up_logs

        style = self._program.fallbacks["log_style"]
        logging.addLevelName(NOTE, "NOTE")
        set_up_logs(log_screen(style), style=style, early=early)

    def tell(self, level: str, text: str) -> None:
        """Say one line to the person."""
        if self._program.words is not None:
            log.log(logging.getLevelNamesMapping()[level], "%s", text)
        else:
            tell(f"{level.lower()}: {text}")

    def words_for(self, problem: Problem) -> str:
        """Return the sentence for a problem."""
        words = self._program.words
        return str(problem) if words is None else words.error(problem, self._overlay.members)

    def usage(self, code: int) -> int:
        """Show the help on stderr; the exit code goes with it."""
        tell(self._program.help())
        return code

    def to_its_end(self, words: Sequence[str]) -> int:
        program = self._program
        overlay = self._overlay = overlay_of(list(program.syntax(program.flags, words)))
        if overlay.wish is not None:
            say(program.help() if overlay.wish is Act.HELP else program.version_text())
            return OK
        refusals = [*overlay.refusals, *([program.later] if program.later else [])]
        for refusal in refusals:
            self.tell("ERROR", refusal)
        if refusals:
            return program.refused_code
        return self._start(bool(words))

    def _start(self, given: bool) -> int:
        program, overlay = self._program, self._overlay
        file = overlay.config or next((str(path) for path in program.search(given) if path.is_file()), None)
        source = source_of(file, self._known)
        code = self._judge(source)
        if code is not None:
            return code
        # go's did; the others died of the signal, on which nobody counts, or passed over it as daemons.
        rereads = source is not None and program.role == "server"
        again = partial(self._config, source) if rereads else None
        return self._serve(self._config(source), again, file)

    def _judge(self, source: Source | None) -> int | None:
        """Look at what the flags and the file say together; return the exit code of a program that does not start."""
        program, overlay = self._program, self._overlay
        if source is not None and program.tells_file:
            self._log(early=True)
            log.info("loading config from %s", source.file)
        in_file = {} if source is None else _members(source.look())
        keys = overlay.keys() | set(in_file or ())
        if not keys and in_file is not None:
            self.tell("ERROR", program.nothing)
            return self.usage(program.needs_code or program.usage_code)
        if program.words is not None:
            self._log(early=False)
        if program.commands is not None and in_file is not None:
            self._command = program.commands(in_file, overlay.members)
            overlay.members = {**self._command.members, **overlay.members}
            if not self._command.starts:
                self._stop()
                return OK
            overlay.notes += self._command.notes
        missing = [need.text for need in program.needs if keys.isdisjoint(need.keys)]
        if missing and in_file is not None:
            self.tell("ERROR", missing[0])
            return self.usage(program.needs_code or program.usage_code)
        return None

    def _config(self, source: Source | None) -> Config:
        """Return what the flags and the file, as it is by now, say together."""
        from ...config.load import load
        from ...wire.uri import parse_link

        program, overlay = self._program, self._overlay
        reading = None if source is None else source.take()
        in_file = None if reading is None else _members(reading)
        return load(
            reading,
            where=COMMAND_LINE,
            role=program.role,
            overrides={**overlay.settings, **program.fixed},
            fallbacks=program.fallbacks,
            read_link=parse_link,
            dialect=program.dialect,
            overlay=_filled(program, in_file or {}, overlay),
            base="" if source is None else source.base,
        )

    def _serve(self, config: Config, reread: Callable[[], Config] | None, file: str | None) -> int:
        from ..background import run_placed, set_up
        from ..logs import log_screen
        from ..run import start_local, start_server

        program, screen = self._program, log_screen(config.log_style)
        set_up(config, screen)
        for level, text in self._remarks(config):
            log.log(level, "%s", text)
        start = {"server": start_server, "local": start_local}[program.role]
        self._stop()
        said = partial(say, "started")
        begin = partial(start, config)
        at_once = program.at_once
        return run_placed(config, begin, screen, reread=reread, file=file, at_once=at_once, started=said)

    def _stop(self) -> None:
        """End the daemon that runs already, where that was asked for."""
        if self._command.stop is not None:
            self._command.stop()

    def _remarks(self, config: Config) -> Iterator[tuple[int, str]]:
        """Yield what is odd, with the level of each line."""
        words, notes = self._program.words, self._overlay.notes
        if words is None:
            for line in (*notes, *config.warnings):
                yield logging.WARNING, str(line)
            return
        yield from words.warnings(config)
        for note in notes:
            yield NOTE, note
        yield from map(words.remark, config.warnings)


def _filled(program: OldProgram, in_file: Mapping[str, Member], overlay: Overlay) -> dict[str, Member]:
    """Return the flags' members, with those that the program makes of the file's, or adds."""
    mark, given = Mark(f"default of {program.name}", default=True), overlay.keys() | set(in_file)
    added = {key: Member(mark, Node(make(), mark)) for key, make in program.members.items() if key not in given}
    return {**added, **(program.derive(in_file) if program.derive else {}), **overlay.members}


def _members(reading: Reading) -> Mapping[str, Member] | None:
    """Return the members of a file's top level; None where it cannot be read, which `load` tells."""
    if reading.faults or reading.root is None or not isinstance(reading.root.value, Mapping):
        return None
    return reading.root.value
